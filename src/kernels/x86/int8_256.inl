// Products of block formats with int8 activations, on 256-bit registers without dot-product
// instructions. Weights are read in panels of eight rows: four levels of each row side by side make
// a register, against which four activations of one row are broadcast. vpmaddubsw adds products in
// pairs in 16 bits; how many of those fit depends on the largest level, and the multiplication that
// widens them to 32 bits also applies the group's scale.

constexpr int64_t kPanelRows = 8;
constexpr int64_t kPanelDepth = 2048;  // columns decoded at a time: 16 KiB of levels
constexpr int64_t kPanels = 4;         // decoded together when many rows of x pass

struct Panel {
  alignas(64) uint8_t levels[kPanelDepth / 4][kPanelRows][4];
  alignas(32) int32_t scale[kPanelDepth / 16][kPanelRows];    // of a group, twice in 16 bits
  alignas(32) int32_t minimum[kPanelDepth / 32][kPanelRows];  // of two groups
  alignas(32) float d[kPanelDepth / 32][kPanelRows], e[kPanelDepth / 32][kPanelRows];
};
constexpr int64_t int8_scratch = kPanels * sizeof(Panel);

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

// Sixteen levels of eight rows, which come as rows r and r + 4 in a register, to four columns each.
SLLM_INLINE void interleave(uint8_t (*to)[kPanelRows][4], const __m256i* rows) {
  const __m256i a = _mm256_unpacklo_epi32(rows[0], rows[1]),
                b = _mm256_unpackhi_epi32(rows[0], rows[1]),
                c = _mm256_unpacklo_epi32(rows[2], rows[3]),
                d = _mm256_unpackhi_epi32(rows[2], rows[3]);
  auto* out = reinterpret_cast<__m256i*>(to);
  _mm256_store_si256(out, _mm256_unpacklo_epi64(a, c));
  _mm256_store_si256(out + 1, _mm256_unpackhi_epi64(a, c));
  _mm256_store_si256(out + 2, _mm256_unpacklo_epi64(b, d));
  _mm256_store_si256(out + 3, _mm256_unpackhi_epi64(b, d));
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
// Pairs of 16 bits: low from a, high from b.
SLLM_INLINE __m256i pairs16(__m128i a, __m128i b) {
  return _mm256_blend_epi16(_mm256_cvtepi8_epi32(a), _mm256_slli_epi32(_mm256_cvtepi8_epi32(b), 16),
                            0xaa);
}
SLLM_INLINE void store_8(int32_t* p, __m256i x) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(p), x);
}

template <class T>
SLLM_INLINE void panel_scales(Panel& panel, Rows8 rows, int64_t b) {
  constexpr int kGroups = T::kBlock / T::kGroup;
  __m128i s[kPanelRows], m[kPanelRows];
  for (int r = 0; r < kPanelRows; ++r) {
    const Scales both = T::scales(rows[r] + b * T::kBytes);
    s[r] = both.scale, m[r] = both.minimum;
  }
  for (int g = 0; g < kGroups; g += 8) {
    __m128i two[4];
    transpose8(two, s);
    for (int i = 0; i < 4; ++i) {
      const __m128i other = _mm_unpackhi_epi64(two[i], two[i]);
      store_8(panel.scale[b * kGroups + g + 2 * i], pairs16(two[i], two[i]));
      store_8(panel.scale[b * kGroups + g + 2 * i + 1], pairs16(other, other));
    }
    if constexpr (T::kMinimum) {
      transpose8(two, m);
      for (int i = 0; i < 4; ++i)
        store_8(panel.minimum[(b * kGroups + g) / 2 + i],
                pairs16(two[i], _mm_unpackhi_epi64(two[i], two[i])));
    }
    for (int r = 0; r < kPanelRows; ++r)
      s[r] = _mm_unpackhi_epi64(s[r], s[r]), m[r] = _mm_unpackhi_epi64(m[r], m[r]);
  }
}

// Columns of `blocks` blocks of eight rows.
template <class T>
SLLM_INLINE void decode_panel(Panel& panel, Rows8 rows, int64_t blocks, int64_t next) {
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = b * T::kBytes;
#pragma GCC unroll 16
    for (int i = 0; i < T::kBlock / 16; ++i) {
      __m256i two[4];
      for (int r = 0; r < 4; ++r) two[r] = T::levels(rows[r] + at, rows[r + 4] + at, i);
      interleave(panel.levels + b * (T::kBlock / 4) + 4 * i, two);
    }
    _mm256_store_ps(panel.d[b], T::d(rows, at));
    if constexpr (T::kMinimum) _mm256_store_ps(panel.e[b], T::e(rows, at));
    // One row of activations reads every weight once: the next panel's are asked for in time.
    for (int r = 0; r < kPanelRows; ++r)
      for (int64_t line = 0; line < T::kBytes; line += 64)
        _mm_prefetch(rows[r] + at + next + line, _MM_HINT_T0);
    if constexpr (T::kBlock == 256) panel_scales<T>(panel, rows, b);
  }
}

SLLM_INLINE __m256i broadcast4(const void* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
SLLM_INLINE __m256i load_8(const int32_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

// Holds a sum in its register: the compiler would otherwise add in pairs, to shorten the chain, and
// run out of registers (measured: half the speed).
SLLM_INLINE void in_turn(__m256i& sum) { asm("" : "+x"(sum)); }

// sums[m] += scale Σ q a over one group.
template <class T, int MR>
SLLM_INLINE void int8_group(__m256i* sums, const uint8_t (*levels)[kPanelRows][4],
                            const int8_t* const* a, int64_t k, __m256i scale) {
  // Steps of four columns whose pairs of products fit 16 bits together.
  constexpr int kFit = T::kTop == 128 ? 1 : 32767 / (2 * 127 * T::kTop);
  constexpr int kSteps = T::kGroup / 4, kFlush = kFit >= kSteps ? kSteps : kFit >= 4 ? 4 : kFit;
  static_assert(kSteps % kFlush == 0);
  for (int step = 0; step < kSteps; step += kFlush) {
    __m256i words[MR];
    for (int j = 0; j < kFlush; ++j) {
      const __m256i q = load_8(reinterpret_cast<const int32_t*>(levels[step + j]));
      const int64_t column = k + 4 * (step + j);
      for (int m = 0; m < MR; ++m) {
        const __m256i four = broadcast4(a[m] + column);
        const __m256i pairs =
            T::kTop == 128 ? _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(four, q))
                           : _mm256_maddubs_epi16(q, four);
        words[m] = j == 0 ? pairs : _mm256_add_epi16(words[m], pairs);
        in_turn(words[m]);
      }
    }
    for (int m = 0; m < MR; ++m)
      sums[m] = _mm256_add_epi32(sums[m], _mm256_madd_epi16(words[m], scale));
  }
}

// y[m][0..n) (+)= the panel's columns [k, k + size) of K times rows [first, first + MR) of x.
template <class T, int MR>
SLLM_INLINE void int8_tile(float* y, int64_t ldy, const Panel& w, const char* x, int64_t x_bytes,
                           int64_t n, int64_t k, int64_t size, int64_t K, bool add_to) {
  const int8_t* a[MR];
  Int8Row rows[MR];
  __m256 acc[MR];
  const __m256i columns = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                                             _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (int m = 0; m < MR; ++m) {
    rows[m] = int8_row(x + m * x_bytes, K, T::kBlock);
    a[m] = rows[m].q;
    acc[m] = add_to ? _mm256_maskload_ps(y + m * ldy, columns) : _mm256_setzero_ps();
  }
  constexpr int kGroups = T::kBlock / T::kGroup;
  for (int64_t b = 0; b < size / T::kBlock; ++b) {
    const int64_t column = k + b * T::kBlock;
    const __m256 d = _mm256_load_ps(w.d[b]), e = _mm256_load_ps(w.e[b]);
    __m256i sums[MR];
    for (int m = 0; m < MR; ++m) sums[m] = _mm256_setzero_si256();
    for (int g = 0; g < kGroups; ++g)
      int8_group<T, MR>(sums, w.levels + b * (T::kBlock / 4) + g * (T::kGroup / 4), a,
                        column + g * T::kGroup,
                        T::kBlock == 256 ? load_8(w.scale[b * kGroups + g]) : _mm256_set1_epi16(1));
    for (int m = 0; m < MR; ++m) {
      const float dx = rows[m].d[column / T::kBlock];
      if constexpr (T::kBlock == 32) {
        const int32_t sum = rows[m].sum32[column / 32];
        if (T::kOffset > 0)
          sums[m] = _mm256_sub_epi32(sums[m], _mm256_set1_epi32(T::kOffset * sum));
        acc[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[m]), _mm256_mul_ps(d, _mm256_set1_ps(dx)),
                                 acc[m]);
        if (T::kMinimum)
          acc[m] = _mm256_fnmadd_ps(e, _mm256_set1_ps(dx * static_cast<float>(sum)), acc[m]);
      } else {
        __m256 product = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sums[m]));
        if (T::kMinimum) {
          const int16_t* sum =
              T::kGroup == 16 ? rows[m].sum16 + column / 16 : rows[m].sum32 + column / 32;
          __m256i minima = _mm256_setzero_si256();
          for (int g = 0; g < kGroups; g += 2)
            minima = _mm256_add_epi32(
                minima,
                _mm256_madd_epi16(load_8(w.minimum[(b * kGroups + g) / 2]), broadcast4(sum + g)));
          product = _mm256_fnmadd_ps(e, _mm256_cvtepi32_ps(minima), product);
        }
        acc[m] = _mm256_fmadd_ps(product, _mm256_set1_ps(dx), acc[m]);
      }
    }
  }
  for (int m = 0; m < MR; ++m) _mm256_maskstore_ps(y + m * ldy, columns, acc[m]);
}

template <class T>
void int8_gemm(float* y, int64_t ldy, const void* x, const void* w, int64_t M, int64_t N, int64_t K,
               bool accumulate, void* scratch) noexcept {
  auto* panels = static_cast<Panel*>(scratch);
  const auto* weights = static_cast<const uint8_t*>(w);
  const auto* activations = static_cast<const char*>(x);
  const int64_t row_bytes = K / T::kBlock * T::kBytes, x_bytes = int8_x_bytes(K, T::kBlock);
  const int64_t together = (M > 4 ? kPanels : 1) * kPanelRows;
  for (int64_t n = 0; n < N; n += together)
    for (int64_t k = 0; k < K; k += kPanelDepth) {
      const int64_t size = K - k < kPanelDepth ? K - k : kPanelDepth;
      const int64_t last = N - n < together ? N : n + together;
      for (int64_t p = n; p < last; p += kPanelRows) {
        const uint8_t* rows[kPanelRows];
        for (int64_t r = 0; r < kPanelRows; ++r)
          rows[r] = weights + (p + r < N ? p + r : N - 1) * row_bytes + k / T::kBlock * T::kBytes;
        decode_panel<T>(panels[(p - n) / kPanelRows], rows, size / T::kBlock,
                        kPanelRows * row_bytes);
      }
      const bool add_to = accumulate || k > 0;
      const auto tiles = [&]<int MR>(int64_t m) {
        for (int64_t p = n; p < last; p += kPanelRows)
          int8_tile<T, MR>(y + m * ldy + p, ldy, panels[(p - n) / kPanelRows],
                           activations + m * x_bytes, x_bytes, last - p, k, size, K, add_to);
      };
      int64_t m = 0;
      for (; m + 4 <= M; m += 4) tiles.template operator()<4>(m);
      if (M - m == 3) tiles.template operator()<3>(m);
      if (M - m == 2) tiles.template operator()<2>(m);
      if (M - m == 1) tiles.template operator()<1>(m);
    }
}
