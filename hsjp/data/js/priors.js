// Where a keypoint falls in the N x N grid over its person's box.
function render({ model, el }) {
  const box = root(el, 'keypoint priors'), w = 300, h = 400, edge = 8;
  const canvas = board(w + 2*edge, h + 2*edge, '', { tabindex: 0 }), status = tag('div', { role: 'status' });
  const names = model.get('names'), places = model.get('places'), limbs = model.get('limbs');
  const seen = places.map(p => p.length > 0), points = places.map(p => p.length ? [edge + p[0]*w, edge + p[1]*h] : [0, 0]);
  let asked = 0;
  const pretty = name => name.replaceAll('_', ' ');
  function change(values) {
    const now = { n: model.get('n'), keypoint: model.get('keypoint'), ...values };
    put(model, { ...now, shares: model.get('table')[now.n][names.indexOf(now.keypoint)] });
    later();
  }
  const step = by => change({ keypoint: names[(names.indexOf(model.get('keypoint')) + by + names.length) % names.length] });

  function draw() {
    const n = model.get('n'), k = names.indexOf(model.get('keypoint')), shares = model.get('table')[n][k].flat();
    const most = Math.max(...shares, 1e-9), first = shares.indexOf(Math.max(...shares)), g = canvas.pen(), night = dark(box);
    g.textAlign = 'center'; g.textBaseline = 'middle';
    shares.forEach((share, i) => {
      const x = edge + (i % n)*w/n, y = edge + Math.floor(i/n)*h/n, t = share/most;
      g.fillStyle = night ? `rgba(96,165,250,${.75*t})` : `rgba(25,103,210,${.8*t})`;
      g.fillRect(x, y, w/n, h/n);
    });
    g.strokeStyle = ink(box); g.globalAlpha = .35; g.lineWidth = 1;
    g.beginPath();
    for (let i = 0; i <= n; i++) {
      g.moveTo(edge + i*w/n, edge); g.lineTo(edge + i*w/n, edge + h);
      g.moveTo(edge, edge + i*h/n); g.lineTo(edge + w, edge + i*h/n);
    }
    g.stroke();
    g.globalAlpha = .8;
    drawPose(g, points, limbs, names, { shown: seen, width: 3 });
    g.globalAlpha = 1;
    if (seen[k]) {
      g.beginPath(); g.arc(...points[k], 7, 0, 7); g.fillStyle = '#e8710a'; g.fill();
      g.strokeStyle = paper(box); g.lineWidth = 2; g.stroke();
    }
    g.font = `${n < 5 ? 'bold 15' : n < 7 ? '12' : '10'}px system-ui, sans-serif`;
    g.lineJoin = 'round'; g.lineWidth = 3; g.strokeStyle = paper(box); g.fillStyle = ink(box);
    shares.forEach((share, i) => {
      const text = (100*share).toFixed(share < .0995 && n < 7 ? 1 : 0) + (n < 5 ? ' %' : '');
      const at = [edge + (i % n + .5)*w/n, edge + (Math.floor(i/n) + .78)*h/n];
      g.strokeText(text, ...at); g.fillText(text, ...at);
    });
    const sum = shares.reduce((a, b) => a + b, 0), sorted = [...shares].sort((a, b) => b - a);
    let half = 0, cells = 0;
    while (half < .5 - 1e-9 && cells < sorted.length) half += sorted[cells++];
    status.textContent = sum ? `${pretty(names[k])}, N = ${n}: most often in row ${Math.floor(first/n) + 1}, column ${first % n + 1}, ` +
      `with ${(100*most).toFixed(1)} % (by chance ${(100/n/n).toFixed(1)} %). Half of all lie in ${cells} of ${n*n} patches.`
      : `${pretty(names[k])} is never seen.`;
    canvas.setAttribute('aria-label', `a line figure under a grid of ${n} by ${n} patches. ${status.textContent}`);
    which.set(names[k]); count.set(n);
  }
  const later = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };

  const which = choice('keypoint', names.map(n => [n, pretty(n)]), model.get('keypoint'), keypoint => change({ keypoint }));
  const count = slider('N', { min: 2, max: 8, value: model.get('n'), oninput: n => change({ n }) });
  const nearest = p => names.reduce((a, _, k) => {
    const d = seen[k] ? Math.hypot(points[k][0] - p.x, points[k][1] - p.y) : Infinity;
    return d < a.d ? { d, k } : a;
  }, { d: Infinity, k: 0 }).k;
  const pick = p => change({ keypoint: names[nearest(p)] });
  draggable(canvas, { grab: pick, move: pick });
  keys(canvas, { onstep: (dx, dy) => dx ? step(dx) : change({ n: Math.max(2, Math.min(8, model.get('n') - dy)) }) });
  box.append(tag('div', { class: 'hs-row' }, which, count), status,
    tag('figure', { style: 'max-width:28rem' }, canvas, tag('figcaption', {}, `${model.get('source')}: percent of each patch of the person's box. ` +
      'The figure joins the mean places; touch a joint to choose it. Arrow keys: left, right: joint; up, down: N.')));
  watch(model, ['n', 'keypoint'], later);
  return redraw(box, draw);
}
