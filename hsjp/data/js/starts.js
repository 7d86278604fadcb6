// StartsWidget: scratch and HSJP on the same unseen people, from stored predictions.
function render({ model, el }) {
  const { labels, pictures, truth, points, ap, oks, size, names, limbs, people } = model.get('given');
  const box = root(el, 'two starts, the same people'), wide = 264, scale = wide/size[0], high = size[1]*scale;
  const titles = ['from scratch', 'from puzzles (HSJP)'], status = tag('div', { role: 'status' });
  const boards = titles.map(t => board(wide, high, t, { tabindex: 0 })), captions = titles.map(() => tag('figcaption', {}));
  const at = () => Math.max(0, labels.indexOf(model.get('labels'))), last = pictures.length - 1;
  const show = person => put(model, { person: (person + last + 1) % (last + 1) });
  const move = slider('labelled people', { min: 0, max: labels.length - 1, value: at(), show: i => labels[i], oninput: i => put(model, { labels: labels[i] }) });
  const who = slider('person', { min: 0, max: last, value: 0, show: i => `${i + 1} of ${last + 1}`, oninput: show });
  let wanted = false;
  const truths = toggle('Show the truth', false, on => { wanted = on; draw(); });
  box.append(tag('div', { class: 'hs-row' }, move, who, truths), tag('div', { class: 'panels' },
    ...boards.map((b, i) => tag('figure', { style: `flex:1 1 150px;max-width:${wide}px` }, tag('strong', {}, titles[i]), b, captions[i]))), status,
    tag('div', { class: 'hs-row' }, tag('small', {}, 'Keys on a picture: left and right change the person, up and down the labels. Orange is the left side, blue the right.')));
  const images = pictures.map(() => null);
  const draw = () => {
    const l = at(), i = model.get('person');
    move.set(l); who.set(i);
    boards.forEach((b, s) => {
      const g = b.pen(), found = points[l][s][i];
      const said = `${titles[s]}, ${labels[l]} labels: OKS of this person ${oks[l][s][i].toFixed(2)}, AP of all ${people} unseen people ${ap[l][s].toFixed(1)}`;
      b.setAttribute('aria-label', said);
      captions[s].textContent = `this person: OKS ${oks[l][s][i].toFixed(2)}; all ${people}: AP ${ap[l][s].toFixed(1)}`;
      if (images[i]) g.drawImage(images[i], 0, 0, wide, high);
      if (wanted) {
        g.strokeStyle = '#fff'; g.lineWidth = 2;
        found.forEach(([x, y], k) => { g.beginPath(); g.moveTo(x*scale, y*scale); g.lineTo(truth[i][k][0]*scale, truth[i][k][1]*scale); g.stroke(); });
      }
      drawPose(g, found, limbs, names, { scale });
      if (wanted) for (const [x, y] of truth[i]) {
        g.beginPath(); g.arc(x*scale, y*scale, 3.5, 0, 7); g.fillStyle = '#fff'; g.fill(); g.strokeStyle = '#000'; g.lineWidth = 1; g.stroke();
      }
    });
    const gain = ap[l][1] - ap[l][0];
    status.textContent = `With ${labels[l]} labelled people the puzzles are worth ${gain >= 0 ? '+' : '−'}${Math.abs(gain).toFixed(1)} AP.`;
  };
  for (const b of boards) keys(b, { onstep: (dx, dy) => {
    if (dx) show(model.get('person') + dx);
    else put(model, { labels: labels[Math.max(0, Math.min(labels.length - 1, at() - dy))] });
  } });
  watch(model, ['labels', 'person'], draw);
  pictures.forEach((url, i) => loadPicture(url).then(im => { images[i] = im; if (i === model.get('person')) draw(); }));
  return redraw(box, draw);
}
