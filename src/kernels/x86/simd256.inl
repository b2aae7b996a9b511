// F: 8 floats in one AVX register. I: 8 int32.
constexpr int kLanes = 8;
constexpr int kDotM = 3;    // 3 x 4 accumulators, 3 of x, 1 weight of 16 registers
constexpr int kOuterM = 6;  // 6 x 2 accumulators, 2 of b, 1 of a
constexpr int kOuterV = 2;
using F = __m256;
using I = __m256i;

SLLM_INLINE __m256i lane_mask(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SLLM_INLINE F zero() { return _mm256_setzero_ps(); }
SLLM_INLINE F set1(float x) { return _mm256_set1_ps(x); }
SLLM_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
SLLM_INLINE F load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, lane_mask(n)); }
SLLM_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
SLLM_INLINE void store_n(float* p, F x, int64_t n) { _mm256_maskstore_ps(p, lane_mask(n), x); }
SLLM_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
SLLM_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
SLLM_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
SLLM_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
SLLM_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
SLLM_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
SLLM_INLINE F sqrt(F a) { return _mm256_sqrt_ps(a); }
SLLM_INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
SLLM_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
SLLM_INLINE F round(F a) { return _mm256_round_ps(a, 8); }
SLLM_INLINE F keep_n(F a, F other, int64_t n) {
  return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(lane_mask(n)));
}
SLLM_INLINE F if_less(F a, F b, F x, F y) {  // a < b ? x : y
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
SLLM_INLINE F scale2(F x, F n) {
  const __m256i bits = _mm256_slli_epi32(
      _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_max_ps(n, set1(-127))), _mm256_set1_epi32(127)),
      23);
  return mul(x, _mm256_castsi256_ps(bits));
}
SLLM_INLINE F to_float(I i) { return _mm256_cvtepi32_ps(i); }

SLLM_INLINE I set1_i(int32_t x) { return _mm256_set1_epi32(x); }
SLLM_INLINE I iota() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
SLLM_INLINE I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
SLLM_INLINE I and_i(I a, I b) { return _mm256_and_si256(a, b); }
SLLM_INLINE I or_i(I a, I b) { return _mm256_or_si256(a, b); }
SLLM_INLINE I shift_right(I a, int n) { return _mm256_srli_epi32(a, n); }
SLLM_INLINE I shift_left(I a, int n) { return _mm256_slli_epi32(a, n); }
SLLM_INLINE I shift_right_each(I a, I n) { return _mm256_srlv_epi32(a, n); }
SLLM_INLINE I bits(F a) { return _mm256_castps_si256(a); }
SLLM_INLINE F from_bits(I a) { return _mm256_castsi256_ps(a); }
SLLM_INLINE I load_u8(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
SLLM_INLINE I load_s8(const int8_t* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
SLLM_INLINE I load_u16(const uint16_t* p) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
SLLM_INLINE void store_low16(uint16_t* p, I x) {
  const __m256i low = and_i(x, set1_i(0xffff));
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
SLLM_INLINE F load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// table[index], index in 0..15: the sign of index << 28 is its bit 3.
SLLM_INLINE F look_up16(const float* table, I index) {
  const F low = _mm256_permutevar8x32_ps(load(table), index),
          high = _mm256_permutevar8x32_ps(load(table + 8), index);
  return _mm256_blendv_ps(low, high, from_bits(shift_left(index, 28)));
}

SLLM_INLINE float reduce_add(F a) {
  a = add(a, _mm256_permute2f128_ps(a, a, 1));
  a = add(a, _mm256_permute_ps(a, 0x4e));
  a = add(a, _mm256_permute_ps(a, 0xb1));
  return _mm256_cvtss_f32(a);
}
SLLM_INLINE float reduce_max(F a) {
  a = max(a, _mm256_permute2f128_ps(a, a, 1));
  a = max(a, _mm256_permute_ps(a, 0x4e));
  a = max(a, _mm256_permute_ps(a, 0xb1));
  return _mm256_cvtss_f32(a);
}
SLLM_INLINE void reduce4(float* out, const F* v) {
  const F ab = add(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
  const F cd = add(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
  const F s = add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
SLLM_INLINE float half_to_float(uint16_t x) { return _cvtsh_ss(x); }
