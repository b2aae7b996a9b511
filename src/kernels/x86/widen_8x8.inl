// Eight columns of eight rows of bf16 to eight rows of f32, `ld` apart.
SLLM_INLINE void widen_8x8(float* to, int64_t ld, const uint16_t* w, int64_t ldw) {
  __m256i r[4];  // rows i and i + 4
  for (int i = 0; i < 4; ++i)
    r[i] = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + i * ldw))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + (i + 4) * ldw)), 1);
  const __m256i a = _mm256_unpacklo_epi16(r[0], r[1]), b = _mm256_unpackhi_epi16(r[0], r[1]),
                c = _mm256_unpacklo_epi16(r[2], r[3]), d = _mm256_unpackhi_epi16(r[2], r[3]);
  const __m256i pairs[4] = {_mm256_unpacklo_epi32(a, c), _mm256_unpackhi_epi32(a, c),
                            _mm256_unpacklo_epi32(b, d), _mm256_unpackhi_epi32(b, d)};
  const __m256i none = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + 2 * i * ld, _mm256_castsi256_ps(_mm256_unpacklo_epi16(none, pairs[i])));
    _mm256_storeu_ps(to + (2 * i + 1) * ld,
                     _mm256_castsi256_ps(_mm256_unpackhi_epi16(none, pairs[i])));
  }
}
