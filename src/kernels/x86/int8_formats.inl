// Block formats as the int8 products read them: levels as bytes and whole factors. With levels q of
// a row and int8 activations a, one block adds
//   d Σ_g scale_g Σ q a - e Σ_g minimum_g Σ a
// to a product, where the sums over q a and over a are integers, so exact in any order.
//
// Each format here has
//   kBlock, kBytes  numbers and bytes of a block
//   kGroup          numbers that share a scale
//   kTop            the largest level, which says how many products fit 16 bits; 128: levels have
//                   signs
//   kOffset         what is subtracted from every level
//   kMinimum        whether blocks have an e of their own (of 32: -e is added to every number)
//   levels(a, b, i) levels 16 i to 16 i + 15 of a block at a (low half) and one at b (high half)
//   d(rows), e(rows)  of blocks at eight addresses
//   scales(p)         of blocks of 256: a scale and a minimum for each group
// Layouts: src/quant/*.h.

using Rows8 = const uint8_t* const*;
struct Scales {
  __m128i scale, minimum;  // 16 int8
};

// Halves at p[0] + at .. p[7] + at.
SLLM_INLINE __m256 halves(Rows8 p, int64_t at) {
  __m128i words = _mm_setzero_si128();
#define SLLM_INSERT(r)                        \
  {                                           \
    int16_t word;                             \
    __builtin_memcpy(&word, p[r] + at, 2);    \
    words = _mm_insert_epi16(words, word, r); \
  }
  SLLM_INSERT(0)
  SLLM_INSERT(1)
  SLLM_INSERT(2)
  SLLM_INSERT(3)
  SLLM_INSERT(4)
  SLLM_INSERT(5)
  SLLM_INSERT(6)
  SLLM_INSERT(7)
#undef SLLM_INSERT
  return _mm256_cvtph_ps(words);
}
SLLM_INLINE __m256 times(float factor, __m256 x) {
  return _mm256_mul_ps(_mm256_set1_ps(factor), x);
}
SLLM_INLINE uint32_t word32(const uint8_t* p) {
  uint32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}
SLLM_INLINE __m128i words32(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return _mm_setr_epi32(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c),
                        static_cast<int>(d));
}

SLLM_INLINE __m256i two16(const uint8_t* a, const uint8_t* b) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)), 1);
}
// Bits [shift, shift + width of mask) of every byte.
SLLM_INLINE __m256i bits_of(__m256i bytes, int shift, int mask) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, shift),
                          _mm256_set1_epi8(static_cast<char>(mask)));
}
SLLM_INLINE __m256i one_bit_as(__m256i bytes, int bit, int value) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(1 << bit));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask),
                          _mm256_set1_epi8(static_cast<char>(value)));
}
// Bits 16 i to 16 i + 15 of the words at a and b as bytes of 16 or 0.
SLLM_INLINE __m256i fifth_bits(const uint8_t* a, const uint8_t* b, int i) {
  const __m256i words = _mm256_blend_epi32(_mm256_set1_epi32(static_cast<int>(word32(a))),
                                           _mm256_set1_epi32(static_cast<int>(word32(b))), 0xf0);
  const __m256i spread = _mm256_shuffle_epi8(
      words, _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0101010101010101ll * (2 * i + 1),
                                                        0x0101010101010101ll * (2 * i))));
  const __m256i each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, each), each),
                          _mm256_set1_epi8(16));
}
// Element by element of 16 values, by the low four bits of `index`.
SLLM_INLINE __m256i values_of(const int8_t* values, __m256i index) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
  return _mm256_shuffle_epi8(table, index);
}
constexpr int8_t kIq4Bytes[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

// Nibbles of 16 bytes: the low ones first.
struct Blocks32 {
  static constexpr int kBlock = 32, kGroup = 32, kOffset = 0;
  static constexpr bool kMinimum = false;
};
struct Int8Q4_0 : Blocks32 {
  static constexpr int kBytes = 18, kTop = 15, kOffset = 8;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return bits_of(two16(a + 2, b + 2), 4 * i, 15);
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
};
struct Int8Q4_1 : Blocks32 {
  static constexpr int kBytes = 20, kTop = 15;
  static constexpr bool kMinimum = true;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return bits_of(two16(a + 4, b + 4), 4 * i, 15);
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return times(-1, halves(p, at + 2)); }
};
struct Int8Q5_0 : Blocks32 {
  static constexpr int kBytes = 22, kTop = 31, kOffset = 16;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return _mm256_or_si256(bits_of(two16(a + 6, b + 6), 4 * i, 15), fifth_bits(a + 2, b + 2, i));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
};
struct Int8Q5_1 : Blocks32 {
  static constexpr int kBytes = 24, kTop = 31;
  static constexpr bool kMinimum = true;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return _mm256_or_si256(bits_of(two16(a + 8, b + 8), 4 * i, 15), fifth_bits(a + 4, b + 4, i));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return times(-1, halves(p, at + 2)); }
};
struct Int8Q8_0 : Blocks32 {
  static constexpr int kBytes = 34, kTop = 128;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return two16(a + 2 + 16 * i, b + 2 + 16 * i);
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
};
struct Int8IQ4_NL : Blocks32 {
  static constexpr int kBytes = 18, kTop = 128;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    return values_of(kIq4Bytes, bits_of(two16(a + 2, b + 2), 4 * i, 15));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
};
struct Int8MXFP4 : Blocks32 {
  static constexpr int kBytes = 17, kTop = 31, kOffset = 12;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    constexpr int8_t kRaised[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
    return values_of(kRaised, bits_of(two16(a + 1, b + 1), 4 * i, 15));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) {
    alignas(32) uint32_t bits[8];
    for (int r = 0; r < 8; ++r) {
      const uint32_t power = p[r][at];
      bits[r] = power < 2 ? 0x00200000u << power : (power - 1) << 23;
    }
    return _mm256_castsi256_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(bits)));
  }
};

struct Blocks256 {
  static constexpr int kBlock = 256, kGroup = 16, kOffset = 0;
  static constexpr bool kMinimum = true;
};
template <bool kFifth>
struct Int8K : Blocks256 {  // Q4_K, Q5_K
  static constexpr int kGroup = 32, kBytes = kFifth ? 176 : 144, kTop = kFifth ? 31 : 15;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    const int group = i / 2, at = 32 * (group / 2) + 16 * (i % 2) + (kFifth ? 48 : 16);
    const __m256i low = bits_of(two16(a + at, b + at), 4 * (group % 2), 15);
    if constexpr (!kFifth) return low;
    const int high = 16 + 16 * (i % 2);
    return _mm256_or_si256(low, one_bit_as(two16(a + high, b + high), group, 16));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return halves(p, at + 2); }
  SLLM_INLINE static Scales scales(const uint8_t* p) {
    const uint32_t a = word32(p + 4), b = word32(p + 8), c = word32(p + 12);
    constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTwo = 0x30303030;
    return {words32(a & kSix, (c & kFour) | ((a >> 2) & kTwo), 0, 0),
            words32(b & kSix, ((c >> 4) & kFour) | ((b >> 2) & kTwo), 0, 0)};
  }
};
struct Int8Q6_K : Blocks256 {
  static constexpr int kBytes = 210, kTop = 63;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    const int half = i / 8, j = i / 2 % 4, e = 16 * (i % 2);
    const int low = 64 * half + 32 * (j % 2) + e, high = 128 + 32 * half + e;
    const __m256i top = bits_of(two16(a + high, b + high), 2 * j, 3);
    return _mm256_or_si256(bits_of(two16(a + low, b + low), 4 * (j / 2), 15),
                           _mm256_slli_epi16(top, 4));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at + 208); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return times(32, d(p, at)); }
  SLLM_INLINE static Scales scales(const uint8_t* p) {
    const __m128i s = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 192));
    return {s, s};
  }
};
struct Int8Q2_K : Blocks256 {
  static constexpr int kBytes = 84, kTop = 3;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    const int at = 16 + 32 * (i / 8) + 16 * (i % 2);
    return bits_of(two16(a + at, b + at), 2 * (i / 2 % 4), 3);
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at + 80); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return halves(p, at + 82); }
  SLLM_INLINE static Scales scales(const uint8_t* p) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
                  low = _mm_set1_epi8(15);
    return {_mm_and_si128(both, low), _mm_and_si128(_mm_srli_epi16(both, 4), low)};
  }
};
struct Int8Q3_K : Blocks256 {
  static constexpr int kBytes = 110, kTop = 7;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    const int e = 16 * (i % 2), at = 32 + 32 * (i / 8) + e;
    return _mm256_or_si256(bits_of(two16(a + at, b + at), 2 * (i / 2 % 4), 3),
                           one_bit_as(two16(a + e, b + e), i / 2, 4));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at + 108); }
  SLLM_INLINE static __m256 e(Rows8 p, int64_t at) { return times(4, d(p, at)); }
  SLLM_INLINE static Scales scales(const uint8_t* p) {
    const uint32_t a = word32(p + 96), b = word32(p + 100), c = word32(p + 104);
    const auto six = [](uint32_t low, uint32_t high) {
      return (low & 0x0f0f0f0f) | (high & 0x03030303) << 4;
    };
    const __m128i s =
        _mm_sub_epi8(words32(six(a, c), six(b, c >> 2), six(a >> 4, c >> 4), six(b >> 4, c >> 6)),
                     _mm_set1_epi8(32));
    return {s, s};
  }
};
struct Int8IQ4_XS : Blocks256 {
  static constexpr int kGroup = 32, kBytes = 136, kTop = 128;
  static constexpr bool kMinimum = false;
  SLLM_INLINE static __m256i levels(const uint8_t* a, const uint8_t* b, int i) {
    const int at = 8 + 16 * (i / 2);
    return values_of(kIq4Bytes, bits_of(two16(a + at, b + at), 4 * (i % 2), 15));
  }
  SLLM_INLINE static __m256 d(Rows8 p, int64_t at) { return halves(p, at); }
  SLLM_INLINE static Scales scales(const uint8_t* p) {
    uint16_t high;
    __builtin_memcpy(&high, p + 2, 2);
    const uint64_t six = _pdep_u64(word32(p + 4), 0x0f0f0f0f0f0f0f0full) |
                         _pdep_u64(high, 0x0303030303030303ull) << 4;
    const __m128i s =
        _mm_sub_epi8(_mm_cvtsi64_si128(static_cast<long long>(six)), _mm_set1_epi8(32));
    return {s, s};
  }
};
