// Dot products by vdpbf16ps: pairs of bf16 into 16 f32 sums.

// Activations as bf16 rows, zero up to a multiple of 32.
int64_t bf16_x_bytes(int64_t M, int64_t K) noexcept { return M * ((K + 31) / 32 * 32) * 2; }
void bf16_pack_x(void* dst, const float* x, int64_t m, int64_t M, int64_t K) noexcept {
  const int64_t ld = (K + 31) / 32 * 32;
  for (int64_t i = m; i < M && i < m + 16; ++i) {
    auto* row = static_cast<uint16_t*>(dst) + i * ld;
    decode_f32(x + i * K, row, K);
    for (int64_t k = K; k < ld; ++k) row[k] = 0;
  }
}

template <int MR>
SLLM_INLINE void bf16_tile(float* y, int64_t ldy, const uint16_t* x, int64_t ldx,
                           const uint16_t* const* w, int64_t n, int64_t K, bool accumulate) {
  F acc[MR][4];
  for (int m = 0; m < MR; ++m)
    for (int j = 0; j < 4; ++j) acc[m][j] = zero();
  for (int64_t k = 0; k < K; k += 32) {
    __m512i wk[4];
    for (int j = 0; j < 4; ++j) wk[j] = _mm512_loadu_si512(w[j] + k);
    for (int m = 0; m < MR; ++m) {
      const __m512i xk = _mm512_loadu_si512(x + m * ldx + k);
      for (int j = 0; j < 4; ++j)
        acc[m][j] = _mm512_dpbf16_ps(acc[m][j], reinterpret_cast<__m512bh>(xk),
                                     reinterpret_cast<__m512bh>(wk[j]));
    }
  }
  for (int m = 0; m < MR; ++m) {
    float sum[4];
    reduce4(sum, acc[m]);
    for (int64_t j = 0; j < n; ++j) y[m * ldy + j] = accumulate ? y[m * ldy + j] + sum[j] : sum[j];
  }
}

template <int MR>
SLLM_INLINE void bf16_rows(float* y, int64_t ldy, const uint16_t* x, int64_t ldx, const uint16_t* w,
                           int64_t ldw, int64_t N, int64_t K, bool accumulate) {
  for (int64_t n = 0; n < N; n += 4) {
    const uint16_t* rows[4];
    for (int64_t j = 0; j < 4; ++j) rows[j] = w + (n + j < N ? n + j : N - 1) * ldw;
    bf16_tile<MR>(y + n, ldy, x, ldx, rows, N - n < 4 ? N - n : 4, K, accumulate);
  }
}

void bf16_gemm_nt(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw, int64_t M,
                  int64_t N, KBlock block, bool accumulate, float*) noexcept {
  const int64_t K = block.total;
  constexpr int64_t kBlock = 2 * kDotBlock;
  const int64_t ldx = (K + 31) / 32 * 32;
  for (int64_t k = 0; k < ldx; k += kBlock) {
    const int64_t size = ldx - k < kBlock ? ldx - k : kBlock;
    const uint16_t* from = static_cast<const uint16_t*>(x) + k;
    const bool add_to = accumulate || k > 0;
    int64_t m = 0;
    for (; m + kDotM <= M; m += kDotM)
      bf16_rows<kDotM>(y + m * ldy, ldy, from + m * ldx, ldx, w + k, ldw, N, size, add_to);
    for (; m < M; ++m)
      bf16_rows<1>(y + m * ldy, ldy, from + m * ldx, ldx, w + k, ldw, N, size, add_to);
  }
}
constexpr int64_t bf16_k_block = 0;
