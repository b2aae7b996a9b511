// Products with b in panels: kPanel columns of up to kFold rows in one piece, so that a tile's b
// comes from L1 in order and its a by broadcasts from memory.

constexpr int64_t kPanel = kOuterV * kLanes;

// c[MR][n] (+)= Σ_k a[m][k] b[k], n <= kPanel, K <= kFold: one chain.
template <int MR>
SLLM_INLINE void panel_tile(float* c, int64_t ldc, const float* a, int64_t lda, const float* b,
                            int64_t n, int64_t K, bool add_to) {
  F acc[MR][kOuterV];
  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < kOuterV; ++v) acc[m][v] = zero();
  for (int64_t k = 0; k < K; ++k) {
    F bk[kOuterV];
    for (int v = 0; v < kOuterV; ++v) bk[v] = load(b + k * kPanel + v * kLanes);
    for (int m = 0; m < MR; ++m) {
      const F am = set1(a[m * lda + k]);
      for (int v = 0; v < kOuterV; ++v) acc[m][v] = fma(am, bk[v], acc[m][v]);
    }
  }
  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < kOuterV; ++v) {
      float* to = c + m * ldc + v * kLanes;
      const int64_t left = n - v * kLanes;
      if (left >= kLanes)
        store(to, add_to ? add(load(to), acc[m][v]) : acc[m][v]);
      else if (left > 0)
        store_n(to, add_to ? add(load_n(to, left), acc[m][v]) : acc[m][v], left);
    }
}

SLLM_INLINE void panel_product(float* c, int64_t ldc, const float* a, int64_t lda, const float* b,
                               int64_t M, int64_t n, int64_t K, bool add_to) {
  int64_t m = 0;
  for (; m + kOuterM <= M; m += kOuterM)
    panel_tile<kOuterM>(c + m * ldc, ldc, a + m * lda, lda, b, n, K, add_to);
  for (; m + 2 <= M; m += 2) panel_tile<2>(c + m * ldc, ldc, a + m * lda, lda, b, n, K, add_to);
  if (m < M) panel_tile<1>(c + m * ldc, ldc, a + m * lda, lda, b, n, K, add_to);
}
