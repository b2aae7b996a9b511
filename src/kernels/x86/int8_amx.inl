// Products of sixteen rows of int8 activations with a panel on AMX tiles: tdpbsud multiplies the
// columns of one group, 16 x 16 sums at once, and registers do with them what int8_vnni.inl does,
// in the same order. (Intel SDM: AMX.)

template <class T, int MR>
requires(MR == 16) SLLM_INLINE
    void int8_tile(float* y, int64_t ldy, const Panel& w, const char* x, int64_t x_bytes, int64_t n,
                   int64_t k, int64_t size, int64_t K, bool add_to) {
  constexpr int kGroups = T::kBlock / T::kGroup;
  constexpr int kAbove = (T::kTop == 128 ? 128 : 0) + T::kOffset;  // of the stored levels
  static_assert(kAbove == 0 || T::kGroup == 32);
  // Tiles 0 to 3 hold sums of four groups in turn, so that none waits for the one before it; 4 and
  // 5 rows of x, 6 and 7 columns of the panel.
  TileConfig config;
  for (int i = 4; i < 6; ++i) config.bytes_per_row[i] = T::kGroup;
  for (int i = 6; i < 8; ++i) config.rows[i] = T::kGroup / 4;
  memory_seen();
  _tile_loadconfig(&config);

  const __mmask16 columns = lane_mask(n < 16 ? n : 16);
  Int8Row rows[16];
  alignas(64) float acc[16][16];
  alignas(64) int32_t group[4][16][16];
  for (int m = 0; m < 16; ++m) {
    rows[m] = int8_row(x + m * x_bytes, K, T::kBlock);
    _mm512_store_ps(acc[m],
                    add_to ? _mm512_maskz_loadu_ps(columns, y + m * ldy) : _mm512_setzero_ps());
  }
  const auto multiply = [&]<int kAt>(int64_t g) {  // of the groups from column k on
    const int8_t* a = rows[0].q + k + g * T::kGroup;
    const auto* b = w.levels + g * (T::kGroup / 4);
    if constexpr (kAt == 0) {
      _tile_zero(0);
      _tile_loadd(4, a, x_bytes);
      _tile_loadd(6, b, 64);
      _tile_dpbsud(0, 4, 6);
      _tile_stored(0, group[0], 64);
    } else if constexpr (kAt == 1) {
      _tile_zero(1);
      _tile_loadd(5, a, x_bytes);
      _tile_loadd(7, b, 64);
      _tile_dpbsud(1, 5, 7);
      _tile_stored(1, group[1], 64);
    } else if constexpr (kAt == 2) {
      _tile_zero(2);
      _tile_loadd(4, a, x_bytes);
      _tile_loadd(6, b, 64);
      _tile_dpbsud(2, 4, 6);
      _tile_stored(2, group[2], 64);
    } else {
      _tile_zero(3);
      _tile_loadd(5, a, x_bytes);
      _tile_loadd(7, b, 64);
      _tile_dpbsud(3, 5, 7);
      _tile_stored(3, group[3], 64);
    }
  };
  const int64_t groups = size / T::kGroup;
  const auto multiply_next = [&](int64_t g) {
    if (g >= groups) return;
    if (g % 4 == 0) multiply.template operator()<0>(g);
    if (g % 4 == 1) multiply.template operator()<1>(g);
    if (g % 4 == 2) multiply.template operator()<2>(g);
    if (g % 4 == 3) multiply.template operator()<3>(g);
    memory_seen();
  };
  for (int64_t g = 0; g < 3; ++g) multiply_next(g);
  for (int64_t b = 0; b < size / T::kBlock; ++b) {
    const int64_t column = k + b * T::kBlock;
    __m512i sums[16];
    for (int g = 0; g < kGroups; ++g) {
      const int64_t at = b * kGroups + g;
      multiply_next(at + 3);
      for (int m = 0; m < 16; ++m) {
        __m512i sum = load_16(group[at % 4][m]);
        if constexpr (kAbove > 0)
          sum = _mm512_sub_epi32(sum, _mm512_set1_epi32(kAbove * rows[m].sum32[column / 32 + g]));
        if constexpr (T::kBlock == 256) sum = _mm512_mullo_epi32(sum, load_16(w.scale[at]));
        sums[m] = g == 0 ? sum : _mm512_add_epi32(sums[m], sum);
      }
    }
    for (int m = 0; m < 16; ++m)
      _mm512_store_ps(acc[m],
                      int8_scaled<T>(_mm512_load_ps(acc[m]), sums[m], w, b, rows[m], column));
  }
  for (int m = 0; m < 16; ++m) _mm512_mask_storeu_ps(y + m * ldy, columns, _mm512_load_ps(acc[m]));
}
