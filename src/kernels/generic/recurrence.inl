// Layers that carry a state along the sequence: short convolutions and the gated delta rule. See
// ops/short_conv.cc and ops/delta_rule.cc for the formulas.

// y[c] = b[c] + sum over j of w[j, c] x[j][c], in order; b may be null.
void short_conv(float* y, const float* const* x, const float* w, const float* b, int64_t K,
                int64_t C) noexcept {
  for (int64_t c = 0; c < C; c += kLanes) {
    const int64_t left = C - c;
    F sum = b ? load_up_to(b + c, left) : zero();
    for (int64_t j = 0; j < K; ++j)
      sum = fma(load_up_to(w + j * C + c, left), load_up_to(x[j] + c, left), sum);
    store_up_to(y + c, sum, left);
  }
}

// V vectors of a state's columns (the last of `left` numbers, if fewer), over all T tokens: the
// columns of a state do not touch.
template <int V>
SLLM_INLINE void delta_columns(float* S, float* out, const DeltaRows& in, int64_t column,
                               int64_t left) {
  for (int64_t t = 0; t < in.T; ++t) {
    const float *q = in.q + t * in.ldk, *k = in.k + t * in.ldk;
    const F decay = exp(set1(in.g[t * in.ldg])), beta = set1(in.beta[t * in.ldg]);
    F u[V], o[V];
    for (int v = 0; v < V; ++v) u[v] = o[v] = zero();
    for (int64_t i = 0; i < in.Dk; ++i)
      for (int v = 0; v < V; ++v) {
        float* s = S + i * in.lds + v * kLanes;
        const F decayed = mul(load_up_to(s, left), decay);
        store_up_to(s, decayed, left);
        u[v] = fma(set1(k[i]), decayed, u[v]);
      }
    for (int v = 0; v < V; ++v)
      u[v] = mul(beta, sub(load_up_to(in.v + t * in.ldv + column + v * kLanes, left), u[v]));
    for (int64_t i = 0; i < in.Dk; ++i)
      for (int v = 0; v < V; ++v) {
        float* s = S + i * in.lds + v * kLanes;
        const F written = fma(set1(k[i]), u[v], load_up_to(s, left));
        store_up_to(s, written, left);
        o[v] = fma(set1(q[i]), written, o[v]);
      }
    for (int v = 0; out && v < V; ++v)
      store_up_to(out + t * in.ldv + column + v * kLanes, mul(o[v], set1(in.scale)), left);
  }
}

void delta_rule(float* S, float* out, const DeltaRows& in, int64_t width) noexcept {
  int64_t j = 0;
  for (; j + 4 * kLanes <= width; j += 4 * kLanes)
    delta_columns<4>(S + j, out, in, j, kLanes);
  for (; j < width; j += kLanes) delta_columns<1>(S + j, out, in, j, width - j);
}

// One token backward: S before it, G the gradient of S after it on entry, before it on return.
// dq and dk are added to. scratch: 3 Dv.
void delta_rule_gradient(float* G, float* dq, float* dk, float* dv, float* dg, float* dbeta,
                         const float* dout, const float* S, const DeltaRows& in, int64_t Dv,
                         float* scratch) noexcept {
  float *error = scratch, *u = scratch + Dv, *du = scratch + 2 * Dv;
  const F decay = exp(set1(in.g[0])), beta = set1(in.beta[0]);
  for (int64_t j = 0; j < Dv; j += kLanes) {  // error = v - S'ᵀ k, u = beta error
    const int64_t left = Dv - j;
    F sum = zero();
    for (int64_t i = 0; i < in.Dk; ++i)
      sum = fma(set1(in.k[i]), mul(load_up_to(S + i * Dv + j, left), decay), sum);
    sum = sub(load_up_to(in.v + j, left), sum);
    store_up_to(error + j, sum, left);
    store_up_to(u + j, mul(beta, sum), left);
    store_up_to(du + j, zero(), left);
  }
  F along = zero();  // u·dout
  for (int64_t j = 0; j < Dv; j += kLanes)
    along = fma(load_up_to(u + j, Dv - j), load_up_to(dout + j, Dv - j), along);
  const float through = reduce_add(along);
  for (int64_t i = 0; i < in.Dk; ++i) {
    const F query = set1(in.scale * in.q[i]), key = set1(in.k[i]);
    F q_sum = zero(), k_sum = zero();
    for (int64_t j = 0; j < Dv; j += kLanes) {
      const int64_t left = Dv - j;
      const F d = load_up_to(dout + j, left);
      const F g = fma(query, d, load_up_to(G + i * Dv + j, left));
      store_up_to(G + i * Dv + j, g, left);
      q_sum = fma(mul(load_up_to(S + i * Dv + j, left), decay), d, q_sum);
      k_sum = fma(g, load_up_to(u + j, left), k_sum);
      store_up_to(du + j, fma(g, key, load_up_to(du + j, left)), left);
    }
    dq[i] += in.scale * (reduce_add(q_sum) + in.k[i] * through);
    dk[i] += reduce_add(k_sum);
  }
  F beta_sum = zero();
  for (int64_t j = 0; j < Dv; j += kLanes) {
    const F d = load_up_to(du + j, Dv - j);
    beta_sum = fma(d, load_up_to(error + j, Dv - j), beta_sum);
    store_up_to(dv + j, mul(beta, d), Dv - j);
  }
  *dbeta = reduce_add(beta_sum);
  double decay_sum = 0;  // Dk Dv terms
  for (int64_t i = 0; i < in.Dk; ++i) {
    const F key = set1(-in.k[i]);
    F k_sum = zero(), g_sum = zero();
    for (int64_t j = 0; j < Dv; j += kLanes) {
      const int64_t left = Dv - j;
      const F d = load_up_to(dv + j, left), s = mul(load_up_to(S + i * Dv + j, left), decay);
      const F g = fma(key, d, load_up_to(G + i * Dv + j, left));
      k_sum = fma(s, d, k_sum);
      g_sum = fma(g, s, g_sum);
      store_up_to(G + i * Dv + j, mul(g, decay), left);
    }
    dk[i] -= reduce_add(k_sum);
    decay_sum += static_cast<double>(reduce_add(g_sum));
  }
  *dg = static_cast<float>(decay_sum);
}
