// Block formats to bf16 where conversion is an instruction. A block of 4 or 5 bits has at most 32
// different numbers: they are rounded once, as a table, and each weight is a lookup (vpermw).

SLLM_INLINE __m512i pack_bf16(F low, F high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}
// The numbers of two blocks of 4 bits, d q + m for q in 0..15; the second block's indices have
// bit 4.
SLLM_INLINE __m512i table16(const float* dm, const float* dm2) {
  const F q = to_float(iota());
  return pack_bf16(fma(q, set1(dm[0]), set1(dm[1])), fma(q, set1(dm2[0]), set1(dm2[1])));
}
// d q + m for q in 0..31.
SLLM_INLINE __m512i table32(float d, float m) {
  const F q = to_float(iota());
  return pack_bf16(fma(q, set1(d), set1(m)), fma(add(q, set1(16)), set1(d), set1(m)));
}
// The first two halves of `count` <= 8 blocks as f32: d and, where the format has one, m. In one
// conversion, since each conversion and each broadcast from a register costs the shuffle port.
SLLM_INLINE void headers(float* dm, const uint8_t* p, int bytes, int64_t count) {
  const __m256i at =
      _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(bytes));
  const __m256i pairs = _mm256_mmask_i32gather_epi32(
      _mm256_setzero_si256(), static_cast<__mmask8>((1u << count) - 1), at, p, 1);
  _mm512_storeu_ps(dm, _mm512_cvtph_ps(pairs));
}
SLLM_INLINE __m512i bytes_to_words(const uint8_t* p) {  // 32 of them
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// 32 indices: the low nibbles of 16 bytes, then the high ones. Bits from 4 up are left over.
SLLM_INLINE __m512i nibbles(const uint8_t* p) {
  const __m256i twice =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m512i shifts = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
  return _mm512_srlv_epi16(_mm512_cvtepu8_epi16(twice), shifts);
}
SLLM_INLINE __m512i low_nibble(__m512i index) {
  return _mm512_and_si512(index, _mm512_set1_epi16(15));
}
SLLM_INLINE __m512i second_nibble(__m512i index) {  // (index & 15) | 16
  return _mm512_ternarylogic_epi32(index, _mm512_set1_epi16(15), _mm512_set1_epi16(16), 0xea);
}
SLLM_INLINE __m512i with_fifth(__m512i index, uint32_t bits) {
  return _mm512_or_si512(low_nibble(index), _mm512_maskz_mov_epi16(bits, _mm512_set1_epi16(16)));
}
SLLM_INLINE void look_up(uint16_t* y, __m512i index, __m512i table) {
  _mm512_storeu_si512(y, _mm512_permutexvar_epi16(index, table));
}

// One token reads every weight once, and the products between two tiles stop the hardware from
// reading ahead: asks for `bytes` at p plus one page, which is then in time (measured).
SLLM_INLINE void read_ahead(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + 4096 + i, _MM_HINT_T0);
}
// Calls use(block, y, dm) for each block of 32, or with pairs use(block, y, dm, another follows)
// for every second one.
template <int kBytes, int kStep, class Use>
SLLM_INLINE void for_blocks(const void* src, uint16_t* y, int64_t n, Use use) {
  const auto* p = static_cast<const uint8_t*>(src);
  alignas(64) float dm[16];
  for (int64_t left = n / 32; left > 0; left -= 8) {
    const int64_t count = left < 8 ? left : 8;
    read_ahead(p, 8 * kBytes);
    headers(dm, p, kBytes, count);
    for (int64_t b = 0; b < count; b += kStep)
      use(p + b * kBytes, y + 32 * b, dm + 2 * b, b + 1 < count);
    p += 8 * kBytes;
    y += 8 * 32;
  }
}
// kMin: the block holds m; else m is -8 d.
template <int kBytes, bool kMin>
SLLM_INLINE void q4_to_bf16(const void* src, uint16_t* y, int64_t n) {
  constexpr int kHeader = kBytes - 16;
  for_blocks<kBytes, 2>(src, y, n, [](const uint8_t* p, uint16_t* to, float* dm, bool two) {
    if (!kMin) {
      dm[1] = -8 * dm[0];
      dm[3] = -8 * dm[2];
    }
    const __m512i table = table16(dm, dm + 2);
    look_up(to, low_nibble(nibbles(p + kHeader)), table);
    if (two) look_up(to + 32, second_nibble(nibbles(p + kBytes + kHeader)), table);
  });
}
void q4_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  q4_to_bf16<18, false>(src, y, n);
}
void q4_1_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  q4_to_bf16<20, true>(src, y, n);
}
void q5_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  for_blocks<22, 1>(src, y, n, [](const uint8_t* p, uint16_t* to, const float* dm, bool) {
    look_up(to, with_fifth(nibbles(p + 6), static_cast<uint32_t>(word_at(p + 2))),
            table32(dm[0], -16 * dm[0]));
  });
}
void q5_1_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  for_blocks<24, 1>(src, y, n, [](const uint8_t* p, uint16_t* to, const float* dm, bool) {
    look_up(to, with_fifth(nibbles(p + 8), static_cast<uint32_t>(word_at(p + 4))),
            table32(dm[0], dm[1]));
  });
}
void q8_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  for_blocks<34, 1>(src, y, n, [](const uint8_t* p, uint16_t* to, const float* dm, bool) {
    const F d = set1(dm[0]);
    const auto* q = reinterpret_cast<const int8_t*>(p) + 2;
    _mm512_storeu_si512(to,
                        pack_bf16(mul(to_float(load_s8(q)), d), mul(to_float(load_s8(q + 16)), d)));
  });
}
// d scale_j, -dmin minimum_j for j in 0..7, in pairs, from the two halves and 12 bytes of 6-bit
// numbers at p. (ggml: block_q4_K.)
SLLM_INLINE void k_headers(float* dm, const uint8_t* p) {
  uint32_t a, b, c;
  __builtin_memcpy(&a, p + 4, 4);
  __builtin_memcpy(&b, p + 8, 4);
  __builtin_memcpy(&c, p + 12, 4);
  const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x30303030;
  const __m128i scales = _mm_setr_epi32(static_cast<int>(a & six),
                                        static_cast<int>((c & four) | ((a >> 2) & two)), 0, 0);
  const __m128i minima = _mm_setr_epi32(
      static_cast<int>(b & six), static_cast<int>(((c >> 4) & four) | ((b >> 2) & two)), 0, 0);
  const F numbers = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi8(scales, minima)));
  const __m128i factors = _mm_cvtsi32_si128(word_at(p) ^ static_cast<int>(0x80000000u));
  _mm512_storeu_ps(dm, mul(numbers, _mm512_broadcast_f32x2(_mm_cvtph_ps(factors))));
}
template <bool kFifth>
SLLM_INLINE void k_to_bf16(const uint8_t* p, uint16_t* y) {
  alignas(64) float dm[16];
  k_headers(dm, p);
  const uint8_t* qs = p + (kFifth ? 48 : 16);
  __m512i high = _mm512_setzero_si512();
  if constexpr (kFifth) high = bytes_to_words(p + 16);
  for (int pair = 0; pair < 4; ++pair, y += 64) {
    const float *first = dm + 4 * pair, *second = first + 2;
    const __m512i low = bytes_to_words(qs + 32 * pair), upper = _mm512_srli_epi16(low, 4);
    if constexpr (kFifth) {
      const auto fifth = [&](int j) {
        return _mm512_test_epi16_mask(high,
                                      _mm512_set1_epi16(static_cast<int16_t>(1 << (2 * pair + j))));
      };
      look_up(y, with_fifth(low, fifth(0)), table32(first[0], first[1]));
      look_up(y + 32, with_fifth(upper, fifth(1)), table32(second[0], second[1]));
    } else {
      const __m512i table = table16(first, second);
      look_up(y, low_nibble(low), table);
      look_up(y + 32, second_nibble(upper), table);
    }
  }
}
void q4_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 144) {
    read_ahead(p, 144);
    k_to_bf16<false>(p, y + i);
  }
}
void q5_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 176) {
    read_ahead(p, 176);
    k_to_bf16<true>(p, y + i);
  }
}
void q6_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  const __m512i three = _mm512_set1_epi16(3 << 4), fifteen = _mm512_set1_epi16(15);
  for (int64_t i = 0; i < n; i += 256, p += 210) {
    read_ahead(p, 210);
    const F d = set1(half_at(p + 208));
    const F scales = mul(to_float(load_s8(reinterpret_cast<const int8_t*>(p) + 192)), d);
    float scale[16];
    store(scale, scales);
    for (int part = 0; part < 8; ++part) {
      const int half = part / 4, j = part % 4;
      const __m512i low = bytes_to_words(p + 64 * half + 32 * (j % 2)),
                    high = _mm512_slli_epi16(bytes_to_words(p + 128 + 32 * half), 4);
      const __m512i q = _mm512_sub_epi16(
          _mm512_or_si512(
              _mm512_and_si512(_mm512_srli_epi16(low, static_cast<unsigned>(4 * (j / 2))), fifteen),
              _mm512_and_si512(_mm512_srli_epi16(high, static_cast<unsigned>(2 * j)), three)),
          _mm512_set1_epi16(32));
      const F q0 = to_float(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(q))),
              q1 = to_float(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(q, 1)));
      _mm512_storeu_si512(y + i + 32 * part, pack_bf16(mul(q0, set1(scale[2 * part])),
                                                       mul(q1, set1(scale[2 * part + 1]))));
    }
  }
}
