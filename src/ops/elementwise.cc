// Sums, products, scalings, conversions, choosing rows and columns.
//   y = a + b: da += dy, db += dy;    y = a x: dx += a dy;
//   y = a b: da += dy b, db += Σ dy a over the columns (or rows) that share a number of b;
//   y[i] = x[rows[i]]: dx[rows[i]] += dy[i];
//   y[i] = mean of n rows of x: each of those of dx += dy[i] / n;
//   y = some columns of x: those of dx += dy
#include <cstring>
#include <numeric>

#include "ops/columns.h"
#include "ops/ops.h"

namespace sllm {

void Backend::add(float* y, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
void Backend::axpy(float* y, float a, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}
void Backend::scale(float* x, float a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= a;
}
void Backend::copy_columns(float* y, int64_t ldy, const float* x, int64_t ldx, int64_t rows,
                           int64_t columns, bool accumulate) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      y[i * ldy + j] = accumulate ? y[i * ldy + j] + x[i * ldx + j] : x[i * ldx + j];
}
double Backend::sum_squares(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]} * x[i];
  return sum;
}
void Backend::to_bf16(bf16* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = sllm::to_bf16(x[i]);
}
void Backend::from_bf16(float* y, const bf16* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = to_float(x[i]);
}

namespace ops {

void scale_columns(Backend& backend, float* y, const float* a, const float* factor, int64_t N,
                   int64_t D) {
  for (int64_t i = 0; i < N; ++i)
    backend.glu(y + i * D, a + i * D, factor, D, Activation::kIdentity);
}

void add_column_dots(Backend& backend, float* sums, const float* a, const float* b, int64_t N,
                     int64_t D) {
  std::vector<float> products(static_cast<size_t>(D));
  for (int64_t i = 0; i < N; ++i) {
    backend.glu(products.data(), a + i * D, b + i * D, D, Activation::kIdentity);
    backend.add(sums, sums, products.data(), D);
  }
}

Tensor add(Context& ctx, const Tensor& a, const Tensor& b) {
  SLLM_CHECK(a.size() == b.size(), "add: {} and {}", a.to_string(), b.to_string());
  Tensor y = Tensor::empty(DType::kF32, a.shape());
  ctx.backend.add(y.data<float>(), a.data<float>(), b.data<float>(), y.size());
  if (ctx.recording({a.id(), b.id()}))
    ctx.tape->record(
        y, {a.id(), b.id()},
        [&backend = ctx.backend, a = Var(a), b = Var(b)](Tape& tape, const Tensor& dy) {
          const bool both = tape.needs(a.id) && tape.needs(b.id);
          if (tape.needs(a.id)) tape.add_grad(backend, a, both ? dy.clone() : dy);
          if (tape.needs(b.id)) tape.add_grad(backend, b, dy);
        });
  return y;
}

Tensor gather_rows(Context& ctx, const Tensor& x, std::span<const int32_t> rows) {
  const int64_t D = x.cols(), n = static_cast<int64_t>(rows.size());
  Tensor y = Tensor::empty(DType::kF32, {n, D});
  for (int64_t i = 0; i < n; ++i) {
    SLLM_CHECK(rows[i] >= 0 && rows[i] < x.rows(), "gather_rows: row {} of {}", rows[i],
               x.to_string());
    std::memcpy(y.data<float>() + i * D, x.data<float>() + rows[i] * D, sizeof(float) * D);
  }
  if (ctx.recording({x.id()}))
    ctx.tape->record(y, {x.id()},
                     [&backend = ctx.backend, x = Var(x), D,
                      rows = std::vector(rows.begin(), rows.end())](Tape& tape, const Tensor& dy) {
                       float* dx = tape.grad(x).data<float>();
                       for (size_t i = 0; i < rows.size(); ++i)
                         backend.add(dx + rows[i] * D, dx + rows[i] * D,
                                     dy.data<float>() + static_cast<int64_t>(i) * D, D);
                     });
  return y;
}

Tensor mean_rows(Context& ctx, const Tensor& x, std::span<const AttentionSegment> segments) {
  const int64_t D = x.cols();
  Tensor y = Tensor::zeros(DType::kF32, {std::ssize(segments), D});
  for (float* to = y.data<float>(); const AttentionSegment& s : segments) {
    SLLM_CHECK(s.rows > 0 && s.first_row + s.rows <= x.rows(), "mean_rows: rows {} to {} of {}",
               s.first_row, s.first_row + s.rows, x.to_string());
    for (int64_t i = 0; i < s.rows; ++i)
      ctx.backend.add(to, to, x.data<float>() + (s.first_row + i) * D, D);
    ctx.backend.scale(to, 1.0f / static_cast<float>(s.rows), D);
    to += D;
  }
  if (ctx.recording({x.id()}))
    ctx.tape->record(
        y, {x.id()},
        [&backend = ctx.backend, x = Var(x), D,
         segments = std::vector(segments.begin(), segments.end())](Tape& tape, const Tensor& dy) {
          float* dx = tape.grad(x).data<float>();
          const float* from = dy.data<float>();
          for (const AttentionSegment& s : segments) {
            for (int64_t i = s.first_row; i < s.first_row + s.rows; ++i)
              backend.axpy(dx + i * D, 1.0f / static_cast<float>(s.rows), from, D);
            from += D;
          }
        });
  return y;
}

Tensor shift(Context& ctx, const Tensor& x, float a) {
  Tensor y = Tensor::empty(DType::kF32, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data<float>()[i] = x.data<float>()[i] + a;
  if (ctx.recording({x.id()}))
    ctx.tape->record(y, {x.id()},
                     [&backend = ctx.backend, x = Var(x)](Tape& tape, const Tensor& dy) {
                       tape.add_grad(backend, x, dy);
                     });
  return y;
}

Tensor scale(Context& ctx, const Tensor& x, float a) {
  Tensor y = x.clone();
  ctx.backend.scale(y.data<float>(), a, y.size());
  if (ctx.recording({x.id()}))
    ctx.tape->record(y, {x.id()},
                     [&backend = ctx.backend, x = Var(x), a](Tape& tape, const Tensor& dy) {
                       Tensor dx = dy;  // nothing else reads it
                       backend.scale(dx.data<float>(), a, dx.size());
                       tape.add_grad(backend, x, std::move(dx));
                     });
  return y;
}

namespace {

// y = a b, where b [D] (by column), or b [N, G] with every number for W columns of a [N, G * W].
void multiply(Backend& backend, float* y, const float* a, const Tensor& b, int64_t N, int64_t D,
              bool by_column) {
  const float* factor = b.data<float>();
  if (b.size() == N * D && !by_column) {
    backend.glu(y, a, factor, N * D, Activation::kIdentity);
    return;
  }
  if (by_column) return scale_columns(backend, y, a, factor, N, D);
  const int64_t W = N * D / b.size();
  if (y != a) std::memcpy(y, a, sizeof(float) * static_cast<size_t>(N * D));
  for (int64_t g = 0; g < b.size(); ++g) backend.scale(y + g * W, factor[g], W);
}

// db += Σ dy a over what shares a number of b.
void multiply_gradient(Backend& backend, Tensor& db, const float* dy, const float* a, int64_t N,
                       int64_t D, bool by_column) {
  float* sums = db.data<float>();
  if (by_column) return add_column_dots(backend, sums, dy, a, N, D);
  std::vector<float> products(static_cast<size_t>(D));
  const int64_t W = N * D / db.size(), G = D / W;
  for (int64_t i = 0; i < N; ++i) {
    backend.glu(products.data(), dy + i * D, a + i * D, D, Activation::kIdentity);
    if (W == 1)
      backend.add(sums, sums, products.data(), D);
    else
      for (int64_t g = 0; g < G; ++g)
        sums[g] = std::accumulate(&products[g * W], &products[g * W] + W, sums[g]);
    sums += G;
  }
}

}  // namespace

Tensor mul(Context& ctx, const Tensor& a, const Tensor& b) {
  const int64_t N = a.rows(), D = a.cols();
  const bool by_column = b.shape().size() == 1;
  Context exact{ctx.backend};  // a few factors that much hangs on are kept as they are
  SLLM_CHECK(by_column ? b.size() == D : b.rows() == N && b.cols() > 0 && D % b.cols() == 0,
             "mul: {} and {}", a.to_string(), b.to_string());
  Tensor y = Tensor::empty(DType::kF32, a.shape());
  multiply(ctx.backend, y.data<float>(), a.data<float>(), b, N, D, by_column);
  if (ctx.recording({a.id(), b.id()}))
    ctx.tape->record(y, {a.id(), b.id()},
                     [&backend = ctx.backend, a_var = Var(a), b_var = Var(b), a = Saved(ctx, a),
                      b = Saved(b.size() < a.size() ? exact : ctx, b), N, D,
                      by_column](Tape& tape, const Tensor& dy) {
                       if (tape.needs(b_var.id)) {
                         Tensor db = tape.grad(b_var);
                         multiply_gradient(backend, db, dy.data<float>(),
                                           a.f32(backend).data<float>(), N, D, by_column);
                       }
                       if (!tape.needs(a_var.id)) return;
                       Tensor da = dy;  // read for the last time
                       multiply(backend, da.data<float>(), dy.data<float>(), b.f32(backend), N, D,
                                by_column);
                       tape.add_grad(backend, a_var, std::move(da));
                     });
  return y;
}

std::vector<Tensor> split_columns(Context& ctx, const Tensor& x, std::span<const int64_t> widths,
                                  int64_t groups) {
  const int64_t N = x.rows(), whole = std::accumulate(widths.begin(), widths.end(), int64_t{0});
  SLLM_CHECK(groups > 0 && whole * groups == x.cols(), "split_columns: {} groups of {} in {}",
             groups, whole, x.to_string());
  std::vector<Tensor> parts;
  for (int64_t at = 0; int64_t width : widths) {
    parts.push_back(Tensor::empty(DType::kF32, {N, groups * width}));
    ctx.backend.copy_columns(parts.back().data<float>(), width, x.data<float>() + at, whole,
                             N * groups, width, false);
    if (ctx.recording({x.id()}))
      ctx.tape->record(parts.back(), {x.id()},
                       [&backend = ctx.backend, x = Var(x), at, width, whole, rows = N * groups](
                           Tape& tape, const Tensor& dy) {
                         backend.copy_columns(tape.grad(x).data<float>() + at, whole,
                                              dy.data<float>(), width, rows, width, true);
                       });
    at += width;
  }
  return parts;
}

}  // namespace ops
}  // namespace sllm
