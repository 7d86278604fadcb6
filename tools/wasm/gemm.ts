// The inner loop of hsjp/data/js/net.js, in AssemblyScript: C = A B + bias (+ D), then relu.
// All arguments but the sizes are indices of float32 numbers in the memory; D = 0 stands for none.
// A is packed: M/4 blocks of K columns of 4 numbers. B is (K, N); C and D are (M, N). M is a multiple of 4, N
// of 8. A block of 4 x 8 results stays in registers while k runs.
// @ts-ignore: decorator
@inline function finish(c: v128, at: usize, aside: usize, relu: bool): void {
  if (aside) c = f32x4.add(c, v128.load(aside));
  if (relu) c = f32x4.max(c, f32x4.splat(0));
  v128.store(at, c);
}

export function gemm(A: usize, B: usize, C: usize, D: usize, bias: usize,
                     M: usize, N: usize, K: usize, relu: bool): void {
  const row = N << 2;
  for (let i: usize = 0; i < M; i += 4) for (let j: usize = 0; j < N; j += 8) {
    const first = (bias + i) << 2;
    let c00 = v128.load32_splat(first), c10 = v128.load32_splat(first, 4),
        c20 = v128.load32_splat(first, 8), c30 = v128.load32_splat(first, 12);
    let c01 = c00, c11 = c10, c21 = c20, c31 = c30, a = (A + i*K) << 2, b = (B + j) << 2;
    for (const end = a + (K << 4); a < end; a += 16, b += row) {
      const left = v128.load(b), right = v128.load(b, 16);
      let w = v128.load32_splat(a);
      c00 = f32x4.add(c00, f32x4.mul(w, left)); c01 = f32x4.add(c01, f32x4.mul(w, right));
      w = v128.load32_splat(a, 4);
      c10 = f32x4.add(c10, f32x4.mul(w, left)); c11 = f32x4.add(c11, f32x4.mul(w, right));
      w = v128.load32_splat(a, 8);
      c20 = f32x4.add(c20, f32x4.mul(w, left)); c21 = f32x4.add(c21, f32x4.mul(w, right));
      w = v128.load32_splat(a, 12);
      c30 = f32x4.add(c30, f32x4.mul(w, left)); c31 = f32x4.add(c31, f32x4.mul(w, right));
    }
    let at = (C + i*N + j) << 2, aside = D ? (D + i*N + j) << 2 : 0;
    const down = D ? row : 0;
    finish(c00, at, aside, relu); finish(c01, at + 16, aside ? aside + 16 : 0, relu);
    at += row; aside += down;
    finish(c10, at, aside, relu); finish(c11, at + 16, aside ? aside + 16 : 0, relu);
    at += row; aside += down;
    finish(c20, at, aside, relu); finish(c21, at + 16, aside ? aside + 16 : 0, relu);
    at += row; aside += down;
    finish(c30, at, aside, relu); finish(c31, at + 16, aside ? aside + 16 : 0, relu);
  }
}
