// Answers of several requests at once, and whether two engines gave the same bits; for tests of
// what guesses at tokens.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

#include "infer/engine.h"

namespace sllm::testing {

// Three prompts of which the longer ones repeat themselves, drawn where temperature is above 0.
inline std::vector<GenerateRequest> repetitive_requests(float temperature) {
  std::vector<GenerateRequest> requests;
  for (const int64_t n : {3, 40, 90}) {
    GenerateRequest r;
    for (int64_t i = 0; i < n; ++i) r.prompt.push_back(static_cast<TokenId>(i % 20 + n));
    r.max_tokens = 24 + n / 4, r.ignore_eos = true, r.top_logprobs = 2;
    r.sampling.temperature = temperature, r.sampling.seed = static_cast<uint64_t>(n);
    r.sampling.repetition_penalty = temperature > 0 ? 1.1f : 1.0f;
    requests.push_back(std::move(r));
  }
  return requests;
}

inline std::vector<GenerateResult> at_once(Engine& engine,
                                           const std::vector<GenerateRequest>& requests) {
  std::vector<std::future<GenerateResult>> asked;
  for (const GenerateRequest& r : requests)
    asked.push_back(
        std::async(std::launch::async, [&engine, &r] { return engine.generate(r).value(); }));
  std::vector<GenerateResult> results;
  for (auto& a : asked) results.push_back(a.get());
  return results;
}

inline void expect_same_bits(const std::vector<GenerateResult>& got,
                             const std::vector<GenerateResult>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(got[i].tokens, expected[i].tokens);
    EXPECT_EQ(got[i].text, expected[i].text);
    ASSERT_EQ(got[i].logprobs.size(), expected[i].logprobs.size());
    for (size_t t = 0; t < got[i].logprobs.size(); ++t) {
      EXPECT_EQ(got[i].logprobs[t].logprob, expected[i].logprobs[t].logprob);
      EXPECT_EQ(got[i].logprobs[t].top, expected[i].logprobs[t].top);
    }
  }
}

// What an engine counts is complete when nothing is being answered any more.
inline EngineStats settled(const Engine& engine) {
  while (engine.stats().active > 0) std::this_thread::yield();
  return engine.stats();
}

}  // namespace sllm::testing
