// How the int8 products hold what they multiply.

// One row of activations: K int8, then a scale for each block, then the sums of 16s and of 32s.
struct Int8Row {
  const int8_t* q;
  const float* d;
  const int16_t *sum16, *sum32;
};
SLLM_INLINE int64_t int8_padded(int64_t K) { return (K + 63) / 64 * 64; }
SLLM_INLINE Int8Row int8_row(const void* p, int64_t K, int64_t block) {
  const auto* q = static_cast<const int8_t*>(p);
  const auto* d = reinterpret_cast<const float*>(q + int8_padded(K));
  const auto* sums = reinterpret_cast<const int16_t*>(d + K / block);
  return {q, d, sums, sums + K / 16};
}
int64_t int8_x_bytes(int64_t K, int64_t block) noexcept {
  const int64_t bytes = int8_padded(int8_padded(K) + K / block * 4 + K / 16 * 2 + K / 32 * 2);
  return bytes % 4096 == 0 ? bytes + 64 : bytes;  // rows in different sets of L1
}

SLLM_INLINE int32_t sum_of_8(__m256i x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}
void int8_pack_x(void* dst, const float* x, int64_t K, int64_t block) noexcept {
  const Int8Row row = int8_row(dst, K, block);
  auto* q = const_cast<int8_t*>(row.q);
  auto *sum16 = const_cast<int16_t*>(row.sum16), *sum32 = const_cast<int16_t*>(row.sum32);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int64_t b = 0; b < K; b += block) {
    __m256 top = _mm256_setzero_ps();
    for (int64_t k = b; k < b + block; k += 8)
      top = _mm256_max_ps(top, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + k)));
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, top);
    float largest = 0;
    for (float lane : lanes) largest = lane > largest ? lane : largest;
    const float scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
    const_cast<float*>(row.d)[b / block] = scale;
    for (int64_t k = b; k < b + block; k += 16) {
      const __m256 by = _mm256_set1_ps(inverse);
      const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + k), by)),
                    high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + k + 8), by));
      const __m256i words =
          _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);  // in order
      const __m128i bytes =
          _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q + k), bytes);
      sum16[k / 16] = static_cast<int16_t>(sum_of_8(_mm256_add_epi32(low, high)));
    }
  }
  for (int64_t i = 0; i < K / 32; ++i)
    sum32[i] = static_cast<int16_t>(sum16[2 * i] + sum16[2 * i + 1]);
}

// Pairs of 16 bits: low from a, high from b.
SLLM_INLINE __m256i pairs16(__m128i a, __m128i b) {
  return _mm256_blend_epi16(_mm256_cvtepi8_epi32(a), _mm256_slli_epi32(_mm256_cvtepi8_epi32(b), 16),
                            0xaa);
}

// Weights: sixteen rows, in which four levels of each lie side by side. A panel stays in L1 while
// the rows of x pass.
constexpr int64_t kPanelRows = 16;
constexpr int64_t kPanelDepth = 1024;  // columns: 16 KiB of levels
struct Panel {
  alignas(64) uint8_t levels[kPanelDepth / 4][kPanelRows][4];
  alignas(64) int32_t scale[kPanelDepth / 16][kPanelRows];    // of a group, as group_scales has it
  alignas(64) int32_t minimum[kPanelDepth / 32][kPanelRows];  // of two groups
  alignas(64) float d[kPanelDepth / 32][kPanelRows], e[kPanelDepth / 32][kPanelRows];
};
constexpr int64_t int8_scratch = sizeof(Panel);

// Levels times activations, byte by byte, added in pairs in 16 bits.
template <class T>
SLLM_INLINE __m256i pair_products(__m256i levels, __m256i activations) {
  return T::kTop == 128
             ? _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(activations, levels))
             : _mm256_maddubs_epi16(levels, activations);
}
// What one block of eight rows adds to their products: sums = Σ_g scale_g Σ q a, minima =
// Σ_g minimum_g Σ a, dx the scale of the activations, sum = Σ a.
template <class T>
SLLM_INLINE __m256 add_block32(__m256 acc, __m256i sums, __m256 d, __m256 e, float dx,
                               int32_t sum) {
  if (T::kOffset > 0) sums = _mm256_sub_epi32(sums, _mm256_set1_epi32(T::kOffset * sum));
  acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(d, _mm256_set1_ps(dx)), acc);
  if (T::kMinimum) acc = _mm256_fnmadd_ps(e, _mm256_set1_ps(dx * static_cast<float>(sum)), acc);
  return acc;
}
template <class T>
SLLM_INLINE __m256 add_block256(__m256 acc, __m256i sums, __m256 d, __m256 e, __m256i minima,
                                float dx) {
  __m256 product = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sums));
  if (T::kMinimum) product = _mm256_fnmadd_ps(e, _mm256_cvtepi32_ps(minima), product);
  return _mm256_fmadd_ps(product, _mm256_set1_ps(dx), acc);
}
// Lanes [0, n).
SLLM_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
