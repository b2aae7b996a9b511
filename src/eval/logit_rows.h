// Two rows of logits beside each other.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace sllm::eval {

// What a row's probabilities need: log softmax(x)[i] = x[i] - log_sum.
struct LogitRow {
  std::span<const float> logits;
  double log_sum = 0;
  int64_t best = 0;  // the lowest id among the largest
  explicit LogitRow(std::span<const float> x) : logits(x) {
    best = std::ranges::max_element(x) - x.begin();
    const double largest = x[static_cast<size_t>(best)];
    double sum = 0;
    for (const float value : x) sum += std::exp(double{value} - largest);
    log_sum = largest + std::log(sum);
  }
  double log_probability(size_t i) const { return logits[i] - log_sum; }
};

// KL(p || q) in nats, not below 0 (where rounding would put it).
inline double kl_divergence(const LogitRow& p, const LogitRow& q) {
  double sum = 0;
  for (size_t i = 0; i < p.logits.size(); ++i) {
    const double log_p = p.log_probability(i);
    if (log_p > -50) sum += std::exp(log_p) * (log_p - q.log_probability(i));
  }
  return std::max(0.0, sum);
}

}  // namespace sllm::eval
