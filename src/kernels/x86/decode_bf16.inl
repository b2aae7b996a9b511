// Block formats to bf16 where conversion is an instruction. A block of 4 or 5 bits has at most 32
// different numbers: they are rounded once, as a table, and each weight is a lookup (vpermw).

SLLM_INLINE __m512i pack_bf16(F low, F high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}
// d q + m for q in 0..15, twice: a lookup ignores bit 4. Or for q in 0..31.
SLLM_INLINE __m512i table16(float d, float m) {
  const F t = fma(to_float(iota()), set1(d), set1(m));
  return pack_bf16(t, t);
}
SLLM_INLINE __m512i table32(float d, float m) {
  const F q = to_float(iota());
  return pack_bf16(fma(q, set1(d), set1(m)), fma(add(q, set1(16)), set1(d), set1(m)));
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
SLLM_INLINE __m512i with_fifth(__m512i index, uint32_t bits) {
  index = _mm512_and_si512(index, _mm512_set1_epi16(15));
  return _mm512_or_si512(index, _mm512_maskz_mov_epi16(bits, _mm512_set1_epi16(16)));
}
SLLM_INLINE void look_up(uint16_t* y, __m512i index, __m512i table) {
  _mm512_storeu_si512(y, _mm512_permutexvar_epi16(index, table));
}

void q4_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 18) {
    const float d = half_at(p);
    look_up(y + i, nibbles(p + 2), table16(d, -8 * d));
  }
}
void q4_1_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 20)
    look_up(y + i, nibbles(p + 4), table16(half_at(p), half_at(p + 2)));
}
void q5_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 22) {
    const float d = half_at(p);
    look_up(y + i, with_fifth(nibbles(p + 6), static_cast<uint32_t>(word_at(p + 2))),
            table32(d, -16 * d));
  }
}
void q5_1_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 24)
    look_up(y + i, with_fifth(nibbles(p + 8), static_cast<uint32_t>(word_at(p + 4))),
            table32(half_at(p), half_at(p + 2)));
}
void q8_0_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 34) {
    const F d = set1(half_at(p));
    const auto* q = reinterpret_cast<const int8_t*>(p) + 2;
    _mm512_storeu_si512(y + i,
                        pack_bf16(mul(to_float(load_s8(q)), d), mul(to_float(load_s8(q + 16)), d)));
  }
}
template <bool kFifth>
SLLM_INLINE void k_to_bf16(const uint8_t* p, uint16_t* y) {
  const float d = half_at(p), dmin = half_at(p + 2);
  const uint8_t* qs = p + (kFifth ? 48 : 16);
  __m512i high = _mm512_setzero_si512();
  if constexpr (kFifth) high = bytes_to_words(p + 16);
  for (int pair = 0; pair < 4; ++pair) {
    float scale[2], minimum[2];
    for (int j = 0; j < 2; ++j) k_scale(p + 4, 2 * pair + j, scale + j, minimum + j);
    const __m512i words = bytes_to_words(qs + 32 * pair);
    for (int j = 0; j < 2; ++j) {
      __m512i index = j == 0 ? words : _mm512_srli_epi16(words, 4);
      if constexpr (kFifth) {
        const __mmask32 fifth = _mm512_test_epi16_mask(
            high, _mm512_set1_epi16(static_cast<int16_t>(1 << (2 * pair + j))));
        look_up(y + 64 * pair + 32 * j, with_fifth(index, fifth),
                table32(d * scale[j], -(dmin * minimum[j])));
      } else {
        look_up(y + 64 * pair + 32 * j, index, table16(d * scale[j], -(dmin * minimum[j])));
      }
    }
  }
}
void q4_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 144) k_to_bf16<false>(p, y + i);
}
void q5_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 176) k_to_bf16<true>(p, y + i);
}
void q6_k_to_bf16(const void* src, uint16_t* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  const __m512i three = _mm512_set1_epi16(3 << 4), fifteen = _mm512_set1_epi16(15);
  for (int64_t i = 0; i < n; i += 256, p += 210) {
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
