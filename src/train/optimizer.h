// One optimiser step over a list of parameters.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "train/trainable.h"

namespace sllm {

struct StepResult {
  double grad_norm = 0;  // before clipping
  bool finite = true;
  bool changed = true;  // a parameter; a step that is not finite leaves all as they were, if it can
};

// AdamW on the gradients that `tape` holds for what is trained, scaled by clip / (norm + 1e-6)
// where the global norm is larger, as torch.nn.utils.clip_grad_norm_ does. Parameters without a
// gradient are left alone, as in torch.
class OptimizerStep {
 public:
  // `lr`: of this step, `step`: from 1. The others must outlive this.
  OptimizerStep(Backend& backend, Tape& tape, Trainable& trained, const TuneOptions& options,
                double lr, int64_t step);
  // For the backward of the step's last forward (Tape::backward). Full tuning without clipping uses
  // each gradient as soon as it is complete and frees it, so that the gradients of all weights are
  // never there together; else empty.
  std::function<void(const Tensor& leaf)> on_ready();
  // Uses the gradients that are there, unless one of them is not finite.
  StepResult finish();

 private:
  void apply(Parameter& p, const Tensor& gradient);
  void apply_in_8_bits(Parameter& p, const Tensor& gradient);
  Backend& backend_;
  Tape& tape_;
  Trainable& trained_;
  double clip_, lr_;
  Backend::AdamW adamw_;
  bool at_once_;
  std::unordered_map<uint64_t, size_t> parameter_of_;  // by the tensor's id, where at_once_
  std::vector<double> squares_;  // of each parameter's gradient: summed in their order
  bool changed_ = false;
};

}  // namespace sllm
