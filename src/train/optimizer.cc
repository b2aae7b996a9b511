// Clipping and AdamW over all parameters, in a fixed order.
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace sllm {

OptimizerStep::OptimizerStep(Backend& backend, Tape& tape, Trainable& trained,
                             const TuneOptions& options, double lr, int64_t step, Ranks& ranks)
    : backend_(backend),
      tape_(tape),
      trained_(trained),
      ranks_(ranks),
      sum_(tape, trained, ranks, std::max<int64_t>(options.shards, 1)),
      clip_(options.clip),
      lr_(lr),
      adamw_{lr, options.beta1, options.beta2, options.eps, options.weight_decay, 1, step},
      at_once_(options.method == "full" && options.clip == 0 && options.shards <= 1),
      squares_(static_cast<size_t>(trained.slices().begins_of_ranks().back())) {
  if (!at_once_) return;
  for (size_t i = 0; i < trained.parameters().size(); ++i)
    parameter_of_[trained.parameters()[i].weight.tensor().id()] = i;
}

std::function<void(const Tensor&)> OptimizerStep::on_ready() {
  if (ranks_.size() > 1) return [this](const Tensor& leaf) { sum_.ready(leaf); };
  if (!at_once_) return {};
  return [this](const Tensor& leaf) {
    const Tensor gradient = tape_.take_grad(leaf.id());
    const size_t i = parameter_of_.at(leaf.id());
    if (std::isfinite(add_squares(i, gradient))) apply(i, gradient);
  };
}

void OptimizerStep::end_shard() {
  trained_.collect_gradients(tape_, backend_);
  sum_.end_shard();
}

Status OptimizerStep::gather(const Status& mine) {
  sum_.finish();
  return ranks_.agree(mine);
}

// Of this rank's part, slice by slice, so that the norm is the same whoever has which.
double OptimizerStep::add_squares(size_t parameter, const Tensor& gradient) {
  const Slices& slices = trained_.slices();
  const Part part = slices.part(ranks_.rank(), parameter);
  double sum = 0;
  for (int64_t begin = 0; begin < part.size(); begin += kSlice) {
    const auto slice = slices.first_of_parameter(parameter) + (part.begin + begin) / kSlice;
    sum += squares_[static_cast<size_t>(slice)] =
        backend_.sum_squares(gradient.data<float>() + begin, std::min(kSlice, part.size() - begin));
  }
  return sum;
}

void OptimizerStep::apply(size_t parameter, const Tensor& gradient) {
  Parameter& p = trained_.parameters()[parameter];
  const Part part = trained_.slices().part(ranks_.rank(), parameter);
  float* weights = p.weight.tensor().data<float>() + part.begin;
  adamw_.lr = lr_ * p.lr_ratio;
  if (p.m.in_8_bits())
    apply_in_8_bits(p, weights, gradient);
  else
    backend_.adamw(weights, gradient.data<float>(), p.m.values.data<float>(),
                   p.v.values.data<float>(), part.size(), adamw_);
  p.weight.prepared() = nullptr;  // whatever the backend made of the old values
  changed_ = true;
}

// The same arithmetic, slice by slice on moments in 32 bits.
void OptimizerStep::apply_in_8_bits(Parameter& p, float* weights, const Tensor& gradient) {
  ThreadPool& pool = trained_.threads_of_moments(backend_.threads());
  const int64_t n = p.m.values.size();
  std::vector<float> m(static_cast<size_t>(std::min(n, kSlice))), v(m);
  for (int64_t begin = 0; begin < n; begin += kSlice) {
    const int64_t end = std::min(n, begin + kSlice);
    p.m.read(m.data(), begin, end, pool);
    p.v.read(v.data(), begin, end, pool);
    backend_.adamw(weights + begin, gradient.data<float>() + begin, m.data(), v.data(), end - begin,
                   adamw_);
    p.m.write(m.data(), begin, end, pool);
    p.v.write(v.data(), begin, end, pool);
  }
}

StepResult OptimizerStep::finish() {
  const Slices& slices = trained_.slices();
  const size_t count = trained_.parameters().size();
  for (size_t i = 0; i < count; ++i)
    if (const Tensor gradient = sum_.part(i); gradient.defined()) add_squares(i, gradient);
  ranks_.gather<double>(std::span(squares_), slices.begins_of_ranks());
  double squares = 0;
  for (size_t i = 0; i < count; ++i) {
    double of_parameter = 0;
    for (int64_t s = slices.first_of_parameter(i); s < slices.first_of_parameter(i + 1); ++s)
      of_parameter += squares_[static_cast<size_t>(s)];
    squares += of_parameter;
  }
  StepResult result{std::sqrt(squares), std::isfinite(squares), changed_};
  if (!result.finite) return result;
  if (clip_ > 0)
    adamw_.grad_scale = static_cast<float>(std::min(1.0, clip_ / (result.grad_norm + 1e-6)));
  for (size_t i = 0; i < count; ++i) {
    if (const Tensor gradient = sum_.part(i); gradient.defined()) apply(i, gradient);
    changed_ = changed_ || sum_.exists(i);
  }
  spread_values(trained_, ranks_);
  trained_.derive(backend_);
  result.changed = changed_;
  return result;
}

}  // namespace sllm
