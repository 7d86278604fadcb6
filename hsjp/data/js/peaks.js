// PeaksWidget: heatmaps over the picture, channel by channel, with peaks to drag.
function render({ model, el }) {
  const { maps: text, shape: [k, h, w], picture, truth, eps, n, names, limbs, decoded } = model.get('given');
  const maps = peakMaps(text, k, h, w), size = [4*w, 4*h], wide = n ? 336 : 264, scale = wide/size[0], high = size[1]*scale;
  const box = root(el, 'heatmaps of a network, and their peaks'), other = n ? 'put back' : 'the person';
  const left = board(wide, high, '', { tabindex: 0 }), right = board(wide, high, other), status = tag('div', { role: 'status' });
  const who = i => n ? `patch ${i + 1} of ${k}` : names[i];
  const move = slider('channel', { min: 1, max: k, value: 1, oninput: c => put(model, { channel: c - 1 }), show: c => `${c} of ${k}` });
  const again = button('Peaks as decoded', () => setPoints(decoded));
  box.append(tag('div', { class: 'hs-row' }, move, again), tag('div', { class: 'panels' },
    tag('figure', {}, left, tag('figcaption', {}, n ? 'the puzzle, one heatmap, all peaks' : 'the crop, one heatmap, all peaks')),
    tag('figure', {}, right, tag('figcaption', {}, n ? 'put back by these peaks' : 'the person by these peaks'))), status,
    tag('div', { class: 'hs-row' }, tag('small', {}, 'Drag a peak. Keys: arrows change the channel, Shift and an arrow moves its peak.')));
  const away = (p, i) => truth.length ? Math.hypot(p[i][0] - truth[i][0], p[i][1] - truth[i][1]) : 0;
  const setPoints = points => put(model, { points, found: points.map((_, i) => !truth.length || away(points, i) < eps),
    slots: n ? peakSlots(points, n, size[0]) : [] });
  const movePeak = (i, x, y) => {
    const inside = (v, most) => Math.round(10*Math.max(0, Math.min(most, v)))/10;
    setPoints(model.get('points').map((p, j) => j === i ? [inside(x, size[0]), inside(y, size[1])] : p));
  };
  let image = null;
  const dot = (g, [x, y], r, colour) => {
    g.beginPath(); g.arc(x*scale, y*scale, r, 0, 7);
    g.fillStyle = colour; g.fill(); g.strokeStyle = '#fff'; g.lineWidth = 1.5; g.stroke();
  };
  const draw = () => {
    const c = model.get('channel'), points = model.get('points'), found = model.get('found'), slots = model.get('slots');
    const top = Math.max(1, ...maps[c]), colour = i => !truth.length ? '#e8710a' : found[i] ? '#188038' : '#d93025';
    move.set(c + 1);
    if (image) {
      const g = left.pen();
      g.drawImage(image, 0, 0, wide, high);
      g.fillStyle = '#0006'; g.fillRect(0, 0, wide, high);
      g.drawImage(heatImage(maps[c], w, h, top, true), 0, 0, wide, high);
      if (n) {
        g.strokeStyle = '#fff7'; g.lineWidth = 1; g.beginPath();
        for (let i = 1; i < n; i++) { const a = i*wide/n; g.moveTo(a, 0); g.lineTo(a, high); g.moveTo(0, a); g.lineTo(wide, a); }
        g.stroke();
      }
      points.forEach((p, i) => i === c || dot(g, p, 4, colour(i)));
      if (truth.length) {
        const [x, y] = truth[c].map(v => v*scale);
        g.strokeStyle = '#fff'; g.lineWidth = 2; g.setLineDash([5, 4]);
        g.beginPath(); g.arc(x, y, eps*scale, 0, 7); g.stroke(); g.setLineDash([]);
        g.beginPath(); g.moveTo(x - 5, y); g.lineTo(x + 5, y); g.moveTo(x, y - 5); g.lineTo(x, y + 5); g.stroke();
      }
      dot(g, points[c], 8, colour(c));
      const r = right.pen(), slot = i => Math.floor(truth[i][1]*n/size[1])*n + Math.floor(truth[i][0]*n/size[0]);
      if (n) drawPutBack(r, image, slots, n, wide, i => truth.length && slots[i] !== slot(i) && '#d93025');
      else { r.drawImage(image, 0, 0, wide, high); drawPose(r, points, limbs, names, { scale }); }
    }
    const right_ = found.filter(Boolean).length, far = away(points, c).toFixed(1);
    const said = truth.length ? `; ${far} px from the truth, ${found[c] ? 'found' : 'missed'}: the limit is ${eps.toFixed(1)} px` : '';
    const all = truth.length ? ` ${right_} of ${k} found${n && right_ === k ? ': solved' : ''}.` : '';
    status.textContent = `${who(c)}: the map reaches ${(Math.max(...maps[c])/255).toFixed(2)}${said}.${all}`;
    left.setAttribute('aria-label', status.textContent);
    right.setAttribute('aria-label', other + all);
  };
  let shift = [0, 0];
  draggable(left, {
    grab: at => {
      const points = model.get('points'), far = points.map(([x, y]) => Math.hypot(x*scale - at.x, y*scale - at.y));
      const c = model.get('channel'), near = far[c] < 18 ? c : far.indexOf(Math.min(...far));
      if (far[near] > 24) return false;
      shift = [points[near][0] - at.x/scale, points[near][1] - at.y/scale];
      put(model, { channel: near });
    },
    move: at => movePeak(model.get('channel'), at.x/scale + shift[0], at.y/scale + shift[1]),
  });
  keys(left, { onstep: (dx, dy, e) => {
    const c = model.get('channel'), [x, y] = model.get('points')[c];
    if (e.shiftKey) movePeak(c, x + dx, y + dy);
    else put(model, { channel: (c + dx + dy*(n || 1) + k) % k });
  } });
  watch(model, ['channel', 'points', 'found', 'slots'], draw);
  loadPicture(picture).then(im => { image = im; draw(); });
  return redraw(box, draw);
}
