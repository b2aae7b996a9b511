// c += a b in bf16 by f32 arithmetic: b is widened into panels once, a tile of a as it is used.

int64_t bf16_b_bytes(int64_t K, int64_t N) noexcept {
  return (K < kFold ? K : kFold) * (N + kPanel - 1) / kPanel * kPanel * 4;
}

// Columns [0, n) of K rows of b, the rest of the panel zero.
SLLM_INLINE void panel_of_columns(float* panel, const uint16_t* b, int64_t ldb, int64_t n,
                                  int64_t K) {
  for (int64_t k = 0; k < K; ++k, panel += kPanel) {
    if (n >= kPanel) {
      for (int v = 0; v < kOuterV; ++v)
        store(panel + v * kLanes, load_bf16(b + k * ldb + v * kLanes));
    } else {
      for (int64_t j = 0; j < kPanel; ++j)
        panel[j] = j < n ? sllm::to_float(bf16{b[k * ldb + j]}) : 0;
    }
  }
}

void bf16_gemm_nn(float* c, int64_t ldc, const uint16_t* a, int64_t lda, const uint16_t* b,
                  int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate,
                  void* scratch) noexcept {
  constexpr int64_t kRows = 2 * kOuterM;
  alignas(64) float rows[kRows * kFold];
  auto* panels = static_cast<float*>(scratch);
  for (int64_t k = 0; k < K; k += kFold) {
    const int64_t size = K - k < kFold ? K - k : kFold;
    for (int64_t n = 0; n < N; n += kPanel)
      panel_of_columns(panels + n * size, b + k * ldb + n, ldb, N - n, size);
    for (int64_t m = 0; m < M; m += kRows) {
      const int64_t some = M - m < kRows ? M - m : kRows;
      for (int64_t i = 0; i < some; ++i) decode_bf16(a + (m + i) * lda + k, rows + i * kFold, size);
      for (int64_t n = 0; n < N; n += kPanel)
        panel_product(c + m * ldc + n, ldc, rows, kFold, panels + n * size, some, N - n, size,
                      accumulate || k > 0);
    }
  }
}
