// F: one float. The reference level; runs on any processor. fma is two roundings here: a correct
// one without the instruction costs a library call.
constexpr int kLanes = 1;
constexpr int kDotM = 1;
constexpr int kOuterM = 2;
constexpr int kOuterV = 4;
using F = float;
using I = int32_t;

SLLM_INLINE F zero() { return 0; }
SLLM_INLINE F set1(float x) { return x; }
SLLM_INLINE F load(const float* p) { return *p; }
SLLM_INLINE F load_n(const float*, int64_t) { return 0; }  // n is 0: no partial vectors of one lane
SLLM_INLINE void store(float* p, F x) { *p = x; }
SLLM_INLINE void store_n(float*, F, int64_t) {}
SLLM_INLINE F add(F a, F b) { return a + b; }
SLLM_INLINE F sub(F a, F b) { return a - b; }
SLLM_INLINE F mul(F a, F b) { return a * b; }
SLLM_INLINE F div(F a, F b) { return a / b; }
SLLM_INLINE F max(F a, F b) { return a > b ? a : b; }
SLLM_INLINE F min(F a, F b) { return a < b ? a : b; }
SLLM_INLINE F sqrt(F a) { return __builtin_sqrtf(a); }
SLLM_INLINE F abs(F a) { return __builtin_fabsf(a); }
SLLM_INLINE F fma(F a, F b, F c) { return a * b + c; }
SLLM_INLINE F round(F a) { return __builtin_rintf(a); }
SLLM_INLINE F keep_n(F a, F other, int64_t n) { return n ? a : other; }
SLLM_INLINE F if_less(F a, F b, F x, F y) { return a < b ? x : y; }
SLLM_INLINE F scale2(F x, F n) {
  const int32_t bits = (static_cast<int32_t>(n < -127 ? -127 : n) + 127) << 23;
  return x * __builtin_bit_cast(float, bits);
}
SLLM_INLINE F to_float(I i) { return static_cast<float>(i); }

SLLM_INLINE I set1_i(int32_t x) { return x; }
SLLM_INLINE I iota() { return 0; }
SLLM_INLINE I add_i(I a, I b) { return a + b; }
SLLM_INLINE I and_i(I a, I b) { return a & b; }
SLLM_INLINE I or_i(I a, I b) { return a | b; }
SLLM_INLINE I shift_right(I a, int n) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) >> n);
}
SLLM_INLINE I shift_left(I a, int n) { return static_cast<int32_t>(static_cast<uint32_t>(a) << n); }
SLLM_INLINE I shift_right_each(I a, I n) { return shift_right(a, n); }
SLLM_INLINE I bits(F a) { return __builtin_bit_cast(int32_t, a); }
SLLM_INLINE F from_bits(I a) { return __builtin_bit_cast(float, a); }
SLLM_INLINE I load_u8(const uint8_t* p) { return *p; }
SLLM_INLINE I load_s8(const int8_t* p) { return *p; }
SLLM_INLINE I load_u16(const uint16_t* p) { return *p; }
SLLM_INLINE void store_low16(uint16_t* p, I x) { *p = static_cast<uint16_t>(x); }
SLLM_INLINE F load_f16(const uint16_t* p) { return sllm::to_float(f16{*p}); }
SLLM_INLINE F look_up16(const float* table, I index) { return table[index]; }
SLLM_INLINE float reduce_add(F a) { return a; }
SLLM_INLINE float reduce_max(F a) { return a; }
SLLM_INLINE void reduce4(float* out, const F* v) {
  for (int i = 0; i < 4; ++i) out[i] = v[i];
}
SLLM_INLINE float half_to_float(uint16_t x) { return sllm::to_float(f16{x}); }
