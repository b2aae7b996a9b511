// Element by element: each result depends on its own inputs alone, wherever a call begins and ends.

// e^x to about one unit in the last place; 0 below -104, 2.2e38 from 88.3 up, NaN stays NaN.
// Cody-Waite reduction and the degree-5 polynomial of Cephes' expf.
SLLM_INLINE F exp(F x) {
  x = max(set1(-104.0f), min(set1(88.3f), x));
  const F n = round(mul(x, set1(1.44269504f)));
  const F r = fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), x));
  F p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  return scale2(add(fma(mul(p, r), r, r), set1(1)), n);
}
SLLM_INLINE F sigmoid(F x) { return div(set1(1), add(set1(1), exp(sub(zero(), x)))); }

// A vector, or the last `left` numbers of a row.
SLLM_INLINE F load_up_to(const float* p, int64_t left) {
  return left < kLanes ? load_n(p, left) : load(p);
}
SLLM_INLINE void store_up_to(float* p, F x, int64_t left) {
  if (left < kLanes)
    store_n(p, x, left);
  else
    store(p, x);
}

// y[i] = op(a[i], b[i])
template <class Op>
SLLM_INLINE void map2(float* y, const float* a, const float* b, int64_t n, Op op) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, op(load(a + i), load(b + i)));
  if (i < n) store_n(y + i, op(load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
}

struct Add {
  SLLM_INLINE F operator()(F a, F b) const { return add(a, b); }
};
struct AddScaled {
  F factor;
  SLLM_INLINE F operator()(F y, F x) const { return fma(factor, x, y); }
};
struct Scale {
  F factor;
  SLLM_INLINE F operator()(F x, F) const { return mul(x, factor); }
};
void add_arrays(float* y, const float* a, const float* b, int64_t n) noexcept {
  map2(y, a, b, n, Add{});
}
void add_product(float* y, const float* a, const float* b, int64_t n) noexcept {
  for (int64_t i = 0; i < n; i += kLanes)
    store_up_to(y + i, fma(load_up_to(a + i, n - i), load_up_to(b + i, n - i),
                           load_up_to(y + i, n - i)), n - i);
}
void axpy(float* y, float a, const float* x, int64_t n) noexcept {
  map2(y, y, x, n, AddScaled{set1(a)});
}
void scale(float* x, float a, int64_t n) noexcept { map2(x, x, x, n, Scale{set1(a)}); }
// torch's order: decay, first and second moment, step.
SLLM_INLINE void adamw_step(F* p, F g, F* m, F* v, const AdamWFactors& f) {
  g = mul(g, set1(f.grad_scale));
  *p = mul(*p, set1(f.decay));
  *m = add(*m, mul(set1(f.gain1), sub(g, *m)));
  *v = add(mul(set1(f.beta2), *v), mul(mul(set1(f.gain2), g), g));
  const F root = add(div(sqrt(*v), set1(f.root2)), set1(f.eps));
  *p = sub(*p, div(mul(set1(f.step_size), *m), root));
}
void adamw(float* p, const float* g, float* m, float* v, int64_t n,
           const AdamWFactors& f) noexcept {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    F pi = load(p + i), mi = load(m + i), vi = load(v + i);
    adamw_step(&pi, load(g + i), &mi, &vi, f);
    store(p + i, pi);
    store(m + i, mi);
    store(v + i, vi);
  }
  if (i == n) return;
  const int64_t left = n - i;
  F pi = load_n(p + i, left), mi = load_n(m + i, left), vi = load_n(v + i, left);
  adamw_step(&pi, load_n(g + i, left), &mi, &vi, f);
  store_n(p + i, pi, left);
  store_n(m + i, mi, left);
  store_n(v + i, vi, left);
}
