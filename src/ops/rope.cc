// Rotary positions (Su et al. 2021), rotate-half order, on the first R columns of each head: with
// h = R/2 and i < h, per row and head
//   x'[i] = x[i] c[i] - x[i+h] s[i],   x'[i+h] = x[i+h] c[i] + x[i] s[i];   backward: s -> -s
#include "ops/ops.h"

namespace sllm {

void Backend::rope(float* x, const float* cos, const float* sin, int64_t N, int64_t heads,
                   int64_t Dh, int64_t R, bool inverse) {
  const int64_t half = R / 2;
  const float sign = inverse ? -1.0f : 1.0f;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t head = 0; head < heads; ++head, x += Dh)
      for (int64_t i = 0; i < half; ++i) {
        const float c = cos[n * half + i], s = sign * sin[n * half + i], a = x[i], b = x[i + half];
        x[i] = a * c - b * s;
        x[i + half] = b * c + a * s;
      }
}

void ops::rope(Context& ctx, Tensor& x, const Tensor& cos, const Tensor& sin, int64_t heads) {
  const int64_t N = x.rows(), Dh = x.cols() / heads, R = 2 * cos.cols();
  SLLM_CHECK(x.cols() % heads == 0 && cos.rows() == N && R <= Dh && sin.size() == cos.size(),
             "rope: angles {} for {} heads of {}", cos.to_string(), heads, x.to_string());
  ctx.backend.rope(x.data<float>(), cos.data<float>(), sin.data<float>(), N, heads, Dh, R, false);
  if (ctx.recording({x.id()}))
    ctx.tape->record(x, {x.id()},
                     [&backend = ctx.backend, x = Var(x), cos, sin, N, heads, Dh, R](
                         Tape& tape, const Tensor& dy) {
                       Tensor dx = dy;  // rotated in place: the gradient of the same tensor, before
                       backend.rope(dx.data<float>(), cos.data<float>(), sin.data<float>(), N,
                                    heads, Dh, R, true);
                       tape.add_grad(backend, x, dx);
                     });
}

}  // namespace sllm
