// A small pose network in the page: no library, no request. Put together with other files into one module.
// loadNet(spec) -> net, net.run(rgb, h, w) -> heatmaps; `spec` is what hsjp.browser.network_spec makes.
// decodePeaks, assignSlots: from heatmaps to points and slots. cutPuzzle, cropPicture, personWindow: from a
// picture to the network's input. Points and boxes are in pixels; the centre of the first pixel is at 0.5.

// The inner loop: tools/wasm/gemm.ts, compiled and put here by: python tools/wasm/build.py
const NET_WASM = 'AGFzbQEAAAABDQFgCX9/f39/f39/fwACDwEDZW52Bm1lbW9yeQIAAAMCAQAHEQIEZ2VtbQAABm1lbW9yeQIACscGAcQGAgt7B38gBkECdCEXA0AgBSAYSwRAQQAhFgNAIAYgFksEQCAEIBhqQQJ0IhT9CQIAIgohCyAU/QkCBCIMIQ0gFP0JAggiDiEPIBT9CQIMIhAhCSABIBZqQQJ0IRQgACAHIBhsakECdCIVIAdBBHRqIRkDQCAVIBlJBEAgCiAV/QkCACISIBT9AAQAIhH95gH95AEhCiALIBIgFP0ABBAiEv3mAf3kASELIAwgFf0JAgQiEyAR/eYB/eQBIQwgDSATIBL95gH95AEhDSAOIBX9CQIIIhMgEf3mAf3kASEOIA8gEyAS/eYB/eQBIQ8gECAV/QkCDCITIBH95gH95AEhECAJIBMgEv3mAf3kASEJIBVBEGohFSAUIBdqIRQMAQsLIAYgGGwiFCACaiAWakECdCIVIAMgFGogFmpBAnRBACADGyIUBEAgCiAU/QAEAP3kASEKCyAK/QwAAAAAAAAAAAAAAAAAAAAA/ekBIAogCBv9CwQAIBRBEGpBACAUGyIZBEAgCyAZ/QAEAP3kASELCyAVIAv9DAAAAAAAAAAAAAAAAAAAAAD96QEgCyAIG/0LBBAgFCAXQQAgAxsiFGoiGQRAIAwgGf0ABAD95AEhDAsgFSAXaiIVIAz9DAAAAAAAAAAAAAAAAAAAAAD96QEgDCAIG/0LBAAgGUEQakEAIBkbIhoEQCANIBr9AAQA/eQBIQ0LIBUgDf0MAAAAAAAAAAAAAAAAAAAAAP3pASANIAgb/QsEECAUIBlqIhkEQCAOIBn9AAQA/eQBIQ4LIBUgF2oiFSAO/QwAAAAAAAAAAAAAAAAAAAAA/ekBIA4gCBv9CwQAIBlBEGpBACAZGyIaBEAgDyAa/QAEAP3kASEPCyAVIA/9DAAAAAAAAAAAAAAAAAAAAAD96QEgDyAIG/0LBBAgFCAZaiIUBEAgECAU/QAEAP3kASEQCyAVIBdqIhUgEP0MAAAAAAAAAAAAAAAAAAAAAP3pASAQIAgb/QsEACAUQRBqQQAgFBsiFARAIAkgFP0ABAD95AEhCQsgFSAJ/QwAAAAAAAAAAAAAAAAAAAAA/ekBIAkgCBv9CwQQIBZBCGohFgwBCwsgGEEEaiEYDAELCws=';

function netBytes(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// float16 bytes, little endian, as float32 numbers
function netHalves(bytes) {
  const view = new DataView(bytes.buffer), out = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < out.length; i++) {
    const u = view.getUint16(2*i, true), power = u >> 10 & 31, rest = u & 1023;
    const size = power === 31 ? (rest ? NaN : Infinity) : power ? 2**(power - 25)*(1024 + rest) : 2**-24*rest;
    out[i] = u >> 15 ? -size : size;
  }
  return out;
}

// float32 bytes, little endian, as numbers
function netFloats(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({length: bytes.length >> 2}, (_, i) => view.getFloat32(4*i, true));
}

// The same as tools/wasm/gemm.ts, for where WebAssembly is refused: A, B, C, D and bias are places in `f`
function netGemm(f, A, B, C, D, bias, M, N, K, relu) {
  for (let i = 0; i < M; i += 4) for (let j = 0; j < N; j += 2) {
    let c00 = f[bias + i], c10 = f[bias + i + 1], c20 = f[bias + i + 2], c30 = f[bias + i + 3];
    let c01 = c00, c11 = c10, c21 = c20, c31 = c30;
    for (let k = 0, a = A + i*K, b = B + j; k < K; k++, a += 4, b += N) {
      const left = f[b], right = f[b + 1], w0 = f[a], w1 = f[a + 1], w2 = f[a + 2], w3 = f[a + 3];
      c00 += w0*left; c01 += w0*right; c10 += w1*left; c11 += w1*right;
      c20 += w2*left; c21 += w2*right; c30 += w3*left; c31 += w3*right;
    }
    const put = (row, left, right) => {
      const at = (i + row)*N + j;
      if (D) { left += f[D + at]; right += f[D + at + 1]; }
      f[C + at] = relu && left < 0 ? 0 : left; f[C + at + 1] = relu && right < 0 ? 0 : right;
    };
    put(0, c00, c01); put(1, c10, c11); put(2, c20, c21); put(3, c30, c31);
  }
}

// One memory for all numbers, and the product of matrices in it: by WebAssembly, else in plain JavaScript
async function netMemory(wasm) {
  if (wasm) try {
    const memory = new WebAssembly.Memory({initial: 1});
    const made = await WebAssembly.instantiate(netBytes(NET_WASM), {env: {memory}});
    const self = {wasm: true, f: new Float32Array(memory.buffer), gemm: made.instance.exports.gemm};
    self.reserve = n => {
      const pages = Math.ceil(n/16384) - memory.buffer.byteLength/65536;
      if (pages > 0) { memory.grow(pages); self.f = new Float32Array(memory.buffer); }
    };
    return self;
  } catch (e) { /* an old browser, or a policy that forbids it */ }
  const self = {wasm: false, f: new Float32Array(0), gemm: (...a) => netGemm(self.f, ...a)};
  self.reserve = n => {
    if (n > self.f.length) { const grown = new Float32Array(n); grown.set(self.f); self.f = grown; }
  };
  return self;
}

// Channels are padded to a multiple of 4 and planes to a multiple of 8: whole blocks for the product
const netRound = (n, step) => Math.ceil(n/step)*step;

// Windows of k x k pixels as columns: rows (channel, ky, kx), one column for each of the gh x gw results
function netColumns(f, X, B, {c, h, w, plane}, k, stride, top, left, gh, gw) {
  const row = netRound(gh*gw, 8);
  for (let i = 0; i < c; i++) for (let ky = 0; ky < k; ky++) for (let kx = 0; kx < k; kx++, B += row) {
    let o = B;
    for (let y = 0; y < gh; y++) {
      const sy = y*stride + ky - top, from = X + i*plane + sy*w;
      if (sy < 0 || sy >= h) { f.fill(0, o, o += gw); continue; }
      for (let x = 0, sx = kx - left; x < gw; x++, sx += stride)
        f[o++] = sx >= 0 && sx < w ? f[from + sx] : 0;
    }
  }
}

function netPool(f, from, to) {
  for (let i = 0; i < from.c; i++) for (let y = 0; y < to.h; y++) for (let x = 0; x < to.w; x++) {
    let best = -Infinity;
    for (let sy = Math.max(2*y - 1, 0); sy < Math.min(2*y + 2, from.h); sy++)
      for (let sx = Math.max(2*x - 1, 0); sx < Math.min(2*x + 2, from.w); sx++)
        best = Math.max(best, f[from.at + i*from.plane + sy*from.w + sx]);
    f[to.at + i*to.plane + y*to.w + x] = best;
  }
}

// A convolution: columns, then one product of matrices
function netConv(mem, op, from, to, aside, B) {
  let columns = from.at;
  if (op.k > 1 || op.stride > 1) {
    columns = B;
    netColumns(mem.f, from.at, B, from, op.k, op.stride, op.pad, op.pad, to.h, to.w);
  }
  const M = netRound(to.c, 4), K = op.c_in*op.k**2;
  mem.gemm(op.packed[0], columns, to.at, aside ? aside.at : 0, op.bias, M, to.plane, K, op.relu);
}

// A transposed convolution of 4 x 4, stride 2: four 2 x 2 convolutions, one a parity of row and column
function netUp(mem, op, from, to, B) {
  const result = B + 4*from.c*from.plane;
  for (let phase = 0; phase < 4; phase++) {
    const py = phase >> 1, px = phase & 1;
    netColumns(mem.f, from.at, B, from, 2, 1, 1 - py, 1 - px, from.h, from.w);
    mem.gemm(op.packed[phase], B, result, 0, op.bias, netRound(to.c, 4), from.plane, 4*from.c, op.relu);
    for (let i = 0; i < to.c; i++) for (let y = 0; y < from.h; y++) {
      const o = to.at + i*to.plane + (2*y + py)*to.w + px, s = result + i*from.plane + y*from.w;
      for (let x = 0; x < from.w; x++) mem.f[o + 2*x] = mem.f[s + x];
    }
  }
}

// Weights times their channel's scale, which folds the batch norm in, four channels side by side; returns the
// next free place
function netPack(mem, op, weights, scales, at) {
  const parts = op.op === 'up' ? 4 : 1, K = op.c_in*(op.op === 'up' ? 4 : op.k**2), M = netRound(op.c_out, 4);
  mem.reserve(at + M + parts*M*K);
  op.bias = at; op.packed = [];
  for (let i = 0; i < op.c_out; i++) mem.f[at + i] = scales[op.s + op.c_out + i];
  at += M;
  for (let part = 0; part < parts; part++, at += M*K) {
    op.packed.push(at);
    for (let i = 0; i < op.c_out; i++) for (let k = 0; k < K; k++)
      mem.f[at + (i - i%4)*K + 4*k + i%4] = weights[op.w + (part*op.c_out + i)*K + k]*scales[op.s + i];
  }
  return at;
}

// Where the tensors lie for pictures of h x w pixels: tensor 0 is the picture, operation i makes tensor i + 1
function netPlan(mem, ops, start, h, w) {
  const tensors = [];
  let at = start, room = 0;
  const add = (c, h, w) => {
    tensors.push({c, h, w, at, plane: netRound(h*w, 8)});
    at += netRound(c, 4)*netRound(h*w, 8);
  };
  add(3, h, w);
  for (const op of ops) {
    const from = tensors[op.x], half = n => Math.floor((n - 1)/2) + 1;
    if (op.op === 'pool') add(from.c, half(from.h), half(from.w));
    else if (op.op === 'up') {
      add(op.c_out, 2*from.h, 2*from.w);
      room = Math.max(room, (4*from.c + netRound(op.c_out, 4))*from.plane);
    } else {
      const side = n => Math.floor((n + 2*op.pad - op.k)/op.stride) + 1;
      add(op.c_out, side(from.h), side(from.w));
      room = Math.max(room, op.c_in*op.k**2*tensors.at(-1).plane);
    }
  }
  mem.reserve(at + room);
  return {h, w, tensors, columns: at};
}

// The network of a spec. net.run(rgb, h, w): from Float32Array (3, h, w) in [0, 1], h and w multiples of 32,
// to Float32Array (n_out, h/4, w/4). `wasm: false` asks for plain JavaScript; net.wasm says what it became.
async function loadNet(spec, {wasm = true} = {}) {
  const mem = await netMemory(wasm), ops = spec.ops.map(op => ({...op}));
  const weights = netHalves(netBytes(spec.weights)), scales = netFloats(netBytes(spec.scales));
  let free = 4, plan = null;
  for (const op of ops) if (op.op !== 'pool') free = netPack(mem, op, weights, scales, free);
  function run(rgb, h, w) {
    if (h%32 || w%32 || rgb.length !== 3*h*w)
      throw new RangeError(`${rgb.length} numbers for ${h} x ${w} pixels; ` +
        'expected 3 x h x w, h and w multiples of 32');
    if (!plan || plan.h !== h || plan.w !== w) plan = netPlan(mem, ops, free, h, w);
    const {tensors, columns} = plan, picture = tensors[0], heat = tensors.at(-1);
    for (let c = 0; c < 3; c++) for (let i = 0; i < h*w; i++)
      mem.f[picture.at + c*picture.plane + i] = (rgb[c*h*w + i] - spec.mean[c])/spec.std[c];
    ops.forEach((op, i) => {
      const from = tensors[op.x], to = tensors[i + 1];
      if (op.op === 'pool') netPool(mem.f, from, to);
      else if (op.op === 'up') netUp(mem, op, from, to, columns);
      else netConv(mem, op, from, to, op.add === null ? null : tensors[op.add], columns);
    });
    const out = new Float32Array(heat.c*heat.h*heat.w);
    for (let c = 0, at = heat.at; c < heat.c; c++, at += heat.plane)
      out.set(mem.f.subarray(at, at + heat.h*heat.w), c*heat.h*heat.w);
    return out;
  }
  return {n_out: spec.n_out, wasm: mem.wasm, run};
}

// Step [x, y] from the centre of 3 x 3 heights to the summit of the parabola through their logs, or null
function netSummit(near) {
  const l = near.map(Math.log);
  const dx = (l[5] - l[3])/2, dy = (l[7] - l[1])/2;
  const dxx = l[5] - 2*l[4] + l[3], dyy = l[7] - 2*l[4] + l[1], dxy = (l[8] - l[6] - l[2] + l[0])/4;
  const det = dxx*dyy - dxy*dxy;
  return det > 1e-9 && dxx < 0 ? [(dxy*dy - dyy*dx)/det, (dxy*dx - dxx*dy)/det] : null;
}

// Where each of k heatmaps of h x w pixels peaks, as hsjp.heatmap.decode_heatmaps by 'dark': [{x, y, score}],
// in input pixels, 4 a heatmap pixel
function decodePeaks(heat, k, h, w) {
  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
  return Array.from({length: k}, (_, i) => {
    const map = heat.subarray(i*h*w, (i + 1)*h*w);
    let peak = 0;
    for (let j = 1; j < map.length; j++) if (map[j] > map[peak]) peak = j;
    const px = peak%w, py = (peak - px)/w, score = map[peak];
    let x = px + .5, y = py + .5;
    if (Math.min(h, w) >= 3) {
      const cx = clamp(px, 1, w - 2), cy = clamp(py, 1, h - 2), floor = Math.max(score, 1e-30)*1e-9;
      const near = [-1, 0, 1].flatMap(v => [-1, 0, 1].map(u => Math.max(map[(cy + v)*w + cx + u], floor)));
      const step = netSummit(near);
      if (step && (step[0] || step[1])) {
        x += clamp(cx + step[0] - px, -1, 1);
        y += clamp(cy + step[1] - py, -1, 1);
      }
    }
    return {x: 4*x, y: 4*y, score};
  });
}

// The n*n columns that n*n rows of `cost` take, one each, with the least sum: the Hungarian method
function netAssign(cost) {
  const n = cost.length, u = new Float64Array(n + 1), v = new Float64Array(n + 1);
  const row = new Int32Array(n + 1), way = new Int32Array(n + 1);   // row 0 and column 0 stand for none
  for (let i = 1; i <= n; i++) {
    const least = new Float64Array(n + 1).fill(Infinity), done = new Uint8Array(n + 1);
    let at = 0;
    row[0] = i;
    do {
      done[at] = 1;
      let delta = Infinity, next = 0;
      for (let j = 1; j <= n; j++) if (!done[j]) {
        const slack = cost[row[at] - 1][j - 1] - u[row[at]] - v[j];
        if (slack < least[j]) { least[j] = slack; way[j] = at; }
        if (least[j] < delta) { delta = least[j]; next = j; }
      }
      for (let j = 0; j <= n; j++) if (done[j]) { u[row[j]] += delta; v[j] -= delta; } else least[j] -= delta;
      at = next;
    } while (row[at]);
    for (; at; at = way[at]) row[at] = row[way[at]];
  }
  const out = new Array(n);
  for (let j = 1; j <= n; j++) out[row[j] - 1] = j - 1;
  return out;
}

// The slot of each patch, one each, with the least sum of squared distances from the points [{x, y}], as
// hsjp.jigsaw.assign_slots
function assignSlots(points, n, size) {
  if (points.length !== n*n || points.some(p => !Number.isFinite(p.x + p.y)))
    throw new RangeError(`${points.length} points for n = ${n}; expected ${n*n}, all finite`);
  const centre = m => (2*m + 1)*size/(2*n);
  return netAssign(points.map(p => Array.from({length: n*n}, (_, s) =>
    (p.x - centre(s%n))**2 + (p.y - centre(Math.floor(s/n)))**2)));
}

// A puzzle as JigsawBatch(n, size, train=False) makes it: the central canvas of a square picture is cut into
// n x n patches, patch i goes to slots[i], then one bilinear resampling, black outside. The picture is an
// ImageData (anything with width, height and RGBA data), or a Float32Array (3, side, side) in [0, 1]. The
// puzzle is a Float32Array (3, size, size).
function cutPuzzle(picture, slots, n, size) {
  const float = picture instanceof Float32Array;
  const full = float ? Math.round(Math.sqrt(picture.length/3)) : picture.width;
  if (float ? picture.length !== 3*full*full : picture.height !== full)
    throw new RangeError('the picture is not square; cut a square out with cropPicture first');
  const P = Math.floor(full/n), side = P*n, edge = Math.floor((full - side)/2), home = [];
  slots.forEach((slot, patch) => { home[slot] = patch; });
  const value = (c, y, x) => {
    if (y < 0 || x < 0 || y >= side || x >= side) return 0;
    const patch = home[Math.floor(y/P)*n + Math.floor(x/P)];
    const sy = edge + Math.floor(patch/n)*P + y%P, sx = edge + patch%n*P + x%P;
    return float ? picture[(c*full + sy)*full + sx] : picture.data[4*(sy*full + sx) + c]/255;
  };
  const out = new Float32Array(3*size*size), scale = side/size;
  for (let y = 0, o = 0; y < size; y++) for (let x = 0; x < size; x++, o++) {
    const sy = (y + .5)*scale - .5, sx = (x + .5)*scale - .5;
    const iy = Math.floor(sy), ix = Math.floor(sx), fy = sy - iy, fx = sx - ix;
    for (let c = 0; c < 3; c++) {
      const upper = value(c, iy, ix)*(1 - fx) + (fx && value(c, iy, ix + 1)*fx);
      const lower = fy && value(c, iy + 1, ix)*(1 - fx) + (fx && value(c, iy + 1, ix + 1)*fx);
      out[c*size*size + o] = upper*(1 - fy) + lower*fy;
    }
  }
  return out;
}

// The window {x, y, w, h} of an input of h x w pixels around a person's box, as hsjp.persons.windows
function personWindow(box, h, w, scale = 1.25) {
  const width = Math.max(box.w, box.h*w/h)*scale, height = width*h/w;
  return {x: box.x + box.w/2 - width/2, y: box.y + box.h/2 - height/2, w: width, h: height};
}

// For each of n results over the pixels from start to start + length: its first pixel, and the weights of the
// pixels from there on: a triangle as wide as two results, at least two pixels, within first <= pixel < last
function netTaps(start, length, n, first, last) {
  const scale = length/n, support = Math.max(scale, 1);
  return Array.from({length: n}, (_, i) => {
    const centre = start + (i + .5)*scale, weights = [];
    const from = Math.max(Math.floor(centre - support + .5), first);
    const to = Math.min(Math.floor(centre + support + .5), last);
    for (let p = from; p < to; p++) weights.push(Math.max(0, 1 - Math.abs(p + .5 - centre)/support));
    const sum = weights.reduce((a, b) => a + b, 0);
    return {from, weights: weights.map(v => v/sum)};
  });
}

// From a to b with a pixel to spare, but not beyond a picture in which the window lies
function netReach(a, b, side) {
  const first = Math.floor(a) - 1, last = Math.ceil(b) + 1;
  return [a < 0 ? first : Math.max(first, 0), b > side ? last : Math.min(last, side)];
}

// The window {x, y, w, h} of an ImageData, scaled to h x w as hsjp.persons.cut does with Pillow: antialiased,
// in two passes of whole numbers, black outside the picture. Float32Array (3, h, w) in [0, 1].
function cropPicture(image, box, h, w) {
  const [top, bottom] = netReach(box.y, box.y + box.h, image.height);
  const across = netTaps(box.x, box.w, w, ...netReach(box.x, box.x + box.w, image.width));
  const down = netTaps(box.y, box.h, h, top, bottom), rows = new Uint8Array((bottom - top)*w*3);
  const last = Math.min(bottom, image.height);
  for (let y = Math.max(top, 0); y < last; y++) across.forEach(({from, weights}, x) => {
    let r = .5, g = .5, b = .5;
    for (let k = Math.max(-from, 0); k < Math.min(weights.length, image.width - from); k++) {
      const at = 4*(y*image.width + from + k), v = weights[k];
      r += v*image.data[at]; g += v*image.data[at + 1]; b += v*image.data[at + 2];
    }
    rows.set([r, g, b], 3*((y - top)*w + x));
  });
  const out = new Float32Array(3*h*w);
  down.forEach(({from, weights}, y) => {
    for (let x = 0; x < w; x++) for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]*rows[3*((from - top + k)*w + x) + c];
      out[(c*h + y)*w + x] = Math.floor(sum + .5)/255;
    }
  });
  return out;
}
