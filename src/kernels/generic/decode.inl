// Weights and activations between storage types. Block layouts: src/quant/*.h (those of GGUF);
// the results equal the reference codecs bit for bit: every product below is exact in f32 and is
// rounded at most once.

SLLM_INLINE F load_bf16(const uint16_t* p) { return from_bits(shift_left(load_u16(p), 16)); }

// To nearest even; for numbers that are not NaN.
SLLM_INLINE I round_bf16(F x) {
  const I u = bits(x), odd = and_i(shift_right(u, 16), set1_i(1));
  return shift_right(add_i(u, add_i(odd, set1_i(0x7fff))), 16);
}
SLLM_INLINE void put(float* p, F x) { store(p, x); }
SLLM_INLINE void put(uint16_t* p, F x) { store_low16(p, round_bf16(x)); }

SLLM_INLINE float half_at(const uint8_t* p) {
  uint16_t bits16;
  __builtin_memcpy(&bits16, p, 2);
  return half_to_float(bits16);
}
SLLM_INLINE int32_t word_at(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}

// 32 numbers d * q + m whose low nibbles are in the even half and high nibbles in the odd half of
// 16 bytes; `fifth` gives one more bit of each, from bit 0 up.
template <bool kFifth, class Out>
SLLM_INLINE void decode_nibbles(const uint8_t* q, int32_t fifth, float d, float m, Out* y) {
  for (int i = 0; i < 16; i += kLanes) {
    const I b = load_u8(q + i);
    I low = and_i(b, set1_i(15)), high = shift_right(b, 4);
    if constexpr (kFifth) {
      const I at = add_i(iota(), set1_i(i)), word = set1_i(fifth), one = set1_i(1);
      low = or_i(low, shift_left(and_i(shift_right_each(word, at), one), 4));
      high = or_i(high, shift_left(and_i(shift_right_each(word, add_i(at, set1_i(16))), one), 4));
    }
    put(y + i, fma(to_float(low), set1(d), set1(m)));
    put(y + 16 + i, fma(to_float(high), set1(d), set1(m)));
  }
}

template <class Out>
void decode_q4_0(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 18) {
    const float d = half_at(p);
    decode_nibbles<false>(p + 2, 0, d, -8 * d, y + i);
  }
}
template <class Out>
void decode_q4_1(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 20)
    decode_nibbles<false>(p + 4, 0, half_at(p), half_at(p + 2), y + i);
}
template <class Out>
void decode_q5_0(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 22) {
    const float d = half_at(p);
    decode_nibbles<true>(p + 6, word_at(p + 2), d, -16 * d, y + i);
  }
}
template <class Out>
void decode_q5_1(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 24)
    decode_nibbles<true>(p + 8, word_at(p + 4), half_at(p), half_at(p + 2), y + i);
}
template <class Out>
void decode_q8_0(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 34) {
    const F d = set1(half_at(p));
    for (int j = 0; j < 32; j += kLanes)
      put(y + i + j, mul(to_float(load_s8(reinterpret_cast<const int8_t*>(p) + 2 + j)), d));
  }
}

// The 6-bit scale and minimum of group g of 8 (see quant/k_scales.h).
SLLM_INLINE void k_scale(const uint8_t* packed, int g, float* scale, float* minimum) {
  const int s = g < 4 ? packed[g] & 63 : (packed[g + 4] & 15) | (packed[g - 4] >> 6 << 4);
  const int m = g < 4 ? packed[g + 4] & 63 : (packed[g + 4] >> 4) | (packed[g] >> 6 << 4);
  *scale = static_cast<float>(s);
  *minimum = static_cast<float>(m);
}

// Q4_K and Q5_K: groups of 32; bytes of two groups' nibbles together, fifth bits by group in qh.
template <bool kFifth, class Out>
SLLM_INLINE void decode_k(const uint8_t* p, Out* y) {
  const float d = half_at(p), dmin = half_at(p + 2);
  const uint8_t *qh = p + 16, *qs = p + (kFifth ? 48 : 16);
  for (int pair = 0; pair < 4; ++pair) {
    float scale[2], minimum[2];
    for (int j = 0; j < 2; ++j) k_scale(p + 4, 2 * pair + j, scale + j, minimum + j);
    const F s0 = set1(d * scale[0]), s1 = set1(d * scale[1]);
    const F m0 = set1(-(dmin * minimum[0])), m1 = set1(-(dmin * minimum[1]));
    for (int i = 0; i < 32; i += kLanes) {
      const I b = load_u8(qs + 32 * pair + i);
      I low = and_i(b, set1_i(15)), high = shift_right(b, 4);
      if constexpr (kFifth) {
        const I h = shift_right(load_u8(qh + i), 2 * pair);
        low = or_i(low, shift_left(and_i(h, set1_i(1)), 4));
        high = or_i(high, shift_left(and_i(h, set1_i(2)), 3));
      }
      put(y + 64 * pair + i, fma(to_float(low), s0, m0));
      put(y + 64 * pair + 32 + i, fma(to_float(high), s1, m1));
    }
  }
}
template <class Out>
void decode_q4_k(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 144) decode_k<false>(p, y + i);
}
template <class Out>
void decode_q5_k(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 176) decode_k<true>(p, y + i);
}

template <class Out>
void decode_q6_k(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 210) {
    const float d = half_at(p + 208);
    const auto* scales = reinterpret_cast<const int8_t*>(p) + 192;
    for (int part = 0; part < 8; ++part) {  // 32 numbers: half part/4, j = part%4
      const int half = part / 4, j = part % 4;
      const uint8_t *low = p + 64 * half + 32 * (j % 2), *high = p + 128 + 32 * half;
      for (int e = 0; e < 32; e += kLanes) {
        const F s = set1(d * static_cast<float>(scales[2 * part + e / 16]));
        const I nibble = and_i(shift_right(load_u8(low + e), 4 * (j / 2)), set1_i(15));
        const I top = and_i(shift_right(load_u8(high + e), 2 * j), set1_i(3));
        const I q = add_i(or_i(nibble, shift_left(top, 4)), set1_i(-32));
        put(y + i + 32 * part + e, mul(to_float(q), s));
      }
    }
  }
}

// Q2_K and Q3_K: element e of quarter j of half h of 256 numbers is bits 2j of byte 32 h + e of qs.
SLLM_INLINE I two_bits(const uint8_t* qs, int part, int e) {
  return and_i(shift_right(load_u8(qs + 32 * (part / 4) + e), 2 * (part % 4)), set1_i(3));
}
template <class Out>
void decode_q2_k(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 84) {
    const float d = half_at(p + 80), dmin = half_at(p + 82);
    for (int part = 0; part < 8; ++part)
      for (int e = 0; e < 32; e += kLanes) {
        const int s = p[2 * part + e / 16];
        const float scale = d * static_cast<float>(s & 15),
                    minimum = dmin * static_cast<float>(s >> 4);
        put(y + i + 32 * part + e,
            fma(to_float(two_bits(p + 16, part, e)), set1(scale), set1(-minimum)));
      }
  }
}
template <class Out>
void decode_q3_k(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 110) {
    const uint8_t* scales = p + 96;
    const float d = half_at(p + 108);
    for (int part = 0; part < 8; ++part)
      for (int e = 0; e < 32; e += kLanes) {
        const int g = 2 * part + e / 16;
        const int s = (scales[g % 8] >> 4 * (g / 8) & 15) | (scales[8 + g % 4] >> 2 * (g / 4) & 3)
                                                                << 4;
        const I third = and_i(shift_right(load_u8(p + e), part), set1_i(1));
        const I q = add_i(or_i(two_bits(p + 32, part, e), shift_left(third, 2)), set1_i(-4));
        put(y + i + 32 * part + e, mul(to_float(q), set1(d * static_cast<float>(s - 32))));
      }
  }
}

// 32 numbers d * values[q], nibbles as in decode_nibbles.
template <class Out>
SLLM_INLINE void decode_values(const uint8_t* q, const float* values, float d, Out* y) {
  for (int i = 0; i < 16; i += kLanes) {
    const I b = load_u8(q + i);
    put(y + i, mul(look_up16(values, and_i(b, set1_i(15))), set1(d)));
    put(y + 16 + i, mul(look_up16(values, shift_right(b, 4)), set1(d)));
  }
}
template <class Out>
void decode_iq4_nl(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 18) decode_values(p + 2, kIq4Values, half_at(p), y + i);
}
template <class Out>
void decode_iq4_xs(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 256, p += 136) {
    const float d = half_at(p);
    for (int g = 0; g < 8; ++g) {
      const int s = (p[4 + g / 2] >> 4 * (g % 2) & 15) | (p[2 + g / 4] >> 2 * (g % 4) & 3) << 4;
      decode_values(p + 8 + 16 * g, kIq4Values, d * static_cast<float>(s - 32), y + i + 32 * g);
    }
  }
}
template <class Out>
void decode_mxfp4(const void* src, Out* y, int64_t n) noexcept {
  const auto* p = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; i += 32, p += 17) {
    const uint32_t e = *p;  // 2^(e - 128); the first two are subnormal
    const uint32_t d = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    decode_values(p + 1, kMxfp4Values, __builtin_bit_cast(float, d), y + i);
  }
}

// Plain types: any n.
template <class Out>
void decode_f32(const void* src, Out* y, int64_t n) noexcept {
  const auto* x = static_cast<const float*>(src);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) put(y + i, load(x + i));
  if constexpr (sizeof(Out) == 4) {
    for (; i < n; ++i) y[i] = x[i];
  } else {
    for (; i < n; ++i) y[i] = sllm::to_bf16(x[i]).bits;
  }
}
template <class Out>
void decode_f16(const void* src, Out* y, int64_t n) noexcept {
  const auto* x = static_cast<const uint16_t*>(src);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) put(y + i, load_f16(x + i));
  for (; i < n; ++i) {
    const float value = half_to_float(x[i]);
    decode_f32(&value, y + i, 1);
  }
}
template <class Out>
void decode_bf16(const void* src, Out* y, int64_t n) noexcept {
  const auto* x = static_cast<const uint16_t*>(src);
  if constexpr (sizeof(Out) == 2) {
    __builtin_memcpy(y, x, static_cast<size_t>(n) * 2);
  } else {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) put(y + i, load_bf16(x + i));
    for (; i < n; ++i) y[i] = sllm::to_float(bf16{x[i]});
  }
}
