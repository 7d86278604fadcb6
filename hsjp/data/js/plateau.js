// PlateauWidget: a stored run, epoch by epoch: curves, heatmaps and one puzzle move together.
function render({ model, el }) {
  const { n, size, seen, loss, patches, maps: text, puzzle, truth } = model.get('given');
  const k = n*n, last = seen.length - 1, m = size/4, p = size/n, maps = peakMaps(text, k*seen.length, m, m);
  const chance = 1/k, each = seen.map((_, e) => maps.slice(e*k, e*k + k));
  const box = root(el, 'a training run, epoch by epoch'), side = 240, high = 230;
  const wide = Math.max(330, Math.min(640, box.clientWidth || 640));
  const chart = board(wide, high, '', { tabindex: 0 }), status = tag('div', { role: 'status' });
  const parts = [`${k} heatmaps`, 'puzzle and peaks', 'put back'];
  const [heat, peaks, back] = parts.map(t => board(side, side, t));
  const go = e => put(model, { epoch: Math.max(0, Math.min(last, e)) });
  const move = slider('epoch', { min: 0, max: last, value: 0, oninput: go, show: e => `${e} of ${last}` });
  let playing = 0;
  const stop = () => { clearInterval(playing); playing = 0; play.set(false); };
  const play = toggle('Play', false, on => {
    if (!on) return stop();
    if (model.get('epoch') === last) go(0);
    playing = setInterval(() => box.isConnected && model.get('epoch') < last ? go(model.get('epoch') + 1) : stop(), 160);
  });
  box.append(tag('div', { class: 'hs-row' }, move, play), status, chart, tag('div', { class: 'panels', style: 'margin-top:.6rem' },
    ...[heat, peaks, back].map((b, i) => tag('figure', { style: `flex:1 1 100px;max-width:${side}px` }, b, tag('figcaption', {}, parts[i])))),
  tag('div', { class: 'hs-row' }, tag('small', {}, 'Drag in the curves, or use the slider, or the arrow keys on the curves.')));
  // where each heatmap peaks: the middle of the brightest pixel
  const decode = maps => maps.map(v => {
    let best = 0;
    v.forEach((x, i) => { if (x > v[best]) best = i; });
    return [(best % m + .5)*4, (Math.floor(best/m) + .5)*4];
  });
  const near = points => points.map(([x, y], i) => Math.hypot(x - truth[i][0], y - truth[i][1]) < p/2);
  const X = e => 46 + (wide - 62)*e/last, most = Math.max(...loss.slice(1)), half = high/2;
  let image = null;
  const curve = (g, values, top, bottom, limit, colour, name, align, line) => {
    const Y = v => bottom - (bottom - top)*v/limit;
    g.fillStyle = g.strokeStyle = ink(box); g.font = '12px system-ui,sans-serif'; g.lineWidth = 1;
    g.globalAlpha = .45; g.beginPath(); g.moveTo(46, top); g.lineTo(46, bottom); g.lineTo(wide - 16, bottom); g.stroke();
    if (line) { g.setLineDash([4, 4]); g.beginPath(); g.moveTo(46, Y(line)); g.lineTo(wide - 16, Y(line)); g.stroke(); g.setLineDash([]); }
    g.globalAlpha = 1;
    g.textAlign = 'right'; g.fillText(limit === 1 ? '100 %' : limit.toFixed(3), 42, top + 8); g.fillText('0', 42, bottom);
    if (line) { g.textAlign = 'left'; g.fillText('chance', wide - 60, Y(line) - 4); }
    g.textAlign = align; g.fillStyle = colour; g.fillText(name, align === 'left' ? 54 : wide - 16, top + 2);
    g.strokeStyle = colour; g.lineWidth = 2; g.beginPath();
    values.forEach((v, e) => v != null && g.lineTo(X(e), Y(v)));
    g.stroke();
    const e = model.get('epoch');
    if (values[e] != null) { g.beginPath(); g.arc(X(e), Y(values[e]), 5, 0, 7); g.fill(); }
  };
  const draw = () => {
    const e = model.get('epoch'), points = decode(each[e]), good = near(points), slots = peakSlots(points, n, size);
    const said = `After ${seen[e].toLocaleString('en')} puzzles: ${(100*patches[e]).toFixed(0)} % of the patches of unseen people are found`
      + ` (chance ${(100*chance).toFixed(0)} %)${loss[e] == null ? '' : `, loss ${loss[e].toFixed(4)}`}. Here ${good.filter(Boolean).length} of ${k}.`;
    move.set(e); status.textContent = said; chart.setAttribute('aria-label', `epoch ${e} of ${last}. ${said}`);
    const g = chart.pen(), mark = dark(box) ? '#8ab4f8' : '#1a73e8';
    g.fillStyle = ink(box); g.globalAlpha = .12; g.fillRect(X(e) - 3, 8, 6, high - 16); g.globalAlpha = 1;
    curve(g, loss, 16, half - 8, most, '#e8710a', 'loss', 'right');
    curve(g, patches, half + 14, high - 10, 1, mark, 'patches found, unseen people', 'left', chance);
    if (!image) return;
    const h = heat.pen(), tile = side/n;
    const top = Math.max(60, ...each[e].map(v => Math.max(...v)));
    each[e].forEach((v, i) => h.drawImage(heatImage(v, m, m, top), i % n*tile + 1, Math.floor(i/n)*tile + 1, tile - 2, tile - 2));
    const s = side/size, q = peaks.pen(), colour = i => good[i] ? '#188038' : '#d93025';
    q.drawImage(image, 0, 0, side, side); q.fillStyle = '#0005'; q.fillRect(0, 0, side, side);
    points.forEach(([x, y], i) => {
      q.strokeStyle = '#fff'; q.lineWidth = 1.5; q.beginPath(); q.moveTo(truth[i][0]*s, truth[i][1]*s); q.lineTo(x*s, y*s); q.stroke();
      q.beginPath(); q.arc(x*s, y*s, 5, 0, 7); q.fillStyle = colour(i); q.fill(); q.stroke();
    });
    drawPutBack(back.pen(), image, slots, n, side, i => slots[i] !== Math.floor(truth[i][1]/p)*n + Math.floor(truth[i][0]/p) && '#d93025');
    back.setAttribute('aria-label', `put back: ${good.filter(Boolean).length} of ${k} peaks near`);
  };
  const at = ({ x }) => { stop(); go(Math.round((x - 46)*last/(wide - 62))); };
  draggable(chart, { grab: at, move: at });
  keys(chart, { onstep: (dx, dy) => { stop(); go(model.get('epoch') + dx - 5*dy); }, Home: () => go(0), End: () => go(last) });
  watch(model, ['epoch'], draw);
  loadPicture(puzzle).then(im => { image = im; draw(); });
  const end = redraw(box, draw);
  return () => { stop(); end(); };
}
