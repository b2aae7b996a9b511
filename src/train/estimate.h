// How long a tuning run will take here, and how much memory and disk it will need.
#pragma once

#include "base/result.h"
#include "io/model_config.h"
#include "train/options.h"

namespace sllm {

class Backend;

// FLOP/s that training's three kinds of matrix product reach together on this model's shapes,
// from a measurement of about a second.
struct TuningSpeed {
  double flops_per_second = 0;
};
TuningSpeed measure_tuning_speed(Backend& backend, const ModelConfig& config, Numerics mode);

struct TuningWork {
  int64_t tokens = 0;      // of all steps
  int64_t supervised = 0;  // of them
  int64_t steps = 0;
  int64_t longest = 0;           // tokens of the longest sample
  int64_t bytes_of_weights = 0;  // of the model's file
};

struct TuneEstimate {
  int64_t tokens = 0, steps = 0;
  double seconds = 0;
  int64_t memory = 0;  // peak, bytes, mapped weights included
  int64_t disk = 0;    // of the run's folder
};
// LoRA on frozen weights costs 4 FLOP per weight and token (forward, and backward into the
// activations), 4 per weight of the head and learned token, and attention.
TuneEstimate estimate_tune(const ModelConfig& config, const TuningWork& work,
                           const TuneOptions& options, TuningSpeed speed);
// Reads the model's description and the data, and measures.
Result<TuneEstimate> estimate_tune(const TuneOptions& options);

}  // namespace sllm
