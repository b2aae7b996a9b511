// Decodes weights to panels, eight rows at a time, and multiplies by them.

SLLM_INLINE void store_8(void* p, __m256i x) { _mm256_store_si256(static_cast<__m256i*>(p), x); }

// Sixteen levels of eight rows, which come as rows r and r + 4 in a register, to four columns each.
SLLM_INLINE void interleave(uint8_t* to, const __m256i* rows) {
  const __m256i a = _mm256_unpacklo_epi32(rows[0], rows[1]),
                b = _mm256_unpackhi_epi32(rows[0], rows[1]),
                c = _mm256_unpacklo_epi32(rows[2], rows[3]),
                d = _mm256_unpackhi_epi32(rows[2], rows[3]);
  constexpr int64_t kColumns = 4 * kPanelRows;  // bytes to the next four columns
  store_8(to, _mm256_unpacklo_epi64(a, c));
  store_8(to + kColumns, _mm256_unpackhi_epi64(a, c));
  store_8(to + 2 * kColumns, _mm256_unpacklo_epi64(b, d));
  store_8(to + 3 * kColumns, _mm256_unpackhi_epi64(b, d));
}

// Bytes [0, 8) of eight rows to rows side by side, two columns a register.
SLLM_INLINE void transpose8(__m128i* to, const __m128i* r) {
  const __m128i a = _mm_unpacklo_epi8(r[0], r[1]), b = _mm_unpacklo_epi8(r[2], r[3]),
                c = _mm_unpacklo_epi8(r[4], r[5]), d = _mm_unpacklo_epi8(r[6], r[7]);
  const __m128i ab = _mm_unpacklo_epi16(a, b), cd = _mm_unpacklo_epi16(c, d),
                ef = _mm_unpackhi_epi16(a, b), gh = _mm_unpackhi_epi16(c, d);
  to[0] = _mm_unpacklo_epi32(ab, cd), to[1] = _mm_unpackhi_epi32(ab, cd);
  to[2] = _mm_unpacklo_epi32(ef, gh), to[3] = _mm_unpackhi_epi32(ef, gh);
}

template <class T>
SLLM_INLINE void panel_scales(Panel& panel, int64_t first, Rows8 rows, int64_t b) {
  constexpr int kGroups = T::kBlock / T::kGroup;
  __m128i s[8], m[8];
  for (int r = 0; r < 8; ++r) {
    const Scales both = T::scales(rows[r] + b * T::kBytes);
    s[r] = both.scale, m[r] = both.minimum;
  }
  for (int g = 0; g < kGroups; g += 8) {
    __m128i two[4];
    transpose8(two, s);
    for (int i = 0; i < 4; ++i) {
      const __m128i other = _mm_unpackhi_epi64(two[i], two[i]);
      store_8(panel.scale[b * kGroups + g + 2 * i] + first, group_scales(two[i]));
      store_8(panel.scale[b * kGroups + g + 2 * i + 1] + first, group_scales(other));
    }
    if constexpr (T::kMinimum) {
      transpose8(two, m);
      for (int i = 0; i < 4; ++i)
        store_8(panel.minimum[(b * kGroups + g) / 2 + i] + first,
                pairs16(two[i], _mm_unpackhi_epi64(two[i], two[i])));
    }
    for (int r = 0; r < 8; ++r)
      s[r] = _mm_unpackhi_epi64(s[r], s[r]), m[r] = _mm_unpackhi_epi64(m[r], m[r]);
  }
}

// Columns of `blocks` blocks of eight rows, from the panel's row `first`.
template <class T>
SLLM_INLINE void decode_rows(Panel& panel, int64_t first, Rows8 rows, int64_t blocks,
                             int64_t next) {
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = b * T::kBytes;
#pragma GCC unroll 16
    for (int i = 0; i < T::kBlock / 16; ++i) {
      __m256i two[4];
      for (int r = 0; r < 4; ++r) {
        two[r] = T::levels(rows[r] + at, rows[r + 4] + at, i);
        if constexpr (kRaiseLevels && T::kTop == 128)
          two[r] = _mm256_xor_si256(two[r], _mm256_set1_epi8(-128));
      }
      interleave(panel.levels[b * (T::kBlock / 4) + 4 * i][first], two);
    }
    _mm256_store_ps(panel.d[b] + first, T::d(rows, at));
    if constexpr (T::kMinimum) _mm256_store_ps(panel.e[b] + first, T::e(rows, at));
    // Few rows of activations are soon done with a panel: the next one's weights are asked for in
    // time.
    for (int r = 0; r < 8; ++r)
      for (int64_t line = 0; line < T::kBytes; line += 64)
        _mm_prefetch(rows[r] + at + next + line, _MM_HINT_T0);
    if constexpr (T::kBlock == 256) panel_scales<T>(panel, first, rows, b);
  }
}

// y[M,N] (+)= x wᵀ: a few rows of x by w as it lies, more by a panel of w at a time.
template <class T>
void int8_gemm(float* y, int64_t ldy, const void* x, const void* w, int64_t M, int64_t N, int64_t K,
               bool accumulate, void* scratch) noexcept {
  auto& panel = *static_cast<Panel*>(scratch);
  const auto* weights = static_cast<const uint8_t*>(w);
  const auto* activations = static_cast<const char*>(x);
  if (M <= kFewRows) return int8_rows<T>(y, ldy, activations, weights, M, N, K, accumulate);
  const int64_t row_bytes = K / T::kBlock * T::kBytes, x_bytes = int8_x_bytes(K, T::kBlock);
  for (int64_t n = 0; n < N; n += kPanelRows)
    for (int64_t k = 0; k < K; k += kPanelDepth) {
      const int64_t size = K - k < kPanelDepth ? K - k : kPanelDepth;
      for (int64_t p = 0; p < kPanelRows; p += 8) {
        const uint8_t* rows[8];
        for (int64_t r = 0; r < 8; ++r) {
          const int64_t row = n + p + r < N ? n + p + r : N - 1;
          rows[r] = weights + row * row_bytes + k / T::kBlock * T::kBytes;
        }
        decode_rows<T>(panel, p, rows, size / T::kBlock, kPanelRows * row_bytes);
      }
      const auto tile = [&]<int MR>(int64_t m) {
        int8_tile<T, MR>(y + m * ldy + n, ldy, panel, activations + m * x_bytes, x_bytes, N - n, k,
                         size, K, accumulate || k > 0);
      };
      int64_t m = 0;
      for (; m + kTileRows <= M; m += kTileRows) tile.template operator()<kTileRows>(m);
      for (; m + 4 <= M; m += 4) tile.template operator()<4>(m);
      if (M - m == 3) tile.template operator()<3>(m);
      if (M - m == 2) tile.template operator()<2>(m);
      if (M - m == 1) tile.template operator()<1>(m);
    }
}
