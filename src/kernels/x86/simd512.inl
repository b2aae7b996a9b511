// F: 16 floats in one AVX-512 register. I: 16 int32.
constexpr int kLanes = 16;
constexpr int kDotM = 6;    // rows of x in a dot tile: 6 x 4 accumulators, 4 weights, 1 x
constexpr int kOuterM = 6;  // rows in an outer tile: 6 x 4 accumulators, 4 of b, 1 of a
constexpr int kOuterV = 4;  // vectors in an outer tile
using F = __m512;
using I = __m512i;

SLLM_INLINE __mmask16 lane_mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
SLLM_INLINE F zero() { return _mm512_setzero_ps(); }
SLLM_INLINE F set1(float x) { return _mm512_set1_ps(x); }
SLLM_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
SLLM_INLINE F load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(lane_mask(n), p); }
SLLM_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
SLLM_INLINE void store_n(float* p, F x, int64_t n) { _mm512_mask_storeu_ps(p, lane_mask(n), x); }
SLLM_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
SLLM_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
SLLM_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
SLLM_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
SLLM_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
SLLM_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
SLLM_INLINE F sqrt(F a) { return _mm512_sqrt_ps(a); }
SLLM_INLINE F abs(F a) { return _mm512_abs_ps(a); }
SLLM_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
SLLM_INLINE F round(F a) { return _mm512_roundscale_ps(a, 8); }  // to nearest even
// a where n lanes are kept, `other` elsewhere.
SLLM_INLINE F keep_n(F a, F other, int64_t n) {
  return _mm512_mask_blend_ps(lane_mask(n), other, a);
}
// a < b ? x : y
SLLM_INLINE F if_less(F a, F b, F x, F y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
// x * 2^n for integral n in [-126, 127], flushed to 0 below.
SLLM_INLINE F scale2(F x, F n) { return _mm512_scalef_ps(x, n); }
SLLM_INLINE F to_float(I i) { return _mm512_cvtepi32_ps(i); }

SLLM_INLINE I set1_i(int32_t x) { return _mm512_set1_epi32(x); }
SLLM_INLINE I iota() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
SLLM_INLINE I add_i(I a, I b) { return _mm512_add_epi32(a, b); }
SLLM_INLINE I and_i(I a, I b) { return _mm512_and_si512(a, b); }
SLLM_INLINE I or_i(I a, I b) { return _mm512_or_si512(a, b); }
SLLM_INLINE I shift_right(I a, int n) { return _mm512_srli_epi32(a, static_cast<unsigned>(n)); }
SLLM_INLINE I shift_left(I a, int n) { return _mm512_slli_epi32(a, static_cast<unsigned>(n)); }
SLLM_INLINE I shift_right_each(I a, I n) { return _mm512_srlv_epi32(a, n); }
SLLM_INLINE I bits(F a) { return _mm512_castps_si512(a); }
SLLM_INLINE F from_bits(I a) { return _mm512_castsi512_ps(a); }
// kLanes bytes or 16-bit numbers, widened.
SLLM_INLINE I load_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
SLLM_INLINE I load_s8(const int8_t* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
SLLM_INLINE I load_u16(const uint16_t* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
SLLM_INLINE void store_low16(uint16_t* p, I x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
}
SLLM_INLINE F load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// table[index], index in 0..15.
SLLM_INLINE F look_up16(const float* table, I index) {
  return _mm512_permutexvar_ps(index, load(table));
}

SLLM_INLINE F swap_halves(F a) { return _mm512_shuffle_f32x4(a, a, 0x4e); }
SLLM_INLINE float reduce_add(F a) {
  a = add(a, swap_halves(a));
  a = add(a, _mm512_shuffle_f32x4(a, a, 0xb1));
  a = add(a, _mm512_permute_ps(a, 0x4e));
  a = add(a, _mm512_permute_ps(a, 0xb1));
  return _mm512_cvtss_f32(a);
}
SLLM_INLINE float reduce_max(F a) {
  a = max(a, swap_halves(a));
  a = max(a, _mm512_shuffle_f32x4(a, a, 0xb1));
  a = max(a, _mm512_permute_ps(a, 0x4e));
  a = max(a, _mm512_permute_ps(a, 0xb1));
  return _mm512_cvtss_f32(a);
}
// The sums of four vectors, out[i] = sum of v[i]; one order for all four.
SLLM_INLINE void reduce4(float* out, const F* v) {
  const F ab = add(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
  const F cd = add(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
  const F s = add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}
SLLM_INLINE float half_to_float(uint16_t x) { return _cvtsh_ss(x); }
