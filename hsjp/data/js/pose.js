// A pose network at work on a person: drag the box, move its edges, drop a photo. State: picture, box (x, y, w, h
// in pixels of the picture), which (the network), points (x, y in pixels), scores, joints (names), limbs.
const HEIGHT = 128, WIDTH = 96;                  // the network's input in pixels
const SIDE = 480;                                // a photo is made this small

function render({ model, el }) {
  const box = root(el, 'pose network'), get = k => model.get(k);
  const status = tag('div', { role: 'status' }), place = tag('div');
  let canvas = null, image = null, data = null, scale = 1, running = false, again = false, heat = null, shown = -1, held = null;

  async function find() {
    if (running) { again = true; return; }
    running = true;
    try {
      if (!get('points').length) status.textContent = 'loading the network ...';
      const net = await network(model, get('which')), began = performance.now(), [x, y, w, h] = get('box');
      const from = personWindow({ x, y, w, h }, HEIGHT, WIDTH);
      heat = net.run(cropPicture(data, from, HEIGHT, WIDTH), HEIGHT, WIDTH);
      const found = decodePeaks(heat, net.n_out, HEIGHT/4, WIDTH/4), took = performance.now() - began;
      put(model, { points: found.map(p => [from.x + p.x*from.w/WIDTH, from.y + p.y*from.h/HEIGHT]),
        scores: found.map(p => p.score) });
      const sure = get('scores').filter(s => s > .3).length;
      status.textContent = `${sure} of ${net.n_out} keypoints with a peak above .3, found in ${took.toFixed(0)} ms`;
    } catch (e) { status.textContent = e.message; }
    running = false;
    if (again) { again = false; find(); } else draw();
  }

  function draw() {
    if (!canvas) return;
    const g = canvas.pen(), [x, y, w, h] = get('box'), { points, scores } = { points: get('points'), scores: get('scores') };
    g.drawImage(image, 0, 0, image.width*scale, image.height*scale);
    if (heat && shown >= 0) {
      const from = personWindow({ x, y, w, h }, HEIGHT, WIDTH), size = HEIGHT*WIDTH/16;
      g.drawImage(heatImage(heat.subarray(shown*size, (shown + 1)*size), WIDTH/4, HEIGHT/4, .8, true),
        from.x*scale, from.y*scale, from.w*scale, from.h*scale);
    }
    g.strokeStyle = '#e8710a'; g.lineWidth = 2; g.setLineDash([6, 4]);
    g.strokeRect(x*scale, y*scale, w*scale, h*scale); g.setLineDash([]);
    g.fillStyle = '#e8710a'; g.beginPath(); g.arc((x + w)*scale, (y + h)*scale, 8, 0, 7); g.fill();
    if (points.length) drawPose(g, points, get('limbs'), get('joints'), { shown: scores.map(s => s > .3), scale });
    canvas.setAttribute('aria-label', `a picture with a box at ${[x, y, w, h].map(Math.round).join(', ')}` +
      (points.length ? `; ${scores.filter(s => s > .3).length} keypoints found` : ''));
  }

  const setBox = b => { put(model, { box: b.map(v => Math.round(10*v)/10) }); draw(); find(); };
  function make() {                              // a canvas for this picture
    scale = Math.min(1, 420/image.width, 420/image.height)*Math.max(1, Math.min(420/image.width, 420/image.height));
    canvas = board(image.width*scale, image.height*scale, 'a picture', { tabindex: 0 });
    const at = p => [p.x/scale, p.y/scale];
    draggable(canvas, {
      grab: p => {
        const [x, y, w, h] = get('box'), [px, py] = at(p);
        held = { corner: Math.hypot(px - x - w, py - y - h)*scale < 24, from: [px, py], box: [x, y, w, h] };
        return held.corner || (px > x && px < x + w && py > y && py < y + h);
      },
      move: p => {
        const [px, py] = at(p), [x, y, w, h] = held.box, [dx, dy] = [px - held.from[0], py - held.from[1]];
        setBox(held.corner ? [x, y, Math.max(16, w + dx), Math.max(16, h + dy)] : [x + dx, y + dy, w, h]);
      },
    });
    keys(canvas, { onstep(dx, dy, e) {
      const [x, y, w, h] = get('box');
      setBox(e.shiftKey ? [x, y, Math.max(16, w + 4*dx), Math.max(16, h + 4*dy)] : [x + 4*dx, y + 4*dy, w, h]);
    } });
    place.replaceChildren(canvas);
    data = pixels(image, image.width, image.height);
  }
  const own = im => {
    const s = Math.min(1, SIDE/Math.max(im.width, im.height)), small = tag('canvas');
    small.width = Math.round(im.width*s); small.height = Math.round(im.height*s);
    small.getContext('2d').putImageData(pixels(im, small.width, small.height), 0, 0);
    image = small; make();
    setBox([.1*image.width, .05*image.height, .8*image.width, .9*image.height]);
  };
  const load = () => loadPicture(get('picture')).then(im => { image = im; make(); draw(); find(); });

  box.append(
    tag('div', { class: 'hs-row' },
      choice('network', get('known').map(n => [n, n]), get('which'), which => { put(model, { which }); find(); }),
      choice('heatmap of', [[-1, 'none'], ...get('joints').map((n, k) => [k, n.replace('_', ' ')])], -1,
        k => { shown = +k; draw(); }),
      photoDrop('your own photo', own)),
    place, status,
    tag('small', {}, 'Drag the box; drag its corner, or hold Shift with the arrow keys, to make it fit the person. ' +
      'The network has seen rendered people alone. A photo stays in this page.'));
  watch(model, ['box', 'which'], () => { draw(); find(); });
  watch(model, ['picture'], load);
  load();
  return redraw(box, draw);
}
