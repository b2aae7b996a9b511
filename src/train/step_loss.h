// What an objective finds in a step or an evaluation.
#pragma once

#include <optional>

namespace sllm {

// What a step did to the answers, as TRL reports it; what it had none of is left out.
struct Rewards {
  std::optional<double> chosen, rejected;  // mean rewards of (un)wanted answers
  std::optional<double> accuracy;  // share of the pairs whose chosen answer has the larger reward
  std::optional<double> margin() const {
    return chosen && rejected ? std::optional(*chosen - *rejected) : std::nullopt;
  }
};

struct StepLoss {
  double loss = 0;
  std::optional<Rewards> rewards;  // of preferences
};

}  // namespace sllm
