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
SLLM_INLINE F scale2(F x, F n) {
  const int32_t bits = (static_cast<int32_t>(n < -127 ? -127 : n) + 127) << 23;
  return x * __builtin_bit_cast(float, bits);
}
SLLM_INLINE F to_float(I i) { return static_cast<float>(i); }
SLLM_INLINE float reduce_add(F a) { return a; }
SLLM_INLINE float reduce_max(F a) { return a; }
SLLM_INLINE void reduce4(float* out, const F* v) {
  for (int i = 0; i < 4; ++i) out[i] = v[i];
}
