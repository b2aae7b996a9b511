// Products of int8 activations with panels by vpdpbusd: four levels of a row times four
// activations, added in 32 bits. It takes levels without signs, so those that have them are stored
// 128 higher and every sum begins at what that adds to it.

constexpr bool kRaiseLevels = true;
// The scales of eight rows as int8_tile takes them.
SLLM_INLINE __m256i group_scales(__m128i scales) { return _mm256_cvtepi8_epi32(scales); }

SLLM_INLINE __m512i broadcast4(const void* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
SLLM_INLINE __m512i load_16(const void* p) { return _mm512_load_si512(p); }

// A block's sums with their scales, added to acc.
template <class T>
SLLM_INLINE __m512 int8_scaled(__m512 acc, __m512i sums, const Panel& w, int64_t b,
                               const Int8Row& x, int64_t column) {
  const __m512 d = _mm512_load_ps(w.d[b]);
  const float dx = x.d[column / T::kBlock];
  if constexpr (T::kBlock == 32) {
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(d, _mm512_set1_ps(dx)), acc);
    if constexpr (T::kMinimum) {
      const auto sum = static_cast<float>(x.sum32[column / 32]);
      acc = _mm512_fnmadd_ps(_mm512_load_ps(w.e[b]), _mm512_set1_ps(dx * sum), acc);
    }
    return acc;
  } else {
    constexpr int kGroups = T::kBlock / T::kGroup;
    __m512 product = _mm512_mul_ps(d, _mm512_cvtepi32_ps(sums));
    if constexpr (T::kMinimum) {
      const int16_t* sum = T::kGroup == 16 ? x.sum16 + column / 16 : x.sum32 + column / 32;
      __m512i minima = _mm512_setzero_si512();
      for (int g = 0; g < kGroups; g += 2)
        minima = _mm512_add_epi32(
            minima,
            _mm512_madd_epi16(load_16(w.minimum[(b * kGroups + g) / 2]), broadcast4(sum + g)));
      product = _mm512_fnmadd_ps(_mm512_load_ps(w.e[b]), _mm512_cvtepi32_ps(minima), product);
    }
    return _mm512_fmadd_ps(product, _mm512_set1_ps(dx), acc);
  }
}

// y[m][0..n) (+)= the panel's columns [k, k + size) of K times rows [0, MR) of x.
template <class T, int MR>
SLLM_INLINE void int8_tile(float* y, int64_t ldy, const Panel& w, const char* x, int64_t x_bytes,
                           int64_t n, int64_t k, int64_t size, int64_t K, bool add_to) {
  constexpr int kGroups = T::kBlock / T::kGroup, kSteps = T::kGroup / 4;
  constexpr int kAbove = (T::kTop == 128 ? 128 : 0) + T::kOffset;  // of the stored levels
  static_assert(kAbove == 0 || T::kGroup == 32);
  const __mmask16 columns = lane_mask(n < 16 ? n : 16);
  Int8Row rows[MR];
  __m512 acc[MR];
  for (int m = 0; m < MR; ++m) {
    rows[m] = int8_row(x + m * x_bytes, K, T::kBlock);
    acc[m] = add_to ? _mm512_maskz_loadu_ps(columns, y + m * ldy) : _mm512_setzero_ps();
  }
  for (int64_t b = 0; b < size / T::kBlock; ++b) {
    const int64_t column = k + b * T::kBlock;
    __m512i sums[MR];
    for (int g = 0; g < kGroups; ++g) {
      const int64_t at = column + g * T::kGroup;
      __m512i group[MR];
      for (int m = 0; m < MR; ++m)
        group[m] = kAbove > 0 ? _mm512_set1_epi32(-kAbove * rows[m].sum32[at / 32])
                              : _mm512_setzero_si512();
      const auto* levels = w.levels + (b * T::kBlock + g * T::kGroup) / 4;
      for (int step = 0; step < kSteps; ++step) {
        const __m512i q = load_16(levels[step]);
        for (int m = 0; m < MR; ++m)
          group[m] = _mm512_dpbusd_epi32(group[m], q, broadcast4(rows[m].q + at + 4 * step));
      }
      for (int m = 0; m < MR; ++m) {
        if constexpr (T::kBlock == 256)
          group[m] = _mm512_mullo_epi32(group[m], load_16(w.scale[b * kGroups + g]));
        sums[m] = g == 0 ? group[m] : _mm512_add_epi32(sums[m], group[m]);
      }
    }
    for (int m = 0; m < MR; ++m) acc[m] = int8_scaled<T>(acc[m], sums[m], w, b, rows[m], column);
  }
  for (int m = 0; m < MR; ++m) _mm512_mask_storeu_ps(y + m * ldy, columns, acc[m]);
}
