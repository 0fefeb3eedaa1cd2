// C = A B^T + bias (with ReLU if asked), where A is (M, K), B is (N, K) and C (M, N), all row by row; the one
// matrix product that forward and backward passes need, once what must be is transposed. Blocks of 4 x 2 sums
// stay in registers: of the 8 multiplications in a round only 6 numbers are loaded.
export function multiply(A, B, C, M, N, K, bias, relu) {
  const M4 = M & ~3,
    N2 = N & ~1;
  for (let i = 0; i < M4; i += 4) {
    const a0 = i * K,
      a1 = a0 + K,
      a2 = a1 + K,
      a3 = a2 + K;
    for (let j = 0; j < N2; j += 2) {
      const b0 = j * K,
        b1 = b0 + K,
        p = bias ? bias[j] : 0,
        q = bias ? bias[j + 1] : 0;
      let s00 = p,
        s01 = q,
        s10 = p,
        s11 = q,
        s20 = p,
        s21 = q,
        s30 = p,
        s31 = q;
      for (let k = 0; k < K; k++) {
        const u = B[b0 + k],
          v = B[b1 + k],
          w = A[a0 + k],
          x = A[a1 + k],
          y = A[a2 + k],
          z = A[a3 + k];
        s00 += w * u;
        s01 += w * v;
        s10 += x * u;
        s11 += x * v;
        s20 += y * u;
        s21 += y * v;
        s30 += z * u;
        s31 += z * v;
      }
      if (relu) {
        if (!(s00 > 0)) s00 = 0;
        if (!(s01 > 0)) s01 = 0;
        if (!(s10 > 0)) s10 = 0;
        if (!(s11 > 0)) s11 = 0;
        if (!(s20 > 0)) s20 = 0;
        if (!(s21 > 0)) s21 = 0;
        if (!(s30 > 0)) s30 = 0;
        if (!(s31 > 0)) s31 = 0;
      }
      let c = i * N + j;
      C[c] = s00;
      C[c + 1] = s01;
      c += N;
      C[c] = s10;
      C[c + 1] = s11;
      c += N;
      C[c] = s20;
      C[c + 1] = s21;
      c += N;
      C[c] = s30;
      C[c + 1] = s31;
    }
    if (N2 < N) edge(A, B, C, i, i + 4, N2, N, N, K, bias, relu);
  }
  if (M4 < M) edge(A, B, C, M4, M, 0, N, N, K, bias, relu);
}

function edge(A, B, C, from, to, left, right, N, K, bias, relu) {
  for (let i = from; i < to; i++)
    for (let j = left; j < right; j++) {
      let sum = bias ? bias[j] : 0;
      for (let k = 0, a = i * K, b = j * K; k < K; k++) sum += A[a + k] * B[b + k];
      C[i * N + j] = relu && !(sum > 0) ? 0 : sum;
    }
}
