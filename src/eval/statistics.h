// Aggregations and standard errors as lm-evaluation-harness computes them (api/metrics.py).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace sllm::eval {

double mean(std::span<const double> values);
// Sample standard deviation / sqrt(n); 0 for fewer than two values.
double mean_stderr(std::span<const double> values);

struct Outcome {
  int64_t gold = 0, predicted = 0;
};
// scikit-learn's f1_score: of class 1, or the unweighted mean over all classes that occur.
double binary_f1(std::span<const Outcome> outcomes);
double macro_f1(std::span<const Outcome> outcomes);
double matthews_correlation(std::span<const Outcome> outcomes);

// Standard deviation of `statistic` over resamples drawn with Python's generator seeded 0, 1, ...
// per thousand draws, as the harness does; indices into [0, n).
double bootstrap_stderr(int64_t n, int64_t iterations,
                        const std::function<double(std::span<const int64_t>)>& statistic);

}  // namespace sllm::eval
