// A puzzle to solve by hand, against a network. State: n, slots (where each patch is), moves, seconds, solved,
// pictures and person (which of them); points: where the network sees each patch, in shares of the side; found: how many of them are right.
const INPUT = 64;   // side of the network's input in pixels

function render({ model, el }) {
  const S = 300, box = root(el, 'jigsaw puzzle'), get = k => model.get(k);
  const canvas = board(S, S, 'puzzle', { tabindex: 0 });
  const peaks = board(S, S, 'where the network sees each patch'), back = board(S, S, 'what the network puts back');
  const maps = board(S, S, 'heatmaps, each at the home of its patch');
  const status = tag('div', { role: 'status' }), order = tag('code'), rival = tag('div', { class: 'hs-row' });
  let image = null, square = null, held = null, cursor = null, picked = null, clock = 0, solving = false, zoom = 1, said = '';

  // ---- the puzzle ----
  const centre = (slot, n = get('n'), side = S) => [(slot % n + .5)*side/n, (Math.floor(slot/n) + .5)*side/n];
  const slotAt = ({ x, y }) => {
    const n = get('n'), k = v => Math.max(0, Math.min(n - 1, Math.floor(v*n/S)));
    return k(y)*n + k(x);
  };
  const patchAt = slot => get('slots').indexOf(slot);
  const home = () => get('slots').filter((s, i) => s === i).length;
  const forget = () => ({ points: [], found: 0 });
  function swap(a, b) {                                           // two slots
    if (a === b) return;
    if (!get('moves')) clock = performance.now();
    const slots = get('slots').map(s => s === a ? b : s === b ? a : s);
    const solved = slots.every((s, i) => s === i);
    put(model, { slots, solved, moves: get('moves') + 1, seconds: Math.round((performance.now() - clock)/100)/10 });
    get('points').length ? solve() : draw();
  }
  function shuffle(n = get('n')) {
    const watched = get('points').length > 0, slots = shuffled(n*n, random(Math.floor(1e9*Math.random())));
    picked = cursor = null; said = '';
    put(model, { n, slots, solved: false, moves: 0, seconds: 0, ...forget() });
    watched && knows(n) ? solve() : draw();
  }

  // ---- the network ----
  const knows = n => get('known').includes(`puzzles-${n}`);
  async function solve() {
    if (solving || !square) return;
    solving = true;
    const n = get('n'), slots = get('slots');
    try {
      if (!get('points').length) rival.textContent = said = 'loading the network ...';
      const net = await network(model, `puzzles-${n}`), began = performance.now();
      const heat = net.run(cutPuzzle(square, slots, n, INPUT), INPUT, INPUT), cells = INPUT/4;
      const found = decodePeaks(heat, n*n, cells, cells), took = performance.now() - began;
      const near = found.map(({ x, y }, i) => {
        const [cx, cy] = centre(slots[i], n, INPUT);
        return Math.hypot(x - cx, y - cy) < INPUT/(2*n);
      });
      put(model, { points: found.map(({ x, y }) => [x/INPUT, y/INPUT]), found: near.filter(Boolean).length });
      showRival(heat, found, near, took, n, slots);
    } catch (e) { said = e.message; }
    solving = false;
    draw();
    if (get('points').length && (n !== get('n') || slots.join() !== get('slots').join())) shown() && solve();
  }
  const shown = () => !panel.hidden && knows(get('n'));
  function showRival(heat, found, near, took, n, slots) {
    panel.hidden = false;
    const cells = INPUT/4, w = S/n, all = near.every(Boolean);
    let g = peaks.pen();
    tiles(g, slots, .55);
    found.forEach(({ x, y }, i) => {
      const [cx, cy] = centre(slots[i]), [px, py] = [x*S/INPUT, y*S/INPUT];
      g.strokeStyle = g.fillStyle = near[i] ? '#34a853' : '#ff5a4d'; g.lineWidth = 2.5;
      g.beginPath(); g.moveTo(cx, cy); g.lineTo(px, py); g.stroke();
      g.beginPath(); g.arc(px, py, 5, 0, 7); g.fill();
    });
    g = maps.pen();
    for (let i = 0; i < n*n; i++) {
      const tile = heatImage(heat.subarray(i*cells*cells, (i + 1)*cells*cells), cells, cells, .8);
      g.imageSmoothingEnabled = false;
      g.drawImage(tile, (i % n)*w + 1, Math.floor(i/n)*w + 1, w - 2, w - 2);
    }
    g = back.pen();
    const believed = assignSlots(found, n, INPUT);
    tiles(g, slots.map((_, i) => believed.indexOf(slots[i])), 1);
    const right = near.filter(Boolean).length;
    rival.replaceChildren(tag('span', { class: all ? 'good' : 'bad' },
      `The network: ${right} of ${n*n} patches${all ? ', solved' : ''}, in ${took.toFixed(0)} ms. ` +
      `You: ${home()} of ${n*n}, ${get('moves')} moves.`));
    peaks.setAttribute('aria-label', `the network finds ${right} of ${n*n} patches; hits are green, misses red`);
  }

  // ---- drawing ----
  function tiles(g, slots, alpha, skip = -1) {
    const n = get('n'), w = S/n, side = square.width/n, gap = .8;
    g.globalAlpha = alpha;
    slots.forEach((slot, i) => {
      if (slot === skip || slot < 0) return;
      const x = slot % n*w, y = Math.floor(slot/n)*w;
      g.drawImage(sheet, i % n*side, Math.floor(i/n)*side, side, side, x + gap, y + gap, w - 2*gap, w - 2*gap);
    });
    g.globalAlpha = 1;
  }
  function draw() {
    const n = get('n'), slots = get('slots'), w = S/n, g = canvas.pen();
    move.set(n);
    if (square && slots.length === n*n) {
      tiles(g, slots, 1, held ? held.slot : -1);
      for (const [slot, colour] of [[picked, '#e8710a'], [document.activeElement === canvas ? cursor : null, ink(box)]])
        if (slot !== null) {
          g.strokeStyle = colour; g.lineWidth = 3;
          g.strokeRect(slot % n*w + 2, Math.floor(slot/n)*w + 2, w - 4, w - 4);
        }
      if (held) {
        const i = patchAt(held.slot), side = square.width/n;
        g.globalAlpha = .85;
        g.drawImage(sheet, i % n*side, Math.floor(i/n)*side, side, side, held.x - w/2, held.y - w/2, w, w);
        g.globalAlpha = 1;
      }
    }
    const chance = `a guess puts one patch in ${n*n} right`;
    status.className = get('solved') ? 'good' : '';
    status.textContent = get('solved') ? `Solved in ${get('moves')} moves and ${get('seconds')} seconds.`
      : `${home()} of ${n*n} patches at home; ${get('moves')} moves; ${chance}.`;
    order.textContent = `slots = [${slots.join(', ')}]`;
    canvas.setAttribute('aria-label', `puzzle of ${n} x ${n} patches, ${get('solved') ? 'solved' : `${home()} at home`}` +
      (cursor === null ? '' : `; at row ${Math.floor(cursor/n) + 1}, column ${cursor % n + 1}`));
    ask.disabled = !knows(n);
    ask.title = knows(n) ? '' : 'the networks that come along solve 2 x 2 and 3 x 3';
    if (!knows(n)) { panel.hidden = true; rival.textContent = 'The networks that come along solve 2 x 2 and 3 x 3.'; }
    else if (!get('points').length) { panel.hidden = true; rival.textContent = said; }
  }

  // ---- the picture ----
  let sheet = null;
  function cut() {                                                 // the central square, closer by the zoom
    if (!image) return;
    const side = Math.min(image.width, image.height)/zoom;
    square = pixels(image, 240, 240, [(image.width - side)/2, (image.height - side)/2, side, side]);
    sheet = tag('canvas', { width: 240, height: 240 });
    sheet.getContext('2d').putImageData(square, 0, 0);
    get('points').length ? solve() : draw();
  }
  const load = () => loadPicture(get('pictures')[get('person')]).then(im => { image = im; cut(); });
  const next = () => { put(model, { person: (get('person') + 1) % get('pictures').length }); shuffle(); load(); };

  // ---- hands ----
  draggable(canvas, {
    grab: p => { if (get('solved')) return false; picked = null; held = { ...p, slot: slotAt(p) }; draw(); },
    move: p => { Object.assign(held, p); draw(); },
    drop: p => { const from = held.slot; held = null; cursor = null; swap(from, slotAt(p)); draw(); },
  });
  const choose = () => {
    if (cursor === null || get('solved')) return;
    if (picked === null) picked = cursor;
    else { const from = picked; picked = null; swap(from, cursor); }
    draw();
  };
  keys(canvas, {
    onstep(dx, dy) {
      const n = get('n'), [x, y] = cursor === null ? [0, 0] : [cursor % n + dx, Math.floor(cursor/n) + dy];
      cursor = Math.max(0, Math.min(n - 1, y))*n + Math.max(0, Math.min(n - 1, x));
      draw();
    }, Enter: choose, Space: choose, Escape: () => { picked = null; draw(); },
  });
  for (const e of ['focus', 'blur']) canvas.addEventListener(e, () => draw());

  const move = slider('N', { min: 2, max: 8, value: get('n'), oninput: n => shuffle(n), show: n => `${n} x ${n}` });
  const ask = button('let the network try', () => { put(model, { points: get('points') }); solve(); });
  const panel = tag('div', { class: 'panels', hidden: true },
    tag('figure', {}, peaks, tag('figcaption', {}, 'from each patch to where the network sees it')),
    tag('figure', {}, maps, tag('figcaption', {}, 'one heatmap a patch, at its home')),
    tag('figure', {}, back, tag('figcaption', {}, 'put back by the network')));
  box.append(
    tag('div', { class: 'hs-row' }, move, button('shuffle', () => shuffle()),
      get('pictures').length > 1 ? button('next person', next) : '', ask,
      slider('zoom', { min: .7, max: 2, step: .02, value: 1, oninput: v => { zoom = v; cut(); }, show: v => v.toFixed(1) }),
      photoDrop('your own photo', im => { image = im; cut(); })),
    canvas, status, tag('div', {}, order), rival, panel,
    tag('small', {}, 'Drag a patch to its home, or use the arrow keys and Enter. A photo stays in this page.'));
  canvas.style.cursor = 'grab';
  watch(model, ['n', 'slots', 'solved', 'moves'], draw);
  watch(model, ['pictures', 'person'], load);
  load();
  return redraw(box, draw);
}
