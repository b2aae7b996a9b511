// Products of int8 activations with panels, on 256-bit registers without dot-product instructions:
// vpmaddubsw multiplies four levels of eight rows by four activations, broadcast, and adds in pairs
// in 16 bits. How many of those fit depends on the largest level; the multiplication that widens
// them to 32 bits also applies the group's scale.

constexpr bool kRaiseLevels = false;  // levels with signs stay as they are
// The scales of eight rows as int8_tile takes them: twice in 16 bits.
SLLM_INLINE __m256i group_scales(__m128i scales) { return pairs16(scales, scales); }

SLLM_INLINE __m256i broadcast4(const void* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
SLLM_INLINE __m256i load_8(const void* p) {
  return _mm256_load_si256(static_cast<const __m256i*>(p));
}

// Holds a sum in its register: the compiler would otherwise add in pairs, to shorten the chain, and
// run out of registers (measured: half the speed).
SLLM_INLINE void in_turn(__m256i& sum) { asm("" : "+x"(sum)); }

constexpr int kHalves = kPanelRows / 8;

// sums[m] += scale Σ q a over one group.
template <class T, int MR>
SLLM_INLINE void int8_group(__m256i (*sums)[kHalves], const uint8_t (*levels)[kPanelRows][4],
                            const Int8Row* x, int64_t k, const __m256i* scale) {
  // Steps of four columns whose pairs of products fit 16 bits together.
  constexpr int kFit = T::kTop == 128 ? 1 : 32767 / (2 * 127 * T::kTop);
  constexpr int kSteps = T::kGroup / 4, kFlush = kFit >= kSteps ? kSteps : kFit >= 4 ? 4 : kFit;
  static_assert(kSteps % kFlush == 0);
  for (int step = 0; step < kSteps; step += kFlush) {
    __m256i words[MR][kHalves];
#pragma GCC unroll 8
    for (int j = 0; j < kFlush; ++j) {
      __m256i q[kHalves];
      for (int h = 0; h < kHalves; ++h) q[h] = load_8(levels[step + j][8 * h]);
      for (int m = 0; m < MR; ++m) {
        const __m256i four = broadcast4(x[m].q + k + 4 * (step + j));
        for (int h = 0; h < kHalves; ++h) {
          const __m256i pairs = pair_products<T>(q[h], four);
          words[m][h] = j == 0 ? pairs : _mm256_add_epi16(words[m][h], pairs);
          in_turn(words[m][h]);
        }
      }
    }
    for (int m = 0; m < MR; ++m)
      for (int h = 0; h < kHalves; ++h)
        sums[m][h] = _mm256_add_epi32(sums[m][h], _mm256_madd_epi16(words[m][h], scale[h]));
  }
}

// y[m][0..n) (+)= the panel's columns [k, k + size) of K times rows [0, MR) of x.
template <class T, int MR>
SLLM_INLINE void int8_tile(float* y, int64_t ldy, const Panel& w, const char* x, int64_t x_bytes,
                           int64_t n, int64_t k, int64_t size, int64_t K, bool add_to) {
  constexpr int kGroups = T::kBlock / T::kGroup;
  Int8Row rows[MR];
  __m256 acc[MR][kHalves];
  __m256i columns[kHalves];
  for (int h = 0; h < kHalves; ++h) columns[h] = first_lanes(n - 8 * h);
  for (int m = 0; m < MR; ++m) {
    rows[m] = int8_row(x + m * x_bytes, K, T::kBlock);
    for (int h = 0; h < kHalves; ++h)
      acc[m][h] =
          add_to ? _mm256_maskload_ps(y + m * ldy + 8 * h, columns[h]) : _mm256_setzero_ps();
  }
  for (int64_t b = 0; b < size / T::kBlock; ++b) {
    const int64_t column = k + b * T::kBlock;
    __m256i sums[MR][kHalves];
    for (int m = 0; m < MR; ++m)
      for (int h = 0; h < kHalves; ++h) sums[m][h] = _mm256_setzero_si256();
    for (int g = 0; g < kGroups; ++g) {
      __m256i scale[kHalves];
      for (int h = 0; h < kHalves; ++h)
        scale[h] =
            T::kBlock == 256 ? load_8(w.scale[b * kGroups + g] + 8 * h) : _mm256_set1_epi16(1);
      int8_group<T, MR>(sums, w.levels + (b * T::kBlock + g * T::kGroup) / 4, rows,
                        column + g * T::kGroup, scale);
    }
    for (int m = 0; m < MR; ++m)
      for (int h = 0; h < kHalves; ++h) {
        const float dx = rows[m].d[column / T::kBlock];
        const __m256 d = _mm256_load_ps(w.d[b] + 8 * h);
        if constexpr (T::kBlock == 32) {
          const __m256 e = T::kMinimum ? _mm256_load_ps(w.e[b] + 8 * h) : d;
          acc[m][h] = add_block32<T>(acc[m][h], sums[m][h], d, e, dx, rows[m].sum32[column / 32]);
        } else {
          __m256i minima = _mm256_setzero_si256();
          if (T::kMinimum) {
            const int16_t* sum =
                T::kGroup == 16 ? rows[m].sum16 + column / 16 : rows[m].sum32 + column / 32;
            for (int g = 0; g < kGroups; g += 2)
              minima = _mm256_add_epi32(
                  minima, _mm256_madd_epi16(load_8(w.minimum[(b * kGroups + g) / 2] + 8 * h),
                                            broadcast4(sum + g)));
          }
          const __m256 e = T::kMinimum ? _mm256_load_ps(w.e[b] + 8 * h) : d;
          acc[m][h] = add_block256<T>(acc[m][h], sums[m][h], d, e, minima, dx);
        }
      }
  }
  for (int m = 0; m < MR; ++m)
    for (int h = 0; h < kHalves; ++h)
      _mm256_maskstore_ps(y + m * ldy + 8 * h, columns[h], acc[m][h]);
}
