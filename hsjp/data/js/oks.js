// A predicted person over the true one: OKS, its thresholds, and what kind of error each keypoint is.
const OKS_STEPS = [.5, .55, .6, .65, .7, .75, .8, .85, .9, .95];
const OKS_COLOURS = { good: '#188038', jitter: '#f9ab00', inversion: '#a142f4', swap: '#12b5cb', miss: '#d93025', '': '#80868b' };
const OKS_WORDS = {
  good: 'close enough', jitter: 'near, but not close', inversion: 'on the other side of the body',
  swap: 'on the other person', miss: 'near no such keypoint', '': 'exactly at 0.85, where no label is given',
};

// Similarity of a point to keypoint k of a person: exp(-d² / (2 (2 sigma)² area))
const oksSimilarity = (p, truth, sigma, area) =>
  Math.exp(-((p[0] - truth[0])**2 + (p[1] - truth[1])**2)/(2*(2*sigma)**2*area));

// The label of each keypoint by Ronchi and Perona's rules; truth [person][keypoint], the own person first
function oksLabels(points, truth, area, sigmas, flip) {
  return points.map((p, k) => {
    const plain = truth.map((t, i) => oksSimilarity(p, t[k], sigmas[k], area[i]));
    const mirrored = truth.map((t, i) => oksSimilarity(p, t[flip[k]], sigmas[k], area[i]));
    const all = [...plain, ...mirrored], best = Math.max(...all), which = all.indexOf(best);
    if (best < .5) return 'miss';
    if (which === 0) return best > .85 ? 'good' : best < .85 ? 'jitter' : '';
    return which === truth.length ? 'inversion' : 'swap';
  });
}

function render({ model, el }) {
  const box = root(el, 'object keypoint similarity');
  const [w, h] = model.get('size'), zoom = 2, canvas = board(w*zoom, h*zoom, '', { tabindex: 0 });
  const { names, limbs, sigmas, flip } = model.get('skeleton'), truth = model.get('truth'), area = model.get('area');
  const status = tag('div', { role: 'status' }), kind = tag('b'), ladder = tag('div', { style: 'display:flex;gap:3px;max-width:36rem' });
  const list = tag('div', { style: 'font-size:13px' }), pretty = name => name.replaceAll('_', ' ');
  let image = null, asked = 0;
  const chosen = () => names.indexOf(model.get('keypoint'));

  function measure(points) {
    const own = points.map((p, k) => oksSimilarity(p, truth[0][k], sigmas[k], area[0]));
    return { oks: own.reduce((a, b) => a + b, 0)/own.length, labels: oksLabels(points, truth, area, sigmas, flip), own };
  }
  function change(points) {
    const { oks, labels } = measure(points);
    put(model, { points, oks, labels });
    later();
  }
  function move(x, y) {
    const points = model.get('points').map(p => [...p]), limit = (v, most) => Math.max(0, Math.min(most, Math.round(v*100)/100));
    points[chosen()] = [limit(x, w), limit(y, h)];
    change(points);
  }
  const circle = (g, [x, y], r) => { g.beginPath(); g.arc(x, y, r, 0, 7); };

  function draw() {
    const points = model.get('points'), k = chosen(), { oks, labels, own } = measure(points), g = canvas.pen();
    const ring = (i, t) => 2*sigmas[i]*Math.sqrt(area[0])*Math.sqrt(-2*Math.log(t));
    g.scale(zoom, zoom);
    g.fillStyle = '#888'; g.fillRect(0, 0, w, h);
    if (image) g.drawImage(image, 0, 0, w, h);
    g.lineCap = 'round';
    for (const person of truth) {
      g.strokeStyle = 'rgba(255,255,255,.6)'; g.lineWidth = 1;
      for (const [a, b] of limbs) { g.beginPath(); g.moveTo(...person[a]); g.lineTo(...person[b]); g.stroke(); }
    }
    truth[0].forEach((p, i) => {
      if (i === k) return;
      g.strokeStyle = 'rgba(255,255,255,.5)'; g.lineWidth = .5; circle(g, p, ring(i, .5)); g.stroke();
    });
    for (const [t, fill] of [[.5, .16], [.75, .2], [.95, .3]]) {
      circle(g, truth[0][k], ring(k, t));
      g.fillStyle = `rgba(255,255,255,${fill})`; g.fill();
      g.strokeStyle = '#000'; g.lineWidth = 1.6; g.stroke(); g.strokeStyle = '#fff'; g.lineWidth = .9; g.stroke();
    }
    points.forEach((p, i) => {
      g.strokeStyle = OKS_COLOURS[labels[i]]; g.lineWidth = 1;
      g.beginPath(); g.moveTo(...truth[0][i]); g.lineTo(...p); g.stroke();
      circle(g, p, i === k ? 4.5 : 2.4); g.fillStyle = OKS_COLOURS[labels[i]]; g.fill();
      g.strokeStyle = '#fff'; g.lineWidth = i === k ? 1.5 : .7; g.stroke();
    });
    g.font = 'bold 8px system-ui, sans-serif'; g.textAlign = points[k][0] > w - 50 ? 'right' : 'left'; g.textBaseline = 'bottom';
    g.strokeStyle = '#000'; g.lineWidth = 2; g.lineJoin = 'round'; g.fillStyle = '#fff';
    for (const write of ['strokeText', 'fillText']) g[write](pretty(names[k]), points[k][0] + (g.textAlign === 'left' ? 6 : -6), Math.max(10, points[k][1] - 5));
    const passed = OKS_STEPS.filter(t => oks >= t).length;
    ladder.replaceChildren(...OKS_STEPS.map(t => tag('span', {
      style: 'flex:1;text-align:center;font-size:12px;padding:.15rem 0;border-radius:3px;border:1px solid var(--good);' +
        (oks >= t ? `background:var(--good);color:${paper(box)}` : 'opacity:.7') }, t.toFixed(2).slice(1))));
    ladder.setAttribute('aria-label', `${passed} of 10 thresholds passed`);
    kind.textContent = labels[k] || 'no label';
    kind.style.cssText = `background:${OKS_COLOURS[labels[k]]};color:${['jitter', 'swap'].includes(labels[k]) ? '#202124' : '#fff'};padding:0 .4em;border-radius:4px`;
    status.replaceChildren(`OKS ${oks.toFixed(3)} passes ${passed} of 10 thresholds. ${pretty(names[k])}: `, kind,
      `, ${OKS_WORDS[labels[k]]} (similarity to its own truth ${own[k].toFixed(3)}).`);
    const count = Object.keys(OKS_WORDS).map(l => [l, labels.filter(v => v === l).length]).filter(([, c]) => c);
    list.replaceChildren(...count.flatMap(([l, c]) =>
      [tag('span', { style: `color:${OKS_COLOURS[l]}` }, '● '), `${c} ${l || 'without label'}  `]));
    canvas.setAttribute('aria-label', `two people side by side; predicted keypoints of the left one. ${status.textContent}`);
    which.set(names[k]);
  }
  const later = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };

  const which = choice('keypoint', names.map(n => [n, pretty(n)]), model.get('keypoint'),
    keypoint => { put(model, { keypoint }); later(); });
  let off = [0, 0];
  draggable(canvas, {
    grab: p => {
      const at = [p.x/zoom, p.y/zoom], away = model.get('points').map(([x, y]) => Math.hypot(x - at[0], y - at[1]));
      const k = away[chosen()] < 9 ? chosen() : away.indexOf(Math.min(...away));
      if (away[k] > 14) return false;
      put(model, { keypoint: names[k] });
      off = model.get('points')[k].map((v, i) => v - at[i]);
      later();
    },
    move: p => move(p.x/zoom + off[0], p.y/zoom + off[1]),
  });
  keys(canvas, { onstep: (dx, dy, e) => {
    const [x, y] = model.get('points')[chosen()], by = e.shiftKey ? 5 : 1;
    move(x + by*dx, y + by*dy);
  } });
  box.append(tag('div', { class: 'hs-row' }, which, button('put all on the truth', () => change(truth[0].map(p => [...p])))),
    tag('figure', { style: `max-width:${w*zoom}px` }, canvas, tag('figcaption', {},
      'Drag a keypoint of the left person. Rings: where its similarity is 0.50, 0.75, 0.95. Arrow keys: one pixel; with Shift: 5.')),
    ladder, status, list);
  watch(model, ['points', 'keypoint'], later);
  loadPicture(model.get('picture')).then(im => { image = im; later(); });
  return redraw(box, draw);
}
