// The sampler chain and the stop filter.
#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "infer/stop_filter.h"

namespace sllm {
namespace {

std::vector<double> frequencies(const SamplingOptions& options, const std::vector<float>& logits,
                                int draws) {
  Sampler sampler(options, {});
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) {
    std::vector<float> copy = logits;
    counts[static_cast<size_t>(sampler.sample(copy, static_cast<uint64_t>(i)))] += 1.0 / draws;
  }
  return counts;
}

const std::vector<float> kLogits = {std::log(0.5f), std::log(0.1f), std::log(0.3f), std::log(0.06f),
                                    std::log(0.04f)};

TEST(Sampler, DrawsInProportion) {
  const auto f = frequencies({}, kLogits, 20000);
  for (size_t i = 0; i < f.size(); ++i) EXPECT_NEAR(f[i], std::exp(kLogits[i]), 0.015);
}

TEST(Sampler, TemperatureSharpens) {
  const auto f = frequencies({.temperature = 0.5f}, kLogits, 20000);
  EXPECT_NEAR(f[0], 0.25 / (0.25 + 0.01 + 0.09 + 0.0036 + 0.0016), 0.015);
}

TEST(Sampler, TheColdestTemperaturesAreGreedy) {
  for (const float temperature : {1e-20f, 1e-38f, 1e-45f})
    EXPECT_EQ(frequencies({.temperature = temperature}, kLogits, 10)[0],
              frequencies({.temperature = 0}, kLogits, 10)[0])
        << temperature;
}

TEST(Sampler, TopKKeepsTheBest) {
  const auto f = frequencies({.top_k = 2}, kLogits, 10000);
  EXPECT_NEAR(f[0], 0.5 / 0.8, 0.02);
  EXPECT_NEAR(f[2], 0.3 / 0.8, 0.02);
  EXPECT_EQ(f[1] + f[3] + f[4], 0);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const auto f = frequencies({.top_p = 0.82f}, kLogits, 10000);
  EXPECT_GT(f[1], 0);  // 0.5 + 0.3 falls short
  EXPECT_EQ(f[3] + f[4], 0);
  EXPECT_NEAR(frequencies({.top_p = 0.0f}, kLogits, 100)[0], 1, 1e-9);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  const auto f = frequencies({.min_p = 0.15f}, kLogits, 10000);
  EXPECT_GT(f[1], 0);
  EXPECT_EQ(f[3] + f[4], 0);
}

TEST(Sampler, GreedyTakesTheLowestIdOfATie) {
  Sampler sampler({.temperature = 0}, {});
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(sampler.sample(logits, 0), 1);
}

TEST(Sampler, PenaltiesAndBias) {
  const std::vector<TokenId> prompt = {1};
  Sampler repetition({.temperature = 0, .repetition_penalty = 2}, prompt);
  std::vector<float> logits = {1.8f, 3, 1, -1};
  EXPECT_EQ(repetition.sample(logits, 0), 0);  // 3 / 2 < 1.8
  EXPECT_EQ(logits[1], 1.5f);

  Sampler counts({.temperature = 0, .frequency_penalty = 0.5f, .presence_penalty = 0.25f}, prompt);
  counts.accept(2), counts.accept(2);
  logits = {0, 0, 2, 0};
  counts.sample(logits, 0);
  EXPECT_EQ(logits[2], 2 - 2 * 0.5f - 0.25f);
  EXPECT_EQ(logits[1], 0);  // the prompt does not count here

  Sampler biased({.temperature = 0, .logit_bias = {{3, 5.0f}, {99, 1.0f}, {-1, 1.0f}}}, {});
  logits = {1, 0, 0, 0};
  EXPECT_EQ(biased.sample(logits, 0), 3);
}

TEST(Sampler, RefusesLogitsThatAreNotNumbers) {
  Sampler sampler({}, {});
  std::vector<float> logits(4, std::nanf(""));
  EXPECT_EQ(sampler.sample(logits, 0), -1);
}

TEST(TokenLogprob, NamesTheBest) {
  const TokenLogprob p = token_logprob(kLogits, 3, 2);
  EXPECT_NEAR(p.logprob, std::log(0.06), 1e-5);
  ASSERT_EQ(p.top.size(), 2u);
  EXPECT_EQ(p.top[0].first, 0);
  EXPECT_EQ(p.top[1].first, 2);
}

TEST(StopFilter, HoldsBackWhatMightBecomeAStop) {
  StopFilter filter({"END", "\n\n"});
  EXPECT_EQ(filter.push("one E"), "one ");
  EXPECT_EQ(filter.push("N"), "");
  EXPECT_EQ(filter.push("TER\n"), "ENTER");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.push("\nrest"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("more"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilter, GivesBackWhatItHeldAtTheEnd) {
  StopFilter filter({"END"});
  EXPECT_EQ(filter.push("the EN"), "the ");
  EXPECT_EQ(filter.finish(), "EN");
}

TEST(StopFilter, TakesTheEarliestOfSeveral) {
  StopFilter filter({"c", "bc"});
  EXPECT_EQ(filter.push("abcd"), "a");
  EXPECT_TRUE(filter.stopped());
}

}  // namespace
}  // namespace sllm
