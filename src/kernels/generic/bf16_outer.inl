// c += a b in bf16 by f32 arithmetic: b is widened once into scratch.

int64_t bf16_b_bytes(int64_t K, int64_t N) noexcept { return K * N * 4; }
void bf16_gemm_nn(float* c, int64_t ldc, const uint16_t* a, int64_t lda, const uint16_t* b,
                  int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate,
                  void* scratch) noexcept {
  auto* wide = static_cast<float*>(scratch);
  for (int64_t k = 0; k < K; ++k) decode_bf16(b + k * ldb, wide + k * N, N);
  outer_product(c, ldc, a, lda, 1, wide, N, M, N, K, accumulate);
}
