// Products of a few rows of int8 activations with weights as they lie, eight rows at once: decoding
// those to a panel takes longer than the products. The same sums, added in the same order, as
// int8_tile's.

// Rows r and r + 4 share register r: their sums, side by side in the rows' order.
SLLM_INLINE __m256i across(const __m256i* two) {
  return _mm256_hadd_epi32(_mm256_hadd_epi32(two[0], two[1]), _mm256_hadd_epi32(two[2], two[3]));
}
SLLM_INLINE __m256i both_lanes(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// The group factors of two rows' blocks in 16 bits: those of groups 0 to 7, then of 8 to 15.
struct TwoFactors {
  __m256i of[2];
  SLLM_INLINE TwoFactors(__m128i a, __m128i b) {
    const __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
    of[0] = _mm256_srai_epi16(_mm256_unpacklo_epi8(bytes, bytes), 8);
    of[1] = _mm256_srai_epi16(_mm256_unpackhi_epi8(bytes, bytes), 8);
  }
  SLLM_INLINE __m256i group(int g) const {  // everywhere in its row's half
    const auto word = static_cast<int16_t>(0x100 + 0x202 * (g % 8));
    return _mm256_shuffle_epi8(of[g / 8], _mm256_set1_epi16(word));
  }
};

// What register r of each row of activations holds of one block: Σ_g scale_g Σ q a, and of the
// blocks that have them Σ_g minimum_g Σ a.
template <int MR>
struct BlockSums {
  __m256i scaled[MR][4], minima[MR][4];

  template <class T>
  SLLM_INLINE void add_32(int r, const uint8_t* a, const uint8_t* b, const Int8Row* x,
                          int64_t column) {
    const __m256i low = T::levels(a, b, 0), high = T::levels(a, b, 1), one = _mm256_set1_epi16(1);
    for (int m = 0; m < MR; ++m) scaled[m][r] = two_groups<T>(low, high, one, one, x[m].q + column);
  }
  template <class T>
  SLLM_INLINE void add_256(int r, const uint8_t* a, const uint8_t* b, const Int8Row* x,
                           int64_t column) {
    const Scales of_a = T::scales(a), of_b = T::scales(b);
    const TwoFactors scales(of_a.scale, of_b.scale), least(of_a.minimum, of_b.minimum);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      const __m256i low = T::levels(a, b, i), high = T::levels(a, b, i + 1);
      const __m256i scale = scales.group(16 * i / T::kGroup),
                    next = T::kGroup == 16 ? scales.group(i + 1) : scale;
      for (int m = 0; m < MR; ++m) {
        const __m256i sum = two_groups<T>(low, high, scale, next, x[m].q + column + 16 * i);
        scaled[m][r] = i == 0 ? sum : _mm256_add_epi32(scaled[m][r], sum);
      }
    }
    if constexpr (T::kMinimum)
      for (int m = 0; m < MR; ++m) {
        const int16_t* sum = T::kGroup == 16 ? x[m].sum16 + column / 16 : x[m].sum32 + column / 32;
        minima[m][r] = _mm256_madd_epi16(least.of[0], both_lanes(sum));
        if (T::kGroup == 16)
          minima[m][r] =
              _mm256_add_epi32(minima[m][r], _mm256_madd_epi16(least.of[1], both_lanes(sum + 8)));
      }
  }

 private:
  // Two times sixteen columns with a factor each. One scale for both, and pairs of products that
  // fit 16 bits together, are added before the wider product.
  template <class T>
  SLLM_INLINE static __m256i two_groups(__m256i low, __m256i high, __m256i scale, __m256i next,
                                        const int8_t* x) {
    const __m256i first = pair_products<T>(low, both_lanes(x)),
                  second = pair_products<T>(high, both_lanes(x + 16));
    if constexpr (T::kGroup == 32 && 4 * 127 * T::kTop <= 32767)
      return _mm256_madd_epi16(_mm256_add_epi16(first, second), scale);
    return _mm256_add_epi32(_mm256_madd_epi16(first, scale), _mm256_madd_epi16(second, next));
  }
};

// y[m][0..n) (+)= eight rows of K weights times rows [0, MR) of x. `next` follows the eight rows in
// memory: it is asked for in time.
template <class T, int MR>
SLLM_INLINE void int8_eight_rows(float* y, int64_t ldy, Rows8 rows, const uint8_t* next,
                                 const char* x, int64_t x_bytes, int64_t n, int64_t K,
                                 bool accumulate) {
  const __m256i columns = first_lanes(n);
  Int8Row activations[MR];
  __m256 acc[MR];
  for (int m = 0; m < MR; ++m) {
    activations[m] = int8_row(x + m * x_bytes, K, T::kBlock);
    acc[m] = accumulate ? _mm256_maskload_ps(y + m * ldy, columns) : _mm256_setzero_ps();
  }
  for (int64_t b = 0; b < K / T::kBlock; ++b) {
    const int64_t at = b * T::kBytes, column = b * T::kBlock;
    for (int64_t line = 0; line < 8 * T::kBytes; line += 64)
      _mm_prefetch(next + 8 * at + line, _MM_HINT_T0);
    BlockSums<MR> sums;
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const uint8_t *a = rows[r] + at, *c = rows[r + 4] + at;
      if constexpr (T::kBlock == 32)
        sums.template add_32<T>(r, a, c, activations, column);
      else
        sums.template add_256<T>(r, a, c, activations, column);
    }
    const __m256 d = T::d(rows, at);
    __m256 e = d;
    if constexpr (T::kMinimum) e = T::e(rows, at);
    for (int m = 0; m < MR; ++m) {
      const float dx = activations[m].d[b];
      const __m256i scaled = across(sums.scaled[m]);
      if constexpr (T::kBlock == 32)
        acc[m] = add_block32<T>(acc[m], scaled, d, e, dx, activations[m].sum32[b]);
      else if constexpr (T::kMinimum)
        acc[m] = add_block256<T>(acc[m], scaled, d, e, across(sums.minima[m]), dx);
      else
        acc[m] = add_block256<T>(acc[m], scaled, d, e, scaled, dx);
    }
  }
  for (int m = 0; m < MR; ++m) _mm256_maskstore_ps(y + m * ldy, columns, acc[m]);
}

// y[M,N] (+)= x wᵀ for M <= kFewRows.
template <class T>
void int8_rows(float* y, int64_t ldy, const char* x, const uint8_t* w, int64_t M, int64_t N,
               int64_t K, bool accumulate) noexcept {
  const int64_t row_bytes = K / T::kBlock * T::kBytes, x_bytes = int8_x_bytes(K, T::kBlock);
  for (int64_t n = 0; n < N; n += 8) {
    const uint8_t* rows[8];
    for (int64_t r = 0; r < 8; ++r) rows[r] = w + (n + r < N ? n + r : N - 1) * row_bytes;
    const auto some = [&]<int MR>() {
      int8_eight_rows<T, MR>(y + n, ldy, rows, w + (n + 8) * row_bytes, x, x_bytes, N - n, K,
                             accumulate);
    };
    if (M == 1) some.template operator()<1>();
    if constexpr (kFewRows >= 2)
      if (M == 2) some.template operator()<2>();
    if constexpr (kFewRows >= 3)
      if (M == 3) some.template operator()<3>();
  }
}
