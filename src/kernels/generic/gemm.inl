// f32 matrix products. Each output has one order of additions along K, whatever M, N and the tile
// it falls into: in dot products kLanes partial sums over blocks of kDotBlock, in outer products
// chains of kFold terms, added up in order. That is what makes results independent of batch and
// threads; callers that cut K do so at multiples of those blocks. One chain over all of K would not
// do: over a vocabulary of 49,152 it costs the head's gradient a digit (8e-5 relative).

// bf16 weights beside f32 ones; rows of bf16 are readable and finite up to the next 32.
SLLM_INLINE F load(const uint16_t* p) { return load_bf16(p); }
SLLM_INLINE F load_n(const uint16_t* p, int64_t n) { return keep_n(load_bf16(p), zero(), n); }

constexpr int64_t kDotBlock = 1024;  // 6 rows of x and 4 of w stay in 48 KiB of L1

// y[m][0..n) (+)= dot(x[m], w[0..4)) over k in [0, K). w: four row pointers (repeated at the edge).
template <int MR, class W>
SLLM_INLINE void dot_tile(float* y, int64_t ldy, const float* x, int64_t ldx, const W* const* w,
                          int64_t n, int64_t K, bool accumulate) {
  F acc[MR][4];
  for (int m = 0; m < MR; ++m)
    for (int j = 0; j < 4; ++j) acc[m][j] = zero();
  int64_t k = 0;
  for (; k + kLanes <= K; k += kLanes) {
    F xk[MR];
    for (int m = 0; m < MR; ++m) xk[m] = load(x + m * ldx + k);
    for (int j = 0; j < 4; ++j) {
      const F wk = load(w[j] + k);
      for (int m = 0; m < MR; ++m) acc[m][j] = fma(xk[m], wk, acc[m][j]);
    }
  }
  if (k < K) {
    F wk[4];
    for (int j = 0; j < 4; ++j) wk[j] = load_n(w[j] + k, K - k);
    for (int m = 0; m < MR; ++m) {
      const F xk = load_n(x + m * ldx + k, K - k);
      for (int j = 0; j < 4; ++j) acc[m][j] = fma(xk, wk[j], acc[m][j]);
    }
  }
  for (int m = 0; m < MR; ++m) {
    float sum[4];
    reduce4(sum, acc[m]);
    for (int64_t j = 0; j < n; ++j) y[m * ldy + j] = accumulate ? y[m * ldy + j] + sum[j] : sum[j];
  }
}

template <int MR, class W>
SLLM_INLINE void dot_rows(float* y, int64_t ldy, const float* x, int64_t ldx, const W* w,
                          int64_t ldw, int64_t N, int64_t K, bool accumulate) {
  for (int64_t n = 0; n < N; n += 4) {
    const W* rows[4];
    for (int64_t j = 0; j < 4; ++j) rows[j] = w + (n + j < N ? n + j : N - 1) * ldw;
    dot_tile<MR>(y + n, ldy, x, ldx, rows, N - n < 4 ? N - n : 4, K, accumulate);
  }
}

template <class W>
SLLM_INLINE void dot_product(float* y, int64_t ldy, const float* x, int64_t ldx, const W* w,
                             int64_t ldw, int64_t M, int64_t N, int64_t K, bool accumulate) {
  for (int64_t k = 0; k < K; k += kDotBlock) {
    const int64_t size = K - k < kDotBlock ? K - k : kDotBlock;
    const bool add_to = accumulate || k > 0;
    int64_t m = 0;
    for (; m + kDotM <= M; m += kDotM)
      dot_rows<kDotM>(y + m * ldy, ldy, x + m * ldx + k, ldx, w + k, ldw, N, size, add_to);
    for (; m < M; ++m)
      dot_rows<1>(y + m * ldy, ldy, x + m * ldx + k, ldx, w + k, ldw, N, size, add_to);
  }
}

// y[M,N] (+)= x[M,K] w[N,K]ᵀ
void gemm_nt(float* y, int64_t ldy, const float* x, int64_t ldx, const float* w, int64_t ldw,
             int64_t M, int64_t N, int64_t K, bool accumulate) noexcept {
  dot_product(y, ldy, x, ldx, w, ldw, M, N, K, accumulate);
}

constexpr int64_t kFold = 256;

// c[MR][kOuterV * kLanes, the last vector of n lanes] (+)= sum over k of a[m][k] b[k]
SLLM_INLINE F broadcast(float a) { return set1(a); }

template <int MR, int V, class A>
SLLM_INLINE void outer_tile(float* c, int64_t ldc, const A* a, int64_t a_row, int64_t a_k,
                            const float* b, int64_t ldb, int64_t K, bool accumulate) {
  for (int64_t fold = 0; fold < K; fold += kFold) {
    const int64_t end = K - fold < kFold ? K : fold + kFold;
    F acc[MR][V];
    for (int m = 0; m < MR; ++m)
      for (int v = 0; v < V; ++v) acc[m][v] = zero();
    for (int64_t k = fold; k < end; ++k) {
      F bk[V];
      for (int v = 0; v < V; ++v) bk[v] = load(b + k * ldb + v * kLanes);
      for (int m = 0; m < MR; ++m) {
        const F am = broadcast(a[m * a_row + k * a_k]);
        for (int v = 0; v < V; ++v) acc[m][v] = fma(am, bk[v], acc[m][v]);
      }
    }
    const bool add_to = accumulate || fold > 0;
    for (int m = 0; m < MR; ++m)
      for (int v = 0; v < V; ++v) {
        float* to = c + m * ldc + v * kLanes;
        store(to, add_to ? add(load(to), acc[m][v]) : acc[m][v]);
      }
  }
}

template <int MR, class A>
SLLM_INLINE void outer_edge(float* c, int64_t ldc, const A* a, int64_t a_row, int64_t a_k,
                            const float* b, int64_t ldb, int64_t n, int64_t K, bool accumulate) {
  for (int64_t fold = 0; fold < K; fold += kFold) {
    const int64_t end = K - fold < kFold ? K : fold + kFold;
    F acc[MR];
    for (int m = 0; m < MR; ++m) acc[m] = zero();
    for (int64_t k = fold; k < end; ++k) {
      const F bk = load_n(b + k * ldb, n);
      for (int m = 0; m < MR; ++m) acc[m] = fma(broadcast(a[m * a_row + k * a_k]), bk, acc[m]);
    }
    for (int m = 0; m < MR; ++m) {
      float* to = c + m * ldc;
      store_n(to, accumulate || fold > 0 ? add(load_n(to, n), acc[m]) : acc[m], n);
    }
  }
}

template <int MR, class A>
SLLM_INLINE void outer_rows(float* c, int64_t ldc, const A* a, int64_t a_row, int64_t a_k,
                            const float* b, int64_t ldb, int64_t N, int64_t K, bool accumulate) {
  int64_t j = 0;
  for (; j + kOuterV * kLanes <= N; j += kOuterV * kLanes)
    outer_tile<MR, kOuterV>(c + j, ldc, a, a_row, a_k, b + j, ldb, K, accumulate);
  for (; j + kLanes <= N; j += kLanes)
    outer_tile<MR, 1>(c + j, ldc, a, a_row, a_k, b + j, ldb, K, accumulate);
  if (j < N) outer_edge<MR>(c + j, ldc, a, a_row, a_k, b + j, ldb, N - j, K, accumulate);
}

template <class A>
SLLM_INLINE void outer_product(float* c, int64_t ldc, const A* a, int64_t a_row, int64_t a_k,
                               const float* b, int64_t ldb, int64_t M, int64_t N, int64_t K,
                               bool accumulate) {
  int64_t m = 0;
  for (; m + kOuterM <= M; m += kOuterM)
    outer_rows<kOuterM>(c + m * ldc, ldc, a + m * a_row, a_row, a_k, b, ldb, N, K, accumulate);
  for (; m < M; ++m)
    outer_rows<1>(c + m * ldc, ldc, a + m * a_row, a_row, a_k, b, ldb, N, K, accumulate);
}

// c[M,N] (+)= a b with a[m][k] at a[m*a_row + k*a_k] and b[K,N].
void gemm_nn(float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k, const float* b,
             int64_t ldb, int64_t M, int64_t N, int64_t K, bool accumulate) noexcept {
  outer_product(c, ldc, a, a_row, a_k, b, ldb, M, N, K, accumulate);
}
