// One optimiser step over a list of parameters.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "train/gradient_sum.h"
#include "train/trainable.h"

namespace sllm {

struct StepResult {
  double grad_norm = 0;  // before clipping
  bool finite = true;
  bool changed = true;  // a parameter; a step that is not finite leaves all as they were, if it can
};

// AdamW on the gradients that `tape` holds for what is trained, scaled by clip / (norm + 1e-6)
// where the global norm is larger, as torch.nn.utils.clip_grad_norm_ does. Parameters without a
// gradient are left alone, as in torch. Each rank changes its own part of them (Slices) and has its
// moments alone (Rajbhandari et al. 2020, "ZeRO", stage 1).
class OptimizerStep {
 public:
  // `lr`: of this step, `step`: from 1. The others must outlive this.
  OptimizerStep(Backend& backend, Tape& tape, Trainable& trained, const TuneOptions& options,
                double lr, int64_t step, Ranks& ranks = alone());
  // For the backward of the last forward of this rank's last shard (Tape::backward). Gradients that
  // other ranks use are sent while it goes on. Full tuning by one process, in one shard and without
  // clipping, uses each gradient as soon as it is complete and frees it, so that the gradients of
  // all weights are never there together. Else empty.
  std::function<void(const Tensor& leaf)> on_ready();
  // Takes the gradients of one shard from the tape.
  void end_shard();
  // Collective: when all shards of this rank have ended, or with the error that kept it from that.
  // The error of the first rank that has one; then nothing may be done but forget this step.
  Status gather(const Status& mine);
  // Collective: uses the gradients, unless one of them is not finite.
  StepResult finish();

 private:
  void apply(size_t parameter, const Tensor& gradient);
  void apply_in_8_bits(Parameter& p, float* weights, const Tensor& gradient);
  double add_squares(size_t parameter, const Tensor& gradient);
  Backend& backend_;
  Tape& tape_;
  Trainable& trained_;
  Ranks& ranks_;
  GradientSum sum_;
  double clip_, lr_;
  Backend::AdamW adamw_;
  bool at_once_;
  std::unordered_map<uint64_t, size_t> parameter_of_;  // by the tensor's id, where at_once_
  std::vector<double> squares_;                        // of each slice's gradient
  bool changed_ = false;
};

}  // namespace sllm
