// AdamW (Loshchilov & Hutter 2019) in torch's order of operations (torch/optim/adamw.py, one
// tensor):
//   g *= grad_scale;  p *= 1 - lr wd;  m += (1-β1)(g - m);  v = β2 v + (1-β2) g²;
//   p -= lr/(1-β1^t) m / (sqrt(v)/sqrt(1-β2^t) + eps)
#include <cmath>

#include "ops/backend.h"

namespace sllm {

void Backend::adamw(float* p, const float* g, float* m, float* v, int64_t n, const AdamW& o) {
  // Scalars in double, as Python has them; elements in f32, as torch has them.
  const double step = static_cast<double>(o.step);
  const double correction1 = 1.0 - std::pow(o.beta1, step);
  const double correction2 = 1.0 - std::pow(o.beta2, step);
  const float decay = static_cast<float>(1.0 - o.lr * o.weight_decay);
  const float step_size = static_cast<float>(o.lr / correction1);
  const float root2 = static_cast<float>(std::sqrt(correction2));
  const float gain1 = static_cast<float>(1.0 - o.beta1);
  const float gain2 = static_cast<float>(1.0 - o.beta2);
  const float beta2 = static_cast<float>(o.beta2), eps = static_cast<float>(o.eps);
  for (int64_t i = 0; i < n; ++i) {
    const float grad = g[i] * o.grad_scale;
    p[i] *= decay;
    m[i] += gain1 * (grad - m[i]);
    v[i] = beta2 * v[i] + gain2 * grad * grad;
    p[i] -= step_size * m[i] / (std::sqrt(v[i]) / root2 + eps);
  }
}

}  // namespace sllm
