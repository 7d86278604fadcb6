// What all widgets share. Python puts this file before a widget's own and makes one module of both.

// ---- the page ----
const STYLE = `
.hsjp{--accent:#e8710a;--good:#188038;--bad:#d93025;--quiet:#80868b;color:var(--jp-ui-font-color1,var(--bs-body-color,inherit));
  font:15px/1.45 system-ui,sans-serif;max-width:100%;container-type:inline-size}
.hsjp *{box-sizing:border-box} .hsjp [hidden]{display:none!important}
.hsjp .hs-row{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;margin:.4rem 0}
.hsjp .panels{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}
.hsjp figure{margin:0;max-width:100%} .hsjp figcaption{font-size:13px;color:var(--quiet)}
.hsjp canvas{display:block;max-width:100%;border-radius:4px;touch-action:none;outline-offset:2px}
.hsjp canvas:focus-visible{outline:2px solid var(--accent)}
.hsjp button,.hsjp select{font:inherit;color:inherit;background:transparent;border:1px solid currentColor;border-radius:6px;
  padding:.25rem .7rem;min-height:2.1rem;cursor:pointer}
.hsjp select option{color:#222;background:#fff}
.hsjp button:hover{border-color:var(--accent)} .hsjp button:disabled{opacity:.45;cursor:default}
.hsjp button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:#fff}
.hsjp label{display:inline-flex;gap:.5rem;align-items:center} .hsjp input[type=range]{accent-color:var(--accent);width:9rem}
.hsjp output{font-variant-numeric:tabular-nums;min-width:2.5em}
.hsjp [role=status]{min-height:1.5em} .hsjp .good{color:var(--good)} .hsjp .bad{color:var(--bad)}
.hsjp table{border-collapse:collapse;font-variant-numeric:tabular-nums} .hsjp td,.hsjp th{padding:.1rem .6rem;text-align:right}`;

// An element with attributes and children: tag('p', {class: 'x', onclick: f}, 'text', child)
function tag(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) {
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v !== false && v != null) e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children);
  return e;
}

// The widget's root: style, and keys that JupyterLab would otherwise take
function root(el, label) {
  const box = tag('div', { class: 'hsjp', role: 'group', 'aria-label': label }, tag('style', {}, STYLE));
  box.addEventListener('keydown', e => e.stopPropagation());
  el.replaceChildren(box);
  return box;
}

const button = (text, onclick, attributes = {}) => tag('button', { type: 'button', onclick, ...attributes }, text);

// A labelled slider; `show` makes the text beside it; the result's `.set(v)` moves it without an event
function slider(text, { min, max, step = 1, value, oninput, show = String }) {
  const out = tag('output', { 'aria-hidden': 'true' }, show(value));
  const input = tag('input', { type: 'range', min, max, step, value, 'aria-label': text });
  input.addEventListener('input', () => { out.textContent = show(+input.value); oninput(+input.value); });
  const label = tag('label', {}, text, input, out);
  label.set = v => { input.value = v; out.textContent = show(v); };
  return label;
}

// A labelled choice of [value, text] pairs
function choice(text, pairs, value, onchange) {
  const select = tag('select', { 'aria-label': text },
    ...pairs.map(([v, t]) => tag('option', { value: v, selected: String(v) === String(value) }, t)));
  select.addEventListener('change', () => onchange(select.value));
  const label = tag('label', {}, text, select);
  label.set = v => { select.value = v; };
  return label;
}

// A button that is on or off
function toggle(text, on, onchange) {
  const b = button(text, () => { b.set(b.getAttribute('aria-pressed') !== 'true'); onchange(b.getAttribute('aria-pressed') === 'true'); });
  b.set = v => b.setAttribute('aria-pressed', v);
  b.set(on);
  return b;
}

// A canvas of w x h units, sharp on any screen; `.pen()` gives a cleared context, `.at(event)` the place in units
function board(w, h, label, attributes = {}) {
  const canvas = tag('canvas', { role: 'img', 'aria-label': label, ...attributes });
  const ratio = Math.min(3, globalThis.devicePixelRatio || 1);
  canvas.width = Math.round(w*ratio); canvas.height = Math.round(h*ratio);
  Object.assign(canvas.style, { width: `${w}px`, aspectRatio: `${w} / ${h}` });
  canvas.pen = () => {
    const g = canvas.getContext('2d');
    g.setTransform(canvas.width/w, 0, 0, canvas.height/h, 0, 0);
    g.clearRect(0, 0, w, h);
    return g;
  };
  canvas.at = e => {
    const r = canvas.getBoundingClientRect();
    return { x: (e.clientX - r.left)*w/r.width, y: (e.clientY - r.top)*h/r.height };
  };
  return canvas;
}

// Mouse, pen and finger: grab(place) says whether it takes hold, move(place), drop(place)
function draggable(canvas, { grab, move, drop = () => {} }) {
  let held = false;
  canvas.addEventListener('pointerdown', e => {
    held = grab(canvas.at(e)) !== false;
    if (held) canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener('pointermove', e => held && move(canvas.at(e)));
  for (const end of ['pointerup', 'pointercancel'])
    canvas.addEventListener(end, e => { if (held) { held = false; drop(canvas.at(e)); } });
}

// Arrow keys as steps: onstep(dx, dy, event); other keys by name
function keys(element, { onstep = () => {}, ...others }) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  element.addEventListener('keydown', e => {
    const name = e.key === ' ' ? 'Space' : e.key;
    if (!(name in steps) && !(name in others)) return;
    e.preventDefault();
    name in steps ? onstep(...steps[name], e) : others[name](e);
  });
}

// Colours of the page: is the text light?
function dark(el) {
  const [r, g, b] = (getComputedStyle(el).color.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
  return .299*r + .587*g + .114*b > 140;
}
const ink = el => dark(el) ? '#e8eaed' : '#202124';
const paper = el => dark(el) ? '#17181a' : '#ffffff';

// Draw now, when the page changes its theme or the widget its size; returns the function that ends it
function redraw(el, draw) {
  let asked = 0;
  const themed = () => { // words in these colours can be read on the page
    const tones = dark(el) ? ['#81c995', '#f28b82', '#9aa0a6'] : ['#188038', '#c5221f', '#5f6368'];
    ['--good', '--bad', '--quiet'].forEach((name, i) => el.style.setProperty(name, tones[i]));
    draw();
  };
  const soon = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(themed); };
  const themes = new MutationObserver(() => setTimeout(soon, 80)), size = new ResizeObserver(soon);
  for (const e of [document.documentElement, document.body]) themes.observe(e, { attributes: true });
  size.observe(el);
  themed();
  return () => { themes.disconnect(); size.disconnect(); cancelAnimationFrame(asked); };
}

// Set several values of the model at once
function put(model, values) {
  for (const [k, v] of Object.entries(values)) model.set(k, v);
  model.save_changes();
}
const watch = (model, names, f) => names.forEach(k => model.on(`change:${k}`, f));

// ---- pictures ----
const loadPicture = url => new Promise((ok, fail) => {
  const im = new Image();
  im.onload = () => ok(im);
  im.onerror = () => fail(new Error('this file is no picture that the browser can open'));
  im.src = url;
});

// A file that the reader drops or chooses; it stays in the page
function photoDrop(text, ongive) {
  const input = tag('input', { type: 'file', accept: 'image/*', hidden: true, 'aria-label': text });
  const take = async file => {
    if (!file) return;
    const url = URL.createObjectURL(file);
    try { ongive(await loadPicture(url)); } catch (e) { b.title = e.message; b.textContent = e.message; } finally { URL.revokeObjectURL(url); }
  };
  input.addEventListener('change', () => take(input.files[0]));
  const b = button(text, () => input.click());
  b.addEventListener('dragover', e => e.preventDefault());
  b.addEventListener('drop', e => { e.preventDefault(); take(e.dataTransfer.files[0]); });
  return tag('span', {}, b, input);
}

// The pixels of (a part of) a picture, scaled to w x h: ImageData
function pixels(image, w, h, from = [0, 0, image.width, image.height]) {
  const c = tag('canvas', { width: w, height: h }), g = c.getContext('2d', { willReadFrequently: true });
  g.imageSmoothingQuality = 'high';
  g.drawImage(image, ...from, 0, 0, w, h);
  return g.getImageData(0, 0, w, h);
}

// ---- heatmaps ----
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
function viridis(v) {
  const t = Math.max(0, Math.min(1, v))*(VIRIDIS.length - 1), i = Math.min(VIRIDIS.length - 2, Math.floor(t));
  return VIRIDIS[i].map((a, k) => a + (VIRIDIS[i + 1][k] - a)*(t - i));
}
// values (h*w, 0 to `top`) as a small canvas to draw with `drawImage`; `alpha`: values are also the opacity
function heatImage(values, w, h, top = 1, alpha = false) {
  const c = tag('canvas', { width: w, height: h }), g = c.getContext('2d'), im = g.createImageData(w, h);
  for (let i = 0; i < w*h; i++) {
    const v = values[i]/top;
    im.data.set([...viridis(v), alpha ? 255*Math.max(0, Math.min(1, v)) : 255], 4*i);
  }
  g.putImageData(im, 0, 0);
  return c;
}
// A Gaussian about (x, y) in heatmap pixels, where the centre of the first pixel is (.5, .5), as hsjp draws it
function gaussianMap(x, y, w, h, sigma) {
  const out = new Float32Array(w*h), f = (i, c) => Math.exp(-((i + .5 - c)**2)/(2*sigma*sigma));
  const row = Array.from({ length: w }, (_, i) => f(i, x)), column = Array.from({ length: h }, (_, i) => f(i, y));
  for (let j = 0; j < h; j++) for (let i = 0; i < w; i++) out[j*w + i] = row[i]*column[j];
  return out;
}

// ---- chance ----
// mulberry32: the same seed, the same numbers in [0, 1)
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = a + 0x6D2B79F5 | 0;
    let t = Math.imul(a ^ a >>> 15, 1 | a);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0)/4294967296;
  };
}
const normal = rnd => Math.sqrt(-2*Math.log(1 - rnd()))*Math.cos(2*Math.PI*rnd());
// Durstenfeld's shuffle; never the order 0, 1, 2 ... (a puzzle that is solved already is none)
function shuffled(count, rnd) {
  const order = [...Array(count).keys()];
  for (let i = count - 1; i > 0; i--) { const j = Math.floor(rnd()*(i + 1)); [order[i], order[j]] = [order[j], order[i]]; }
  return count > 1 && order.every((v, i) => v === i) ? shuffled(count, rnd) : order;
}

// ---- people ----
// Limbs coloured by side: orange left, blue right; points [[x, y], ...]; shown[k] falsy: not drawn
function drawPose(g, points, limbs, names, { shown = points.map(() => 1), scale = 1, width = 3 } = {}) {
  const colour = k => names[k].startsWith('left') ? '#ff7f0e' : names[k].startsWith('right') ? '#1f77b4' : '#2ca02c';
  g.lineCap = 'round';
  for (const [a, b] of limbs) if (shown[a] && shown[b]) {
    g.strokeStyle = colour(b); g.lineWidth = width;
    g.beginPath(); g.moveTo(points[a][0]*scale, points[a][1]*scale); g.lineTo(points[b][0]*scale, points[b][1]*scale); g.stroke();
  }
  points.forEach(([x, y], k) => {
    if (!shown[k]) return;
    g.beginPath(); g.arc(x*scale, y*scale, width, 0, 7);
    g.fillStyle = colour(k); g.fill(); g.strokeStyle = '#fff'; g.lineWidth = 1; g.stroke();
  });
}

// ---- the network in the page ----
const nets = new Map();
// A network by its name, loaded once: from the kernel where there is one, else from what the page brings
function network(model, name) {
  if (!nets.has(name)) nets.set(name, ask(model, name).then(loadNet));
  nets.get(name).catch(() => nets.delete(name));
  return nets.get(name);
}
function ask(model, name) {
  if (model.network) return model.network(name);
  return new Promise((ok, fail) => {
    const answer = m => {
      if (m.network !== name) return;
      model.off('msg:custom', answer);
      m.spec ? ok(m.spec) : fail(new Error(m.error));
    };
    model.on('msg:custom', answer);
    model.send({ network: name });
  });
}
