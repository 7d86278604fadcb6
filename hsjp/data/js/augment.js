// A puzzle is turned, scaled and shifted; its patch centres and their Gaussians move along.
const AUGMENT_SIZE = 224, AUGMENT_STRIDE = 4, AUGMENT_EDGE = 44, AUGMENT_ARM = 92, AUGMENT_ZOOM = 1.5, AUGMENT_MOST = 400;
const AUGMENT_RANGE = { turn: 90, scale: .45, shift: .25 }, AUGMENT_PAPER = [45, .35, .1];

// ImageData blurred by a Gaussian of sigma pixels; edges repeat
function augmentBlur(im, sigma) {
  const { width: w, height: h } = im, reach = Math.ceil(3*sigma), bell = [];
  for (let i = -reach; i <= reach; i++) bell.push(Math.exp(-i*i/(2*sigma*sigma)));
  const sum = bell.reduce((a, b) => a + b, 0);
  const pass = (from, length, step, lines, jump) => {
    const to = new Float32Array(from.length);
    for (let l = 0; l < lines; l++) for (let i = 0; i < length; i++) for (let c = 0; c < 4; c++) {
      let v = 0;
      for (let k = -reach; k <= reach; k++) v += bell[k + reach]*from[4*(l*jump + Math.max(0, Math.min(length - 1, i + k))*step) + c];
      to[4*(l*jump + i*step) + c] = v/sum;
    }
    return to;
  };
  return new ImageData(Uint8ClampedArray.from(pass(pass(Float32Array.from(im.data), w, 1, h, w), h, w, w, 1)), w, h);
}

// Patch i of ImageData moves to places[i]
function augmentMove(im, places, n) {
  const out = new ImageData(im.width, im.height), p = im.width/n, w = im.width;
  places.forEach((to, i) => {
    for (let y = 0; y < p; y++) {
      const from = ((Math.floor(i/n)*p + y)*w + i % n*p)*4, at = ((Math.floor(to/n)*p + y)*w + to % n*p)*4;
      out.data.set(im.data.subarray(from, from + 4*p), at);
    }
  });
  return out;
}

// Mean step of colour across the borders of the patches
function augmentStep(im, n) {
  const w = im.width, p = w/n;
  let sum = 0, count = 0;
  for (let b = p; b < w; b += p) for (let i = 0; i < w; i++) for (let c = 0; c < 3; c++) {
    sum += Math.abs(im.data[4*(i*w + b) + c] - im.data[4*(i*w + b - 1) + c]) + Math.abs(im.data[4*(b*w + i) + c] - im.data[4*((b - 1)*w + i) + c]);
    count += 2;
  }
  return sum/count;
}

const augmentCanvas = im => { const c = tag('canvas', { width: im.width, height: im.height }); c.getContext('2d').putImageData(im, 0, 0); return c; };

function render({ model, el }) {
  const box = root(el, 'augmentation of a puzzle'), size = AUGMENT_SIZE, edge = AUGMENT_EDGE, cells = size/AUGMENT_STRIDE;
  const whole = (size + 2*edge)*AUGMENT_ZOOM, main = board(whole, whole, '', { tabindex: 0 }), plane = board(size, size, '');
  const seam = board(size, size, 'patches put home, enlarged where four meet');
  const status = tag('div', { role: 'status' }), leak = tag('div'), covered = tag('figcaption', {}, '');
  let views = null, union = new Float32Array(cells*cells), done = [], asked = 0;
  const move = () => ['turn', 'scale', 'shift_x', 'shift_y'].map(k => model.get(k));

  // Centres of the slots in which the patches lie, after turn, scale and shift
  function centres([turn, scale, sx, sy]) {
    const n = model.get('n'), a = turn*Math.PI/180, c = scale*Math.cos(a), s = scale*Math.sin(a);
    return model.get('slots').map(slot => {
      const x = (slot % n + .5)*size/n - size/2, y = (Math.floor(slot/n) + .5)*size/n - size/2;
      return [c*x - s*y + size/2 + sx*size, s*x + c*y + size/2 + sy*size];
    });
  }
  const inside = ([x, y]) => x >= 0 && x < size && y >= 0 && y < size;
  function change(values) {
    put(model, values);
    put(model, { mask: centres(move()).map(p => inside(p) ? 1 : 0) });
    later();
  }
  function set(values) {
    const limit = (v, middle, most) => Math.round(1000*Math.max(middle - most, Math.min(middle + most, v)))/1000;
    const rules = { turn: v => limit(v, 0, AUGMENT_RANGE.turn), scale: v => limit(v, 1, AUGMENT_RANGE.scale) };
    const shift = v => limit(v, 0, AUGMENT_RANGE.shift);
    change(Object.fromEntries(Object.entries(values).map(([k, v]) => [k, (rules[k] || shift)(v)])));
  }
  function drawRandom(times) {
    const draws = [...model.get('draws')], [turn, scale, shift] = AUGMENT_PAPER, round = v => Math.round(1000*v)/1000;
    for (let i = 0; i < times && draws.length < AUGMENT_MOST; i++) {
      const chance = random(model.get('seed') + 7919*draws.length), u = () => 2*chance() - 1;
      draws.push([u()*turn, 1 + u()*scale, u()*shift, u()*shift].map(round));
    }
    const last = draws[draws.length - 1];
    change({ draws, turn: last[0], scale: last[1], shift_x: last[2], shift_y: last[3] });
  }
  // The highest of `map` and the Gaussians of all centres inside
  function add(map, how) {
    const sigma = .95*cells/(6*model.get('n'));
    for (const p of centres(how).filter(inside)) {
      const g = gaussianMap(p[0]/AUGMENT_STRIDE, p[1]/AUGMENT_STRIDE, cells, cells, sigma);
      for (let i = 0; i < map.length; i++) if (g[i] > map[i]) map[i] = g[i];
    }
    return map;
  }
  function prepare(image) {
    const n = model.get('n'), side = Math.ceil(size/n)*n, whole = pixels(image, side, side), slots = model.get('slots');
    const back = slots.map((_, i) => slots.indexOf(i)), blur = im => augmentBlur(im, 2*side/size);
    const made = { none: augmentMove(whole, slots, n), before: augmentMove(blur(whole), slots, n), after: blur(augmentMove(whole, slots, n)) };
    views = Object.fromEntries(Object.entries(made).map(([k, im]) => {
      const home = augmentMove(im, back, n);
      return [k, { puzzle: augmentCanvas(im), home: augmentCanvas(home), step: augmentStep(home, n) }];
    }));
    views.side = side;
  }

  function drawMain(map, places) {
    const g = main.pen(), [turn, scale, sx, sy] = move(), a = turn*Math.PI/180;
    g.scale(AUGMENT_ZOOM, AUGMENT_ZOOM);
    const paint = () => {
      if (!views) return;
      g.save();
      g.translate(edge + size/2 + sx*size, edge + size/2 + sy*size); g.rotate(a); g.scale(scale*size/views.side, scale*size/views.side);
      g.drawImage(views[model.get('blur')].puzzle, -views.side/2, -views.side/2);
      g.restore();
    };
    g.globalAlpha = .22; paint(); g.globalAlpha = 1;
    g.save();
    g.beginPath(); g.rect(edge, edge, size, size); g.clip();
    g.fillStyle = '#000'; g.fillRect(edge, edge, size, size);
    paint();
    g.imageSmoothingEnabled = true;
    g.globalAlpha = .75; g.drawImage(heatImage(map, cells, cells, 1, true), edge, edge, size, size);
    g.restore();
    g.strokeStyle = ink(box); g.lineWidth = 1.5; g.strokeRect(edge, edge, size, size);
    g.font = '9px system-ui, sans-serif'; g.textAlign = 'center'; g.textBaseline = 'middle';
    places.forEach(([x, y], i) => {
      const good = inside([x, y]);
      g.beginPath(); g.arc(edge + x, edge + y, 7, 0, 7);
      g.fillStyle = good ? 'rgba(0,0,0,.55)' : '#9aa0a6'; g.fill();
      g.fillStyle = good ? '#fff' : '#202124'; g.fillText(i, edge + x, edge + y + .5);
    });
    const [middle, tip] = handles();
    g.lineWidth = 2; g.strokeStyle = '#e8710a';
    g.beginPath(); g.moveTo(middle.x + 11*Math.sin(a), middle.y - 11*Math.cos(a)); g.lineTo(tip.x, tip.y); g.stroke();
    g.beginPath(); g.arc(middle.x, middle.y, 11, 0, 7); g.stroke();
    g.beginPath(); g.arc(tip.x, tip.y, 7, 0, 7); g.fillStyle = '#e8710a'; g.fill();
    g.strokeStyle = '#fff'; g.stroke();
  }
  function handles() {
    const [turn, scale, sx, sy] = move(), a = turn*Math.PI/180, x = edge + size*(.5 + sx), y = edge + size*(.5 + sy);
    return [{ x, y }, { x: x + AUGMENT_ARM*scale*Math.sin(a), y: y - AUGMENT_ARM*scale*Math.cos(a) }];
  }
  function draw() {
    const n = model.get('n'), draws = model.get('draws'), places = centres(move()), out = places.filter(p => !inside(p)).length;
    if (done.some((d, i) => String(d) !== String(draws[i]))) { union.fill(0); done = []; }
    for (const d of draws.slice(done.length)) { add(union, d); done.push(d); }
    const now = add(new Float32Array(cells*cells), move()), all = union.map((v, i) => Math.max(v, now[i]));
    drawMain(now, places);
    let g = plane.pen();
    g.imageSmoothingEnabled = false;
    g.drawImage(heatImage(all, cells, cells), 0, 0, size, size);
    places.filter(inside).forEach(([x, y]) => { g.beginPath(); g.arc(x, y, 4, 0, 7); g.strokeStyle = '#fff'; g.lineWidth = 1.5; g.stroke(); });
    const share = (100*all.filter(v => v > .5).length/all.length).toFixed(0);
    covered.textContent = `The heatmap plane: Gaussians of ${draws.length} draw${draws.length === 1 ? '' : 's'} and of now. Over 0.5 on ${share} % of it.`;
    plane.setAttribute('aria-label', covered.textContent);

    g = seam.pen();
    if (views) {
      const corner = Math.floor(n/2)*views.side/n, part = 24, view = views[model.get('blur')];
      g.imageSmoothingEnabled = false;
      g.drawImage(view.home, corner - part, corner - part, 2*part, 2*part, 0, 0, size, size);
      g.fillStyle = '#e8710a';
      for (const v of [0, size - 9]) { g.fillRect(size/2 - 1, v, 2, 9); g.fillRect(v, size/2 - 1, 9, 2); }
      const step = k => views[k].step.toFixed(1);
      leak.textContent = `Colour steps by ${step(model.get('blur'))} of 255 at the true borders (not blurred: ${step('none')}, ` +
        `blurred before the cut: ${step('before')}, after it: ${step('after')}). ` + {
        none: '', before: 'Each patch holds colours of its true neighbours: they leak, and the network can match borders instead of bodies.',
        after: 'Each border is mixed with strangers: nothing leaks.' }[model.get('blur')];
    }
    const [turn, scale, sx, sy] = move();
    status.textContent = `${out} of ${n*n} centres are outside the input, so ${n*n - out} channels count in the loss.`;
    main.setAttribute('aria-label', `puzzle turned by ${turn.toFixed(0)} degrees, scaled by ${scale.toFixed(2)}, shifted by ` +
      `${(100*sx).toFixed(0)} % and ${(100*sy).toFixed(0)} %. ${status.textContent}`);
    sliders.forEach(s => s.set(model.get(s.name)));
    which.set(model.get('blur'));
    for (const b of [one, many]) b.disabled = draws.length >= AUGMENT_MOST;
    again.disabled = !draws.length;
  }
  const later = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };

  const control = (name, text, middle, most, step, show) => Object.assign(
    slider(text, { min: middle - most, max: middle + most, step, value: model.get(name), oninput: v => set({ [name]: v }), show }), { name });
  const percent = v => `${(100*v).toFixed(0)} %`;
  const sliders = [control('turn', 'turn', 0, AUGMENT_RANGE.turn, 1, v => `${(+v).toFixed(0)}°`),
    control('scale', 'scale', 1, AUGMENT_RANGE.scale, .01, v => (+v).toFixed(2)),
    control('shift_x', 'shift right', 0, AUGMENT_RANGE.shift, .01, percent), control('shift_y', 'shift down', 0, AUGMENT_RANGE.shift, .01, percent)];
  const which = choice('blur', [['none', 'none'], ['before', 'before the cut'], ['after', 'after the cut']], model.get('blur'),
    blur => { put(model, { blur }); later(); });
  const one = button('draw at random', () => drawRandom(1)), many = button('draw 20', () => drawRandom(20));
  const again = button('start again', () => change({ draws: [], turn: 0, scale: 1, shift_x: 0, shift_y: 0 }));
  let held = null;
  const place = p => ({ x: p.x/AUGMENT_ZOOM, y: p.y/AUGMENT_ZOOM });
  draggable(main, {
    grab: at => {
      const p = place(at), [middle, tip] = handles(), near = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
      const turning = near(p, tip) < 18 && near(p, tip) < near(p, middle);
      held = { turning, from: p, shift: [model.get('shift_x'), model.get('shift_y')] };
    },
    move: at => {
      const p = place(at), [middle] = handles(), x = p.x - middle.x, y = p.y - middle.y;
      if (held.turning) set({ turn: Math.atan2(x, -y)*180/Math.PI, scale: Math.hypot(x, y)/AUGMENT_ARM });
      else set({ shift_x: held.shift[0] + (p.x - held.from.x)/size, shift_y: held.shift[1] + (p.y - held.from.y)/size });
    },
  });
  keys(main, { onstep: (dx, dy, e) => {
    const [turn, scale, sx, sy] = move();
    set(e.shiftKey ? { turn: turn + 3*dx, scale: scale - .02*dy } : { shift_x: sx + .01*dx, shift_y: sy + .01*dy });
  } });
  box.append(tag('div', { class: 'hs-row' }, ...sliders), tag('div', { class: 'hs-row' }, one, many, again, which),
    tag('div', { class: 'panels' },
      tag('figure', { style: `flex:0 1 ${whole}px` }, main, status, tag('figcaption', {}, 'The input is inside the frame. Drag the picture to shift it, the ' +
        'orange handle to turn and scale it. Arrow keys: shift; with Shift: turn and scale. Grey numbers: masked.')),
      tag('figure', { style: 'flex:0 1 224px' }, plane, covered),
      tag('figure', { style: 'flex:0 1 300px' }, seam, tag('figcaption', {}, 'Patches put home, enlarged where four meet. Marks: the borders.'), leak)));
  watch(model, ['turn', 'scale', 'shift_x', 'shift_y', 'blur', 'draws'], later);
  const load = () => loadPicture(model.get('picture')).then(im => { prepare(im); later(); });
  watch(model, ['picture', 'slots'], () => { done = []; union.fill(0); load(); });
  load();
  return redraw(box, draw);
}
