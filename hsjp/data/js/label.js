// LabelWidget: keypoints by clicking, one person a picture.
function render({ model, el }) {
  const { pictures, names, limbs } = model.get('given'), k = names.length, last = pictures.length - 1;
  const box = root(el, 'label keypoints'), status = tag('div', { role: 'status' }), stage = tag('div'), past = [];
  const mine = () => model.get('labels')[model.get('person')], points = () => held?.points ?? mine();
  const frame = () => held?.box ?? model.get('boxes')[model.get('person')];
  const images = pictures.map(() => null);
  let held = null, hidden = false, boxing = false, view = null, scale = 1;

  const at = () => model.get('keypoint'), person = () => model.get('person');
  const swap = (list, i, value) => list.map((v, j) => j === i ? value : v);
  const keep = values => { past.push({ labels: model.get('labels'), boxes: model.get('boxes'), person: person(), keypoint: at() }); put(model, values); };
  const write = (i, value, next) => keep({ labels: swap(model.get('labels'), person(), swap(mine(), i, value)), keypoint: next });
  const open = i => { const v = mine(); for (let d = 1; d <= k; d++) if (v[(i + d) % k][2] === -1) return (i + d) % k; return i; };
  const inside = ([x, y]) => [[x, pictures[person()].width], [y, pictures[person()].height]].map(([v, most]) => Math.round(10*Math.max(0, Math.min(most - .1, v)))/10);
  const turn = d => { hidden = boxing = false; put(model, { person: Math.max(0, Math.min(last, person() + d)), keypoint: 0 }); };
  const undo = () => { const before = past.pop(); if (before) put(model, before); };
  const hide = () => {
    const i = at(), [x, y, v] = mine()[i];
    if (v > 0) write(i, [x, y, 3 - v], i); else { hidden = !hidden; draw(); }
  };
  const gone = () => write(at(), [0, 0, 0], open(at()));
  const nudge = (dx, dy) => {
    const i = at(), { width, height } = pictures[person()], [x, y, v] = mine()[i];
    v > 0 ? write(i, [...inside([x + dx, y + dy]), v], i) : write(i, [width/2, height/2, hidden ? 1 : 2], i);
    hidden = false;
  };
  const enter = () => at() < k - 1 ? put(model, { keypoint: at() + 1 }) : turn(1);

  const pick = choice('keypoint', names.map((t, i) => [i, t]), 0, i => put(model, { keypoint: +i }));
  const hideButton = toggle('Hidden', false, hide), boxButton = toggle('Draw box', false, on => { boxing = on; draw(); });
  const back = button('Undo', undo), before = button('Previous picture', () => turn(-1)), after = button('Next picture', () => turn(1));
  box.append(tag('div', { class: 'hs-row' }, pick, hideButton, button('Not there', gone), back, boxButton), status, stage,
    tag('div', { class: 'hs-row' }, before, after), tag('div', { class: 'hs-row' }, tag('small', {},
      'Click: place. Right-click: place a hidden one. Drag: mend. Keys on the picture: arrows move by a pixel (Shift: ten), '
      + 'Enter next, Backspace back, H hidden, N not there, U undo, Page Up and Page Down other pictures.')));

  const build = () => {
    const { width, height } = pictures[person()];
    scale = Math.min(640/width, 520/height);
    view = board(width*scale, height*scale, '', { tabindex: 0 });
    stage.replaceChildren(view);
    let from = null, which = -1;
    const there = e => inside([e.x/scale, e.y/scale]);
    const nearest = e => {
      const far = mine().map(([x, y, v]) => v > 0 ? Math.hypot(x*scale - e.x, y*scale - e.y) : Infinity), i = far.indexOf(Math.min(...far));
      return far[i] < 10 ? i : -1;
    };
    let right = false;
    view.addEventListener('contextmenu', e => { e.preventDefault(); e.stopPropagation(); });
    view.addEventListener('pointerdown', e => { right = e.button === 2 || e.ctrlKey; }, true);
    draggable(view, {
      grab: e => {
        if (boxing) { from = there(e); held = { box: [...from, 0, 0] }; return true; }
        which = nearest(e);
        if (which < 0 || right) held = { points: swap(mine(), which = at(), [...there(e), right || hidden ? 1 : 2]), placed: true };
        else { held = { points: mine() }; put(model, { keypoint: which }); }
        draw();
      },
      move: e => {
        const [x, y] = there(e);
        if (boxing) held.box = [Math.min(x, from[0]), Math.min(y, from[1]), Math.abs(x - from[0]), Math.abs(y - from[1])].map(v => Math.round(10*v)/10);
        else { held.points = swap(held.points, which, [x, y, held.points[which][2]]); held.moved = true; }
        draw();
      },
      drop: () => {
        const now = held, drawn = boxing;
        held = null; hidden = boxing = false;
        if (drawn) keep({ boxes: swap(model.get('boxes'), person(), now.box[2] > 3 && now.box[3] > 3 ? now.box : null) });
        else if (now.placed || now.moved) write(which, now.points[which], now.placed ? open(which) : which);
        draw();
      },
    });
    keys(view, { onstep: (dx, dy, e) => nudge(dx*(e.shiftKey ? 10 : 1), dy*(e.shiftKey ? 10 : 1)), Enter: enter,
      Backspace: () => put(model, { keypoint: Math.max(0, at() - 1) }), h: hide, n: gone, u: undo,
      PageUp: () => turn(-1), PageDown: () => turn(1) });
    const i = person();
    if (!images[i]) loadPicture(pictures[i].url).then(im => { images[i] = im; draw(); });
  };
  const draw = () => {
    const i = person(), c = at(), now = points(), placed = now.filter(([, , v]) => v > 0).length, g = view.pen();
    const left = now.filter(([, , v]) => v < 0).length, { width, height } = pictures[i], [x, y, v] = now[c];
    pick.set(c); hideButton.set(v > 0 ? v === 1 : hidden); boxButton.set(boxing);
    back.disabled = !past.length; before.disabled = !i; after.disabled = i === last;
    const state = v > 0 ? `at ${x.toFixed(1)}, ${y.toFixed(1)}${v === 1 ? ', hidden' : ''}` : v === 0 ? 'not there' : 'click where it is';
    status.textContent = `Picture ${i + 1} of ${last + 1}. ${names[c]}: ${boxing ? 'draw the box' : state}. ${placed} placed, ${left} to go.`;
    view.setAttribute('aria-label', status.textContent);
    if (images[i]) g.drawImage(images[i], 0, 0, width*scale, height*scale);
    const b = frame();
    if (b) { g.setLineDash([6, 4]); g.lineWidth = 2; g.strokeStyle = '#fff'; g.strokeRect(...b.map(v => v*scale)); g.setLineDash([]); }
    drawPose(g, now, limbs, names, { shown: now.map(p => p[2] > 0), scale, width: 3 });
    now.forEach(([x, y, v], j) => {
      if (v < 1 || (v === 2 && j !== c)) return;
      g.beginPath(); g.arc(x*scale, y*scale, j === c ? 9 : 6, 0, 7);
      g.strokeStyle = '#fff'; g.lineWidth = 2; g.setLineDash(v === 1 ? [3, 3] : []); g.stroke(); g.setLineDash([]);
    });
  };
  const whole = () => { build(); draw(); };
  watch(model, ['person'], whole);
  watch(model, ['labels', 'boxes', 'keypoint'], draw);
  build();
  return redraw(box, draw);
}
