// Expected values computed by scikit-learn and by lm-evaluation-harness' own functions.
#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sllm::eval {
namespace {

std::vector<Outcome> pairs(const std::vector<int64_t>& gold,
                           const std::vector<int64_t>& predicted) {
  std::vector<Outcome> out;
  for (size_t i = 0; i < gold.size(); ++i) out.push_back({gold[i], predicted[i]});
  return out;
}

TEST(Statistics, MacroF1MatchesScikitLearn) {
  const auto outcomes = pairs({0, 1, 1, 0, 2, 1, 0, 2, 1, 1}, {0, 1, 0, 0, 1, 1, 2, 2, 1, 0});
  EXPECT_NEAR(macro_f1(outcomes), 0.5793650793650794, 1e-15);
  EXPECT_NEAR(matthews_correlation(outcomes), 0.3810003810005715, 1e-15);
}

TEST(Statistics, BinaryF1MatchesScikitLearn) {
  EXPECT_NEAR(binary_f1(pairs({0, 1, 1, 0, 0, 1, 0, 1, 1, 1}, {0, 1, 0, 0, 1, 1, 1, 0, 1, 0})),
              0.5454545454545454, 1e-15);
}

TEST(Statistics, StandardErrorOfTheMeanUsesTheSampleDeviation) {
  EXPECT_NEAR(mean_stderr(std::vector<double>{1, 0, 0, 1, 1}), 0.24494897427831783, 1e-15);
  EXPECT_EQ(mean_stderr(std::vector<double>{1}), 0);
}

TEST(Statistics, BootstrapDrawsAsTheHarnessDoes) {
  const std::vector<double> values = {-1, -2, -3, -.5};
  const double error = bootstrap_stderr(4, 2000, [&](std::span<const int64_t> drawn) {
    double sum = 0;
    for (const int64_t i : drawn) sum += values[i];
    return std::exp(-sum / 4);
  });
  EXPECT_NEAR(error, 2.9071223460218736, 1e-12);
}

}  // namespace
}  // namespace sllm::eval
