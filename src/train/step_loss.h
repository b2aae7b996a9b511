// What an objective finds in a step or an evaluation.
#pragma once

#include <cstdint>
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

// What some of the samples add to that.
struct LossSum {
  double loss = 0;
  int64_t items = 0;  // whose losses these are; 0: `loss` is a share of the mean already
  double chosen = 0, rejected = 0;
  int64_t chosen_count = 0, rejected_count = 0;
  int64_t pairs = 0, right = 0;

  void add(bool wanted, double reward) {
    (wanted ? chosen : rejected) += reward;
    ++(wanted ? chosen_count : rejected_count);
  }
  void add(const LossSum& other) {
    loss += other.loss, items += other.items;
    chosen += other.chosen, rejected += other.rejected;
    chosen_count += other.chosen_count, rejected_count += other.rejected_count;
    pairs += other.pairs, right += other.right;
  }
  StepLoss mean() const {
    if (items == 0) return {loss, {}};
    const auto over = [](double sum, int64_t count) {
      return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
    };
    return {loss / static_cast<double>(items),
            Rewards{over(chosen, chosen_count), over(rejected, rejected_count),
                    over(static_cast<double>(right), pairs)}};
  }
};

}  // namespace sllm
