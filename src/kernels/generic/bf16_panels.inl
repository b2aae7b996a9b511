// y = x wᵀ in bf16 without instructions for it: activations rounded to bf16 but kept as f32, rows
// of w widened and turned into panels of columns, which every row of x then uses.

int64_t bf16_x_bytes(int64_t M, int64_t K) noexcept { return M * K * 4; }
void bf16_pack_x(void* dst, const float* x, int64_t m, int64_t M, int64_t K) noexcept {
  auto* y = static_cast<float*>(dst);
  for (int64_t i = m; i < M && i < m + 16; ++i) {
    int64_t k = 0;
    for (; k + kLanes <= K; k += kLanes)
      store(y + i * K + k, from_bits(shift_left(round_bf16(load(x + i * K + k)), 16)));
    for (; k < K; ++k) y[i * K + k] = sllm::to_float(sllm::to_bf16(x[i * K + k]));
  }
}

// K <= kFold columns of rows [0, n) of w, the rest of the panel zero.
SLLM_INLINE void panel_of_rows(float* panel, const uint16_t* w, int64_t ldw, int64_t n, int64_t K) {
  for (int64_t r = 0; r < kPanel; r += 8) {
    int64_t k = 0;
    if (r + 8 <= n)
      for (; k + 8 <= K; k += 8) widen_8x8(panel + k * kPanel + r, kPanel, w + r * ldw + k, ldw);
    for (; k < K; ++k)
      for (int64_t i = r; i < r + 8; ++i)
        panel[k * kPanel + i] = i < n ? sllm::to_float(bf16{w[i * ldw + k]}) : 0;
  }
}

void bf16_gemm_nt(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw, int64_t M,
                  int64_t N, KBlock block, bool accumulate, float*) noexcept {
  const int64_t K = block.total;
  const auto* rows = static_cast<const float*>(x);
  alignas(64) float panel[kFold * kPanel];
  for (int64_t n = 0; n < N; n += kPanel)
    for (int64_t k = 0; k < K; k += kFold) {
      const int64_t size = K - k < kFold ? K - k : kFold;
      panel_of_rows(panel, w + n * ldw + k, ldw, N - n, size);
      panel_product(y + n, ldy, rows + k, K, panel, M, N - n, size, accumulate || k > 0);
    }
}
constexpr int64_t bf16_k_block = 0;
