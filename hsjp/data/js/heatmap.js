// A point becomes a Gaussian on a heatmap, and is read back in three ways.
const HEATMAP_SIZE = 224, HEATMAP_STRIDE = 4, HEATMAP_SIDE = HEATMAP_SIZE/HEATMAP_STRIDE, HEATMAP_ZOOM = 6;
const HEATMAP_MARKS = { argmax: ['■', '#e8710a'], quarter: ['▲', '#4fc3f7'], dark: ['◆', '#ff4fa3'] };

// As `hsjp.heatmap.decode_heatmaps`, of one map: {method: [x, y]} in input pixels
function heatmapDecode(map, w, h, stride) {
  const between = (v, low, high) => Math.max(low, Math.min(high, v));
  let top = 0;
  for (let i = 1; i < w*h; i++) if (map[i] > map[top]) top = i;
  const peak = [top % w, Math.floor(top/w)];
  const inner = [between(peak[0], 1, w - 2), between(peak[1], 1, h - 2)];
  const at = (dx, dy) => map[(inner[1] + dy)*w + inner[0] + dx];
  const slope = [at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)];
  const floor = Math.max(map[top], 1e-30)*1e-9, log = (dx, dy) => Math.log(Math.max(at(dx, dy), floor));
  const dx = (log(1, 0) - log(-1, 0))/2, dy = (log(0, 1) - log(0, -1))/2;
  const dxx = log(1, 0) - 2*log(0, 0) + log(-1, 0), dyy = log(0, 1) - 2*log(0, 0) + log(0, -1);
  const dxy = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1))/4, det = dxx*dyy - dxy*dxy;
  const offset = det > 1e-9 && dxx < 0 ? [(dxy*dy - dyy*dx)/det, (dxy*dx - dxx*dy)/det] : [0, 0];
  const moved = offset[0] || offset[1];
  const points = move => [0, 1].map(k => (peak[k] + .5 + move(k))*stride);
  return {
    argmax: points(() => 0),
    quarter: points(k => inner[k] === peak[k] ? .25*Math.sign(slope[k]) : 0),
    dark: points(k => moved ? between(inner[k] + offset[k] - peak[k], -1, 1) : 0),
  };
}

function render({ model, el }) {
  const box = root(el, 'a point on a heatmap'), side = 336, cell = side/HEATMAP_SIDE, big = side/HEATMAP_ZOOM;
  const whole = board(side, side, '', { tabindex: 0 }), near = board(side, side, '', { tabindex: 0 });
  const status = tag('div', { role: 'status' }), body = tag('tbody');
  let map, found, errors, corner = [0, 0], frozen = false, asked = 0;
  const point = () => [model.get('x'), model.get('y')];

  function decode() {
    const [x, y] = point(), noise = model.get('noise'), chance = random(model.get('seed'));
    map = gaussianMap(x/HEATMAP_STRIDE, y/HEATMAP_STRIDE, HEATMAP_SIDE, HEATMAP_SIDE, model.get('sigma'));
    if (noise) for (let i = 0; i < map.length; i++) map[i] += noise*normal(chance);
    found = heatmapDecode(map, HEATMAP_SIDE, HEATMAP_SIDE, HEATMAP_STRIDE);
    errors = Object.fromEntries(Object.entries(found).map(([m, p]) => [m, Math.hypot(p[0] - x, p[1] - y)]));
  }
  // What the reader changes; the errors follow
  function change(values) {
    put(model, values);
    decode();
    put(model, { errors });
    later();
  }
  function go(x, y) {
    const limit = v => Math.max(0, Math.min(HEATMAP_SIZE, Math.round(v*100)/100));
    change({ x: limit(x), y: limit(y) });
  }

  function mark(g, kind, x, y) {
    const r = 7;
    g.beginPath();
    if (kind === 'argmax') g.rect(x - r, y - r, 2*r, 2*r);
    else for (const [dx, dy] of kind === 'quarter' ? [[0, -1.2], [1.1, .9], [-1.1, .9]] : [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]])
      g.lineTo(x + r*dx, y + r*dy);
    g.closePath();
    g.fillStyle = HEATMAP_MARKS[kind][1]; g.fill();
    g.strokeStyle = '#000'; g.lineWidth = 1; g.stroke();
  }
  function lines(g, step, from, colour) {
    g.strokeStyle = colour; g.lineWidth = 1; g.beginPath();
    for (let v = from; v < side; v += step) { g.moveTo(v, 0); g.lineTo(v, side); g.moveTo(0, v); g.lineTo(side, v); }
    g.stroke();
  }
  function rings(g, x, y, unit, broken) {
    const half = HEATMAP_SIDE/(2*model.get('n'))*unit;
    g.lineWidth = 2; g.strokeStyle = '#fff'; g.setLineDash([5, 4]);
    g.strokeRect(x - half, y - half, 2*half, 2*half);
    g.setLineDash([]); g.strokeStyle = broken ? '#ff6b5e' : '#fff';
    g.beginPath(); g.arc(x, y, 3*model.get('sigma')*unit, 0, 7); g.stroke();
  }
  function cross(g, x, y, r) {
    for (const [width, colour] of [[4, '#000'], [2, '#fff']]) {
      g.lineWidth = width; g.strokeStyle = colour;
      g.beginPath(); g.moveTo(x - r, y); g.lineTo(x + r, y); g.moveTo(x, y - r); g.lineTo(x, y + r); g.stroke();
    }
  }

  function draw() {
    decode();
    const [x, y] = point(), n = model.get('n'), sigma = model.get('sigma');
    const bound = HEATMAP_SIDE/(6*n), broken = sigma > bound, image = heatImage(map, HEATMAP_SIDE, HEATMAP_SIDE);
    const hx = x/HEATMAP_STRIDE, hy = y/HEATMAP_STRIDE, last = HEATMAP_SIDE - HEATMAP_ZOOM;
    if (!frozen) corner = [hx, hy].map(v => Math.max(0, Math.min(last, Math.floor(v) - HEATMAP_ZOOM/2)));
    const [left, top] = corner;

    let g = whole.pen();
    g.imageSmoothingEnabled = false;
    g.drawImage(image, 0, 0, side, side);
    lines(g, side/n, side/n, 'rgba(255,255,255,.35)');
    rings(g, hx*cell, hy*cell, cell, broken);
    cross(g, hx*cell, hy*cell, 7);

    g = near.pen();
    g.imageSmoothingEnabled = false;
    g.drawImage(image, left, top, HEATMAP_ZOOM, HEATMAP_ZOOM, 0, 0, side, side);
    lines(g, big, big, 'rgba(255,255,255,.18)');
    const place = ([px, py]) => [(px/HEATMAP_STRIDE - left)*big, (py/HEATMAP_STRIDE - top)*big];
    for (const method of Object.keys(found)) mark(g, method, ...place(found[method]));
    cross(g, ...place([x, y]), 10);

    const px = v => v.toFixed(2), said = Object.keys(found).map(m => `${m} ${px(errors[m])}`).join(', ');
    const row = (m, [sign, colour], p, error) => tag('tr', {},
      tag('td', { style: 'text-align:left' }, tag('span', { style: `color:${colour}` }, sign), ` ${m}`),
      tag('td', {}, px(p[0])), tag('td', {}, px(p[1])), tag('td', {}, error));
    body.replaceChildren(row('the point', ['✚', ink(box)], [x, y], ''),
      ...Object.keys(found).map(m => row(m, HEATMAP_MARKS[m], found[m], px(errors[m]))));
    const label = `the point is at x ${px(x)}, y ${px(y)} input pixels; errors in input pixels: ${said}`;
    whole.setAttribute('aria-label', `heatmap, 56 by 56 pixels; ${label}`);
    near.setAttribute('aria-label', `a part of the heatmap, enlarged; ${label}`);
    status.className = broken ? 'bad' : 'good';
    status.textContent = `3σ is ${(3*sigma).toFixed(1)} heatmap pixels, half a patch at N = ${n} is ${(3*bound).toFixed(1)}: ` +
      (broken ? `the bound σ < ${bound.toFixed(2)} is broken; the Gaussian reaches into other patches.`
        : `the bound σ < ${bound.toFixed(2)} is kept; the Gaussian stays inside its patch.`);
    sliders.forEach(s => s.set(model.get(s.name)));
  }
  const later = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };

  const control = (name, text, min, max, step, digits) => Object.assign(
    slider(text, { min, max, step, value: model.get(name), oninput: v => change({ [name]: v }), show: v => (+v).toFixed(digits) }), { name });
  const sliders = [control('sigma', 'σ in heatmap pixels', .3, 5, .05, 2), control('noise', 'noise', 0, .3, .01, 2),
    control('n', 'N', 2, 8, 1, 0)];
  const pull = (canvas, move) => {
    draggable(canvas, { grab: p => { frozen = true; move(p); }, move, drop: () => { frozen = false; later(); } });
    keys(canvas, { onstep: (dx, dy, e) => { const [x, y] = point(), by = e.shiftKey ? HEATMAP_STRIDE : .5; go(x + by*dx, y + by*dy); } });
  };
  pull(whole, p => go(p.x/cell*HEATMAP_STRIDE, p.y/cell*HEATMAP_STRIDE));
  pull(near, p => go((corner[0] + p.x/big)*HEATMAP_STRIDE, (corner[1] + p.y/big)*HEATMAP_STRIDE));
  box.append(
    tag('div', { class: 'hs-row' }, ...sliders, button('other noise', () => change({ seed: model.get('seed') + 1 }))),
    status,
    tag('div', { class: 'panels' },
      tag('figure', {}, whole, tag('figcaption', {}, 'The heatmap: drag the point. Circle: 3σ. Dashed: a patch.')),
      tag('figure', {}, near, tag('figcaption', {}, 'Enlarged: each square is 4 × 4 input pixels. Drag here for small steps.')),
      tag('figure', {}, tag('table', {}, tag('thead', {}, tag('tr', {},
        ...['read as', 'x', 'y', 'error'].map(t => tag('th', { scope: 'col' }, t)))), body),
      tag('figcaption', {}, 'In input pixels. Arrow keys: half a pixel; with Shift: 4.'))));
  watch(model, ['x', 'y', 'sigma', 'noise', 'n', 'seed'], later);
  return redraw(box, draw);
}
