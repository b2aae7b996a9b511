// What a tuning run has come to, as `sllm tune` and `sllm runs --resume` print it.
#pragma once

#include "cli/command.h"
#include "train/tune.h"

namespace sllm::cli {

// As JSON with --json, else for people.
void print_tune_result(const TuneResult& result, const std::string& command,
                       const Globals& globals);

}  // namespace sllm::cli
