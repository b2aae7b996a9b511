// Sums, scalings, conversions and choosing rows.
//   y = a + b: da += dy, db += dy;    y[i] = x[rows[i]]: dx[rows[i]] += dy[i]
#include <cstring>

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

}  // namespace ops
}  // namespace sllm
