// Loops over whole rows: norms, rotary positions, cross-entropy.

// Sums in runs of kRun numbers, each in one vector, the runs' sums in double and in order.
constexpr int64_t kRun = 1024;

struct Square {
  SLLM_INLINE F operator()(F a, F) const { return mul(a, a); }
};
struct Product {
  SLLM_INLINE F operator()(F a, F b) const { return mul(a, b); }
};
struct ExpMinus {
  F shift;
  SLLM_INLINE F operator()(F a, F) const { return exp(sub(a, shift)); }
};
template <class Op>
SLLM_INLINE double sum2(const float* a, const float* b, int64_t n, Op op) {
  double total = 0;
  for (int64_t run = 0; run < n; run += kRun) {
    const int64_t end = n - run < kRun ? n : run + kRun;
    F sum = zero();
    int64_t i = run;
    for (; i + kLanes <= end; i += kLanes) sum = add(sum, op(load(a + i), load(b + i)));
    if (i < end)
      sum = add(sum, keep_n(op(load_n(a + i, end - i), load_n(b + i, end - i)), zero(), end - i));
    total += static_cast<double>(reduce_add(sum));
  }
  return total;
}
double sum_squares(const float* x, int64_t n) noexcept { return sum2(x, x, n, Square{}); }

struct Norm {
  F inverse;
  SLLM_INLINE F operator()(F x, F w) const { return mul(mul(x, inverse), w); }
};
void rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
              float eps) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, y += D) {
    const float mean = static_cast<float>(sum_squares(x, D) / static_cast<double>(D));
    const float inverse = 1.0f / __builtin_sqrtf(mean + eps);
    map2(y, x, w, D, Norm{set1(inverse)});
    if (r) r[i] = inverse;
  }
}

void rms_norm_dx(float* dx, const float* dy, const float* x, const float* w, const float* r,
                 int64_t N, int64_t D) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D, dx += D) {
    F sum = zero();
    int64_t j = 0;
    for (; j + kLanes <= D; j += kLanes)
      sum = fma(mul(load(w + j), load(dy + j)), load(x + j), sum);
    if (j < D)
      sum = fma(mul(load_n(w + j, D - j), load_n(dy + j, D - j)), load_n(x + j, D - j), sum);
    const F back = set1(-reduce_add(sum) * r[i] * r[i] * r[i] / static_cast<float>(D));
    const F inverse = set1(r[i]);
    for (j = 0; j + kLanes <= D; j += kLanes) {
      const F along = fma(mul(inverse, load(w + j)), load(dy + j), mul(load(x + j), back));
      store(dx + j, add(load(dx + j), along));
    }
    if (j == D) continue;
    const int64_t left = D - j;
    const F along = fma(mul(inverse, load_n(w + j, left)), load_n(dy + j, left),
                        mul(load_n(x + j, left), back));
    store_n(dx + j, add(load_n(dx + j, left), along), left);
  }
}
// dw[j] += sum over rows, in order, for j in [0, width) of rows `D` apart.
void rms_norm_dw(float* dw, const float* dy, const float* x, const float* r, int64_t N, int64_t D,
                 int64_t width) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D) {
    const F inverse = set1(r[i]);
    int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
      store(dw + j, fma(mul(load(dy + j), load(x + j)), inverse, load(dw + j)));
    const int64_t left = width - j;
    if (left > 0)
      store_n(dw + j,
              fma(mul(load_n(dy + j, left), load_n(x + j, left)), inverse, load_n(dw + j, left)),
              left);
  }
}

struct First {
  SLLM_INLINE F operator()(F a, F) const { return a; }
};
struct SquareMinus {
  F mean;
  SLLM_INLINE F operator()(F a, F) const { return mul(sub(a, mean), sub(a, mean)); }
};
struct Standardise {
  F mean, inverse;
  SLLM_INLINE F operator()(F x, F w) const { return mul(mul(sub(x, mean), inverse), w); }
};
void layer_norm(float* y, float* stats, const float* x, const float* w, const float* b, int64_t N,
                int64_t D, float eps) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, y += D) {
    const auto mean = static_cast<float>(sum2(x, x, D, First{}) / static_cast<double>(D));
    const double squares = sum2(x, x, D, SquareMinus{set1(mean)});
    const float variance = static_cast<float>(squares / static_cast<double>(D));
    const float inverse = 1.0f / __builtin_sqrtf(variance + eps);
    map2(y, x, w, D, Standardise{set1(mean), set1(inverse)});
    if (b) map2(y, y, b, D, Add{});
    if (stats) stats[2 * i] = mean, stats[2 * i + 1] = inverse;
  }
}

// g = w dy and the standardised x of at most a vector of columns.
SLLM_INLINE F scaled_gradient(const float* w, const float* dy, int64_t left) {
  return mul(load_up_to(w, left), load_up_to(dy, left));
}
SLLM_INLINE F standardised(const float* x, F mean, F inverse, int64_t left) {
  return mul(sub(load_up_to(x, left), mean), inverse);
}
void layer_norm_dx(float* dx, const float* dy, const float* x, const float* w, const float* stats,
                   int64_t N, int64_t D) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D, dx += D) {
    const F mean = set1(stats[2 * i]), inverse = set1(stats[2 * i + 1]);
    F sum = zero(), along = zero();
    for (int64_t j = 0; j < D; j += kLanes) {
      const F g = scaled_gradient(w + j, dy + j, D - j);  // 0 beyond the row
      sum = add(sum, g);
      along = fma(g, standardised(x + j, mean, inverse, D - j), along);
    }
    const F c = set1(reduce_add(sum) / static_cast<float>(D)),
            slope = set1(reduce_add(along) / static_cast<float>(D));
    for (int64_t j = 0; j < D; j += kLanes) {
      const F unit = standardised(x + j, mean, inverse, D - j);
      const F d = sub(sub(scaled_gradient(w + j, dy + j, D - j), c), mul(unit, slope));
      store_up_to(dx + j, fma(inverse, d, load_up_to(dx + j, D - j)), D - j);
    }
  }
}
// dw[j] and db[j] += sums over rows, in order, for j in [0, width) of rows `D` apart.
void layer_norm_dw(float* dw, float* db, const float* dy, const float* x, const float* stats,
                   int64_t N, int64_t D, int64_t width) noexcept {
  for (int64_t i = 0; i < N; ++i, x += D, dy += D) {
    const F mean = set1(stats[2 * i]), inverse = set1(stats[2 * i + 1]);
    if (db) map2(db, db, dy, width, Add{});
    for (int64_t j = 0; dw && j < width; j += kLanes) {
      const int64_t left = width - j;
      const F unit = standardised(x + j, mean, inverse, left);
      store_up_to(dw + j, fma(load_up_to(dy + j, left), unit, load_up_to(dw + j, left)), left);
    }
  }
}

// Rows [N, heads * Dh]: the first 2 * half columns of each head turn; cos, sin [N, half]; sin is
// multiplied by sign.
void rope(float* x, const float* cos, const float* sin, int64_t N, int64_t heads, int64_t Dh,
          int64_t half, float sign) noexcept {
  for (int64_t n = 0; n < N; ++n, cos += half, sin += half)
    for (int64_t head = 0; head < heads; ++head, x += Dh) {
      float* y = x + half;
      int64_t i = 0;
      for (; i + kLanes <= half; i += kLanes) {
        const F c = load(cos + i), s = mul(load(sin + i), set1(sign)), a = load(x + i),
                b = load(y + i);
        store(x + i, sub(mul(a, c), mul(b, s)));
        store(y + i, add(mul(b, c), mul(a, s)));
      }
      if (i == half) continue;
      const int64_t left = half - i;
      const F c = load_n(cos + i, left), s = mul(load_n(sin + i, left), set1(sign)),
              a = load_n(x + i, left), b = load_n(y + i, left);
      store_n(x + i, sub(mul(a, c), mul(b, s)), left);
      store_n(y + i, add(mul(b, c), mul(a, s)), left);
    }
}

SLLM_INLINE float largest_of(const float* x, int64_t n) {
  F best = set1(x[0]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) best = max(best, load(x + i));
  if (i < n) best = max(best, keep_n(load_n(x + i, n - i), best, n - i));
  return reduce_max(best);
}
struct ExpScaled {
  F shift, factor;
  SLLM_INLINE F operator()(F x, F) const { return mul(exp(sub(x, shift)), factor); }
};
// The largest of a row and sum of exp(x - largest).
void log_sum_exp_parts(const float* x, int64_t n, float* largest, double* sum) noexcept {
  *largest = largest_of(x, n);
  *sum = sum2(x, x, n, ExpMinus{set1(*largest)});
}
// y = exp(x - shift) * factor; may alias.
void exp_scaled(float* y, const float* x, float shift, float factor, int64_t n) noexcept {
  map2(y, x, x, n, ExpScaled{set1(shift), set1(factor)});
}
