// bf16 matrix products on AMX tiles: 16 rows of 64 bytes, 2 x 2 tiles of results, two of each
// factor. tdpbf16ps adds 32 products at a time, so every output is one chain along K in steps of
// 32, whatever M, N and the tile it falls into. (Intel SDM: AMX.)

// GCC's tile loads do not say that they read memory: all stores before this come before them.
SLLM_INLINE void memory_seen() { __asm__ volatile("" ::: "memory"); }

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
SLLM_INLINE void full_tiles() {
  const TileConfig config;
  memory_seen();
  _tile_loadconfig(&config);
}

// 16 x 16 32-bit numbers: row i of `in` (rows `stride` numbers apart) becomes column i of out.
SLLM_INLINE void transpose16(const __m512i* in, __m512i* out) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512i p = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88),
                  q = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88),
                  r = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd),
                  s = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
    out[i] = _mm512_shuffle_i32x4(p, q, 0x88);
    out[i + 8] = _mm512_shuffle_i32x4(p, q, 0xdd);
    out[i + 4] = _mm512_shuffle_i32x4(r, s, 0x88);
    out[i + 12] = _mm512_shuffle_i32x4(r, s, 0xdd);
  }
}

// Activations [M, K] as B tiles: for each 16 rows m and each 32 of k one KiB [k pair][m][2].
int64_t bf16_x_bytes(int64_t M, int64_t K) noexcept {
  return (M + 15) / 16 * ((K + 31) / 32) * 1024;
}
// Packs the 16 rows from m on (fewer at the end: the rest is zero).
void bf16_pack_x(void* dst, const float* x, int64_t m, int64_t M, int64_t K) noexcept {
  auto* tile = static_cast<char*>(dst) + m / 16 * ((K + 31) / 32) * 1024;
  const int64_t rows = M - m < 16 ? M - m : 16;
  for (int64_t k = 0; k < K; k += 32, tile += 1024) {
    __m512i row[16], column[16];
    for (int64_t i = 0; i < 16; ++i) {
      row[i] = _mm512_setzero_si512();
      if (i >= rows) continue;
      const float* p = x + (m + i) * K + k;
      const F lo = K - k >= 16 ? load(p) : load_n(p, K - k);
      const F hi = K - k >= 32 ? load(p + 16) : K - k > 16 ? load_n(p + 16, K - k - 16) : zero();
      row[i] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(hi, lo));
    }
    transpose16(row, column);
    for (int i = 0; i < 16; ++i) _mm512_store_si512(tile + 64 * i, column[i]);
  }
}

// Writes a stored tile of results [16 n][16 m] to y[m][n].
SLLM_INLINE void put_transposed(float* y, int64_t ldy, const float* tile, int64_t M, int64_t N,
                                bool accumulate) {
  if (M == 1) {  // one token: its results are the first column
    for (int64_t n = 0; n < N; ++n) y[n] = accumulate ? y[n] + tile[16 * n] : tile[16 * n];
    return;
  }
  __m512i row[16], column[16];
  for (int i = 0; i < 16; ++i) row[i] = _mm512_load_si512(tile + 16 * i);
  transpose16(row, column);
  for (int64_t m = 0; m < 16; ++m) {
    if (m >= M) break;
    F sum = _mm512_castsi512_ps(column[m]);
    if (accumulate) sum = add(sum, load_n(y + m * ldy, N));
    store_n(y + m * ldy, sum, N);
  }
}

// At most 16 tokens: four tiles of weights at a time, so that no product waits for the one before.
SLLM_INLINE void few_tokens(float* y, int64_t ldy, const char* x, const uint16_t* w, int64_t ldw,
                            int64_t M, int64_t N, int64_t steps, bool accumulate) {
  const int64_t stride = ldw * 2;
  alignas(64) float tile[4][256];
  for (int64_t n = 0; n < N; n += 64) {
    const char* a[4];
    for (int64_t i = 0; i < 4; ++i)  // tiles past the end repeat the last one
      a[i] = reinterpret_cast<const char*>(w +
                                           (n + 16 * i < N ? n + 16 * i : (N - 1) / 16 * 16) * ldw);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < steps; ++k) {
      _tile_loadd(6, x + 1024 * k, 64);
      _tile_loadd(4, a[0] + 64 * k, stride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, a[1] + 64 * k, stride);
      _tile_dpbf16ps(1, 5, 6);
      _tile_loadd(4, a[2] + 64 * k, stride);
      _tile_dpbf16ps(2, 4, 6);
      _tile_loadd(5, a[3] + 64 * k, stride);
      _tile_dpbf16ps(3, 5, 6);
    }
    _tile_stored(0, tile[0], 64);
    _tile_stored(1, tile[1], 64);
    _tile_stored(2, tile[2], 64);
    _tile_stored(3, tile[3], 64);
    for (int64_t i = 0; i < 4 && n + 16 * i < N; ++i) {
      const int64_t left = N - n - 16 * i;
      put_transposed(y + n + 16 * i, ldy, tile[i], M, left < 16 ? left : 16, accumulate);
    }
  }
}

// See KernelTable. A block of 32 weight rows stays in L1 while all tokens pass.
void bf16_gemm_nt(float* y, int64_t ldy, const void* x, const uint16_t* w, int64_t ldw, int64_t M,
                  int64_t N, KBlock block, bool accumulate, float* sums) noexcept {
  const int64_t total = (block.total + 31) / 32, stride = ldw * 2;
  const int64_t steps = (block.size + 31) / 32;
  const bool last = block.begin + block.size == block.total;
  const char* tokens = static_cast<const char*>(x) + block.begin / 32 * 1024;
  full_tiles();
  if (M <= 16) {
    few_tokens(y, ldy, tokens, w, ldw, M, N, steps, accumulate);
    _tile_release();
    return;
  }
  alignas(64) float tile[4][256];
  for (int64_t n = 0; n < N; n += 32)
    for (int64_t m = 0; m < M; m += 32, sums += 1024) {
      const bool two_n = N - n > 16, two_m = M - m > 16;
      const char* a0 = reinterpret_cast<const char*>(w + n * ldw);
      const char* a1 = two_n ? a0 + 16 * stride : a0;  // what is absent repeats the first
      const char* b0 = tokens + m / 16 * total * 1024;
      const char* b1 = two_m ? b0 + total * 1024 : b0;
      if (block.begin == 0) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      } else {
        _tile_loadd(0, sums, 64);
        _tile_loadd(1, sums + 256, 64);
        _tile_loadd(2, sums + 512, 64);
        _tile_loadd(3, sums + 768, 64);
      }
      for (int64_t k = 0; k < steps; ++k) {
        _tile_loadd(4, a0 + 64 * k, stride);
        _tile_loadd(6, b0 + 1024 * k, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + 1024 * k, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + 64 * k, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      float* to = last ? tile[0] : sums;
      _tile_stored(0, to, 64);
      _tile_stored(1, to + 256, 64);
      _tile_stored(2, to + 512, 64);
      _tile_stored(3, to + 768, 64);
      for (int t = 0; last && t < 4; ++t) {
        const int64_t rows = M - m - 16 * (t % 2), columns = N - n - 16 * (t / 2);
        if (rows > 0 && columns > 0)
          put_transposed(y + (m + 16 * (t % 2)) * ldy + n + 16 * (t / 2), ldy, tile[t],
                         rows < 16 ? rows : 16, columns < 16 ? columns : 16, accumulate);
      }
    }
  _tile_release();
}
constexpr int64_t bf16_k_block = 512;

// Rows b[K, N] as B tiles: for each 16 columns and each 32 of k one KiB [k pair][column][2].
int64_t bf16_b_bytes(int64_t K, int64_t N) noexcept {
  return (N + 15) / 16 * ((K + 31) / 32) * 1024;
}
SLLM_INLINE void pack_b(char* dst, const uint16_t* b, int64_t ldb, int64_t K, int64_t N) {
  const int64_t steps = (K + 31) / 32;
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int64_t n = 0; n < N; n += 16) {
    const __mmask16 mask = lane_mask(N - n < 16 ? N - n : 16);
    for (int64_t k = 0; k < steps * 32; k += 2) {
      const __m256i even =
          k < K ? _mm256_maskz_loadu_epi16(mask, b + k * ldb + n) : _mm256_setzero_si256();
      const __m256i odd = k + 1 < K ? _mm256_maskz_loadu_epi16(mask, b + (k + 1) * ldb + n)
                                    : _mm256_setzero_si256();
      const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
      _mm512_store_si512(dst + (n / 16 * steps + k / 32) * 1024 + k % 32 * 32,
                         _mm512_permutexvar_epi16(interleave, both));
    }
  }
}

// c[M,N] (+)= a b: a bf16 rows of K rounded up to 32 numbers, zero beyond K, M rounded up to 16
// rows readable; b bf16 [K, N]. `scratch`: bf16_b_bytes(K, N). The chain along K is continued by a
// later call with accumulate when K here is a multiple of 32.
void bf16_gemm_nn(float* c, int64_t ldc, const uint16_t* a, int64_t lda, const uint16_t* b,
                  int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate,
                  void* scratch) noexcept {
  pack_b(static_cast<char*>(scratch), b, ldb, K, N);
  full_tiles();
  const int64_t steps = (K + 31) / 32, stride = lda * 2;
  alignas(64) float edge[32 * 32];
  for (int64_t n = 0; n < N; n += 32)
    for (int64_t m = 0; m < M; m += 32) {
      const int64_t rows = M - m < 32 ? M - m : 32, columns = N - n < 32 ? N - n : 32;
      const bool whole = rows == 32 && columns == 32;
      const auto* a0 = reinterpret_cast<const char*>(a + m * lda);
      const char* a1 = rows > 16 ? a0 + 16 * stride : a0;  // what is absent repeats the first
      const char* b0 = static_cast<const char*>(scratch) + n / 16 * steps * 1024;
      const char* b1 = columns > 16 ? b0 + steps * 1024 : b0;
      float* out = whole ? c + m * ldc + n : edge;
      const int64_t ldo = whole ? ldc : 32;
      if (accumulate) {
        for (int64_t i = 0; !whole && i < rows; ++i)
          __builtin_memcpy(edge + 32 * i, c + (m + i) * ldc + n, static_cast<size_t>(columns) * 4);
        memory_seen();
        _tile_loadd(0, out, ldo * 4);
        _tile_loadd(1, out + 16, ldo * 4);
        _tile_loadd(2, out + 16 * ldo, ldo * 4);
        _tile_loadd(3, out + 16 * ldo + 16, ldo * 4);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (int64_t k = 0; k < steps; ++k) {
        _tile_loadd(6, b0 + 1024 * k, 64);
        _tile_loadd(4, a0 + 64 * k, stride);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + 1024 * k, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + 64 * k, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, out, ldo * 4);
      _tile_stored(1, out + 16, ldo * 4);
      _tile_stored(2, out + 16 * ldo, ldo * 4);
      _tile_stored(3, out + 16 * ldo + 16, ldo * 4);
      for (int64_t i = 0; !whole && i < rows; ++i)
        __builtin_memcpy(c + (m + i) * ldc + n, edge + 32 * i, static_cast<size_t>(columns) * 4);
    }
  _tile_release();
}
