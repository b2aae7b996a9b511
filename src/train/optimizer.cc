// Clipping and AdamW over all parameters, in a fixed order.
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sllm {

OptimizerStep::OptimizerStep(Backend& backend, Tape& tape, Trainable& trained,
                             const TuneOptions& options, double lr, int64_t step)
    : backend_(backend),
      tape_(tape),
      trained_(trained),
      clip_(options.clip),
      lr_(lr),
      adamw_{lr, options.beta1, options.beta2, options.eps, options.weight_decay, 1, step},
      at_once_(options.method == "full" && options.clip == 0),
      squares_(trained.parameters().size()) {
  if (!at_once_) return;
  for (size_t i = 0; i < squares_.size(); ++i)
    parameter_of_[trained.parameters()[i].weight.tensor().id()] = i;
}

std::function<void(const Tensor&)> OptimizerStep::on_ready() {
  if (!at_once_) return {};
  return [this](const Tensor& leaf) {
    const Tensor gradient = tape_.take_grad(leaf.id());
    const size_t i = parameter_of_.at(leaf.id());
    squares_[i] = backend_.sum_squares(gradient.data<float>(), gradient.size());
    if (std::isfinite(squares_[i])) apply(trained_.parameters()[i], gradient);
  };
}

void OptimizerStep::apply(Parameter& p, const Tensor& gradient) {
  Tensor& w = p.weight.tensor();
  adamw_.lr = lr_ * p.lr_ratio;
  if (p.m.in_8_bits())
    apply_in_8_bits(p, gradient);
  else
    backend_.adamw(w.data<float>(), gradient.data<float>(), p.m.values.data<float>(),
                   p.v.values.data<float>(), w.size(), adamw_);
  p.weight.prepared() = nullptr;  // whatever the backend made of the old values
  changed_ = true;
}

// The same arithmetic, part by part on moments in 32 bits.
void OptimizerStep::apply_in_8_bits(Parameter& p, const Tensor& gradient) {
  constexpr int64_t kPart = 4096 * kMomentBlock;
  ThreadPool& pool = trained_.threads_of_moments(backend_.threads());
  const int64_t n = p.weight.tensor().size();
  std::vector<float> m(static_cast<size_t>(std::min(n, kPart))), v(m);
  for (int64_t begin = 0; begin < n; begin += kPart) {
    const int64_t end = std::min(n, begin + kPart);
    p.m.read(m.data(), begin, end, pool);
    p.v.read(v.data(), begin, end, pool);
    backend_.adamw(p.weight.tensor().data<float>() + begin, gradient.data<float>() + begin,
                   m.data(), v.data(), end - begin, adamw_);
    p.m.write(m.data(), begin, end, pool);
    p.v.write(v.data(), begin, end, pool);
  }
}

StepResult OptimizerStep::finish() {
  trained_.collect_gradients(tape_, backend_);
  std::vector<Parameter>& parameters = trained_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& w = parameters[i].weight.tensor();
    if (tape_.has_grad(w.id()))
      squares_[i] = backend_.sum_squares(tape_.grad(w).data<float>(), w.size());
  }
  const double squares = std::accumulate(squares_.begin(), squares_.end(), 0.0);
  StepResult result{std::sqrt(squares), std::isfinite(squares), changed_};
  if (!result.finite) return result;
  if (clip_ > 0)
    adamw_.grad_scale = static_cast<float>(std::min(1.0, clip_ / (result.grad_norm + 1e-6)));
  for (Parameter& p : parameters)
    if (tape_.has_grad(p.weight.tensor().id())) apply(p, tape_.grad(p.weight.tensor()));
  trained_.derive(backend_);
  result.changed = changed_;
  return result;
}

}  // namespace sllm
