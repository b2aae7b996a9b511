// One optimiser step over a list of parameters.
#pragma once

#include <vector>

#include "train/lora.h"

namespace sllm {

struct StepResult {
  double grad_norm = 0;  // before clipping
  bool finite = true;    // false: nothing was changed
};

// AdamW on the gradients that `tape` holds for `parameters`, scaled by clip / (norm + 1e-6) where
// the global norm is larger, as torch.nn.utils.clip_grad_norm_ does. `step` counts from 1.
// Parameters without a gradient are left alone, as in torch.
StepResult adamw_step(Backend& backend, Tape& tape, std::vector<Parameter>& parameters,
                      const TuneOptions& options, double lr, int64_t step);

}  // namespace sllm
