// How long a tuning run will take here, and how much memory and disk it will need.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "io/model_config.h"
#include "train/blank_model.h"
#include "train/options.h"

namespace sllm {

// What tuning costs on this machine and this model's shape.
struct TuningSpeed {
  double layer = 0;   // seconds of one layer for one token: forward and backward, adapters included
  double head = 0;    // seconds of the head and the loss for one learned token
  double update = 0;  // seconds of a step's end for one trained number
};

struct TuningWork {
  int64_t tokens = 0;      // of all steps
  double computed = 1;     // share of them: beginnings that samples have in common count once
  int64_t supervised = 0;  // tokens that are learned
  int64_t steps = 0;
  int64_t longest = 0;           // tokens of the longest sample
  int64_t rows = 0;              // of the largest forward; 0: as many as micro_tokens allows
  int64_t typical = 0;           // tokens of the sample in which a token stands, on average
  int64_t bytes_of_weights = 0;  // of the model's file
};

// Another way to run it, which needs less memory.
struct SmallerRun {
  std::string change;  // flags, or what to do
  int64_t memory = 0;
};
struct TuneEstimate {
  int64_t tokens = 0, steps = 0;
  double seconds = 0;
  int64_t memory = 0;               // peak, bytes, mapped weights included
  int64_t disk = 0;                 // of the run's folder
  int64_t disk_of_two = 0;          // with as few checkpoints as may be kept
  std::vector<SmallerRun> smaller;  // by estimate_tune(options) alone (train/fit.h)
};
// Tunes two layers of that shape, with blank weights of those types, for about a second. Error:
// kUsage (targets).
Result<TuningSpeed> measure_tuning_speed(const ModelConfig& config, const TypeOf& type_of,
                                         const TuningWork& work, const TuneOptions& options);
// Time grows with tokens and layers; the head is paid for learned tokens only, and every step for
// all trained numbers. Evaluation and checkpoints are left out.
TuneEstimate estimate_tune(const ModelConfig& config, const TuningWork& work,
                           const TuneOptions& options, TuningSpeed speed);
// Reads the model's description and the data, and measures.
Result<TuneEstimate> estimate_tune(const TuneOptions& options);

}  // namespace sllm
