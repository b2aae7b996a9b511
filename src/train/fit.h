// What would make a tuning run fit into this machine: other settings, and what they need.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "train/estimate.h"

namespace sllm {

// Runs that need less memory than `options`, those first that change the least of what is learned.
// `quantised`: bytes of the base's weights in q4_k; none where the base is in a block format.
std::vector<SmallerRun> smaller_runs(const ModelConfig& config, const TuningWork& work,
                                     const TuneOptions& options, std::optional<int64_t> quantised);

struct Room {
  int64_t memory = 0, disk = 0;  // bytes that are free
};
// Sentences for a run that does not fit; empty where it does.
std::vector<std::string> fit_advice(const TuneEstimate& estimate, const Room& room);

}  // namespace sllm
