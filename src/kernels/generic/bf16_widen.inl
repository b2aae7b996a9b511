// bf16 matrix products without instructions for them: activations rounded to bf16 but kept as f32,
// weights widened as they are read.

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
void bf16_gemm_nt(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw, int64_t M,
                  int64_t N, KBlock block, bool accumulate, float*) noexcept {
  const int64_t K = block.total;
  dot_product(y, ldy, static_cast<const float*>(x), K, w, ldw, M, N, K, accumulate);
}
constexpr int64_t bf16_k_block = 0;
