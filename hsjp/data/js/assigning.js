// What the widgets with peaks share: heatmaps that travel as bytes, and the one-to-one assignment.

// base64 of K*h*w bytes as K arrays
function peakMaps(text, k, h, w) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return Array.from({ length: k }, (_, i) => bytes.subarray(i*h*w, (i + 1)*h*w));
}

// The assignment with the least sum (Hungarian method): cost[i][j] -> the column of each row
function peakAssignment(cost) {
  const n = cost.length, u = Array(n + 1).fill(0), v = Array(n + 1).fill(0), row = Array(n + 1).fill(0), from = Array(n + 1).fill(0);
  for (let i = 1; i <= n; i++) {
    const least = Array(n + 1).fill(Infinity), used = Array(n + 1).fill(false);
    let j = 0;
    row[0] = i;
    do {
      let next = 0, step = Infinity;
      used[j] = true;
      for (let k = 1; k <= n; k++) if (!used[k]) {
        const c = cost[row[j] - 1][k - 1] - u[row[j]] - v[k];
        if (c < least[k]) { least[k] = c; from[k] = j; }
        if (least[k] < step) { step = least[k]; next = k; }
      }
      for (let k = 0; k <= n; k++) used[k] ? (u[row[k]] += step, v[k] -= step) : (least[k] -= step);
      j = next;
    } while (row[j]);
    for (; j; j = from[j]) row[j] = row[from[j]];
  }
  const out = Array(n);
  for (let k = 1; k <= n; k++) out[row[k] - 1] = k - 1;
  return out;
}
// Peaks [[x, y], ...] of n*n patches in a square -> one slot a patch
function peakSlots(points, n, side) {
  const p = side/n;
  return peakAssignment(points.map(([x, y]) => points.map((_, s) => (x - (s % n + .5)*p)**2 + (y - (Math.floor(s/n) + .5)*p)**2)));
}

// The picture put back by slots; home i framed with `frame(i)` where that is a colour
function drawPutBack(g, image, slots, n, side, frame) {
  const a = image.width/n, b = side/n;
  slots.forEach((s, i) => {
    const x = i % n*b, y = Math.floor(i/n)*b;
    g.drawImage(image, s % n*a, Math.floor(s/n)*a, a, a, x, y, b, b);
  });
  slots.forEach((_, i) => {
    if (!frame(i)) return;
    g.strokeStyle = frame(i); g.lineWidth = 2;
    g.strokeRect(i % n*b + 2, Math.floor(i/n)*b + 2, b - 4, b - 4);
  });
}
