// Clipping and AdamW over all parameters, in a fixed order.
#include "train/optimizer.h"

#include <cmath>

namespace sllm {

StepResult adamw_step(Backend& backend, Tape& tape, std::vector<Parameter>& parameters,
                      const TuneOptions& options, double lr, int64_t step) {
  double squares = 0;
  for (const Parameter& p : parameters) {
    const Tensor& w = p.weight.tensor();
    if (tape.has_grad(w.id())) squares += backend.sum_squares(tape.grad(w).data<float>(), w.size());
  }
  StepResult result{std::sqrt(squares), std::isfinite(squares)};
  if (!result.finite) return result;
  double scale = 1;
  if (options.clip > 0) scale = std::min(1.0, options.clip / (result.grad_norm + 1e-6));
  const Backend::AdamW adamw{lr,          options.beta1,        options.beta2,
                             options.eps, options.weight_decay, static_cast<float>(scale),
                             step};
  for (Parameter& p : parameters) {
    Tensor& w = p.weight.tensor();
    if (!tape.has_grad(w.id())) continue;
    backend.adamw(w.data<float>(), tape.grad(w).data<float>(), p.m.data<float>(), p.v.data<float>(),
                  w.size(), adamw);
    p.weight.prepared() = nullptr;  // whatever the backend made of the old values
  }
  return result;
}

}  // namespace sllm
