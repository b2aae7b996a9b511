// Activations and gated activations: see ops/activation.cc for the formulas.

// tanh to about one unit in the last place: a polynomial below 0.625 (Cephes' tanhf), where
// 1 - 2/(e^2x + 1) would cancel.
SLLM_INLINE F tanh(F x) {
  const F z = mul(x, x);
  F p = set1(-5.70498872745e-3f);
  p = fma(p, z, set1(2.06390887954e-2f));
  p = fma(p, z, set1(-5.37397155531e-2f));
  p = fma(p, z, set1(1.33314422036e-1f));
  p = fma(p, z, set1(-3.33332819422e-1f));
  const F small = fma(mul(p, z), x, x);
  const F large = sub(set1(1), div(set1(2), add(exp(add(x, x)), set1(1))));
  return if_less(abs(x), set1(0.625f), small, large);
}

// The normal distribution function, erfc(-x/sqrt 2) / 2, and density = exp(-x²/2). With z =
// |x|/sqrt 2: erf(z) = z T(z²) below 1, erfc(z) = exp(-z²) P(1/z²)/z from 1 to 2 and R(1/z²)/z
// above (Cephes' erff and erfcf).
SLLM_INLINE F normal_cdf(F x, F* density) {
  const F z = mul(abs(x), set1(0.70710678f)), zz = mul(z, z);
  *density = exp(mul(mul(x, x), set1(-0.5f)));
  F t = set1(7.853861353153693e-5f);
  t = fma(t, zz, set1(-8.010193625184903e-4f));
  t = fma(t, zz, set1(5.188327685732524e-3f));
  t = fma(t, zz, set1(-2.685381193529856e-2f));
  t = fma(t, zz, set1(1.128358514861418e-1f));
  t = fma(t, zz, set1(-3.761262582423300e-1f));
  t = fma(t, zz, set1(1.128379165726710f));
  const F erf = mul(z, t);
  const F q = div(set1(1), max(z, set1(0.5f))), y = mul(q, q);
  F p = set1(2.326819970068386e-2f);
  p = fma(p, y, set1(-1.387039388740657e-1f));
  p = fma(p, y, set1(3.687424674597105e-1f));
  p = fma(p, y, set1(-5.824733027278666e-1f));
  p = fma(p, y, set1(6.210004621745983e-1f));
  p = fma(p, y, set1(-4.944515323274145e-1f));
  p = fma(p, y, set1(3.404879937665872e-1f));
  p = fma(p, y, set1(-2.741127028184656e-1f));
  p = fma(p, y, set1(5.638259427386472e-1f));
  F r = set1(-1.047766399936249e1f);
  r = fma(r, y, set1(1.297719955372516e1f));
  r = fma(r, y, set1(-7.495518717768503f));
  r = fma(r, y, set1(2.921019019210786f));
  r = fma(r, y, set1(-1.015265279202700f));
  r = fma(r, y, set1(4.218463358204948e-1f));
  r = fma(r, y, set1(-2.820767439740514e-1f));
  r = fma(r, y, set1(5.641895067754075e-1f));
  const F erfc = if_less(z, set1(1), sub(set1(1), erf),
                         mul(mul(*density, q), if_less(z, set1(2), p, r)));
  const F tail = mul(set1(0.5f), erfc);  // the distribution at -|x|
  return if_less(x, zero(), tail, sub(set1(1), tail));
}

// Each: value f(x), slope f'(x).
struct Identity {
  SLLM_INLINE static F value(F x) { return x; }
  SLLM_INLINE static F slope(F) { return set1(1); }
};
struct Silu {
  SLLM_INLINE static F value(F x) { return mul(x, sigmoid(x)); }
  SLLM_INLINE static F slope(F x) {
    const F s = sigmoid(x);
    return mul(s, fma(x, sub(set1(1), s), set1(1)));
  }
};
struct Gelu {
  SLLM_INLINE static F value(F x) {
    F density;
    return mul(x, normal_cdf(x, &density));
  }
  SLLM_INLINE static F slope(F x) {
    F density;
    const F cdf = normal_cdf(x, &density);
    return fma(mul(x, set1(0.39894228f)), density, cdf);
  }
};
struct GeluTanh {
  SLLM_INLINE static F gate(F x) {
    return sigmoid(mul(set1(1.59576912f), fma(mul(set1(0.044715f), mul(x, x)), x, x)));
  }
  SLLM_INLINE static F value(F x) { return mul(x, gate(x)); }
  SLLM_INLINE static F slope(F x) {
    const F s = gate(x);
    const F inner = mul(set1(1.59576912f), fma(set1(0.134145f), mul(x, x), set1(1)));
    return fma(mul(mul(x, s), sub(set1(1), s)), inner, s);
  }
};
struct Relu {
  SLLM_INLINE static F value(F x) { return if_less(zero(), x, x, zero()); }
  SLLM_INLINE static F slope(F x) { return if_less(zero(), x, set1(1), zero()); }
};
struct Sigmoid {
  SLLM_INLINE static F value(F x) { return sigmoid(x); }
  SLLM_INLINE static F slope(F x) {
    const F s = sigmoid(x);
    return mul(s, sub(set1(1), s));
  }
};
struct Tanh {
  SLLM_INLINE static F value(F x) { return tanh(x); }
  SLLM_INLINE static F slope(F x) {
    const F t = tanh(x);
    return sub(set1(1), mul(t, t));
  }
};

template <class A>
struct Gated {
  SLLM_INLINE F operator()(F gate, F up) const { return mul(A::value(gate), up); }
};
template <class A>
struct Plain {
  SLLM_INLINE F operator()(F x, F) const { return A::value(x); }
};
template <class A>
struct TimesSlope {
  SLLM_INLINE F operator()(F d, F x) const { return mul(d, A::slope(x)); }
};

template <class A>
void glu(float* y, const float* gate, const float* up, int64_t n) noexcept {
  if (up)
    map2(y, gate, up, n, Gated<A>{});
  else
    map2(y, gate, gate, n, Plain<A>{});
}

template <class A>
void glu_backward(float* dgate, float* dup, const float* dy, const float* gate, const float* up,
                  int64_t n) noexcept {
  if (!up) {
    map2(dgate, dy, gate, n, TimesSlope<A>{});
    return;
  }
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    const F d = load_up_to(dy + i, left), g = load_up_to(gate + i, left),
            u = load_up_to(up + i, left);
    store_up_to(dup + i, mul(d, A::value(g)), left);
    store_up_to(dgate + i, mul(mul(d, u), A::slope(g)), left);
  }
}
