// Guesses from the text itself: what is found, when it is given up, and that answers do not change.
#include "infer/prompt_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "infer/engine.h"
#include "support/fake_engine.h"
#include "support/tiny_model.h"

namespace sllm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::TestWithParam;

TEST(PromptLookup, GuessesWhatFollowedTheLatestSamePlace) {
  PromptLookup lookup;
  std::vector<TokenId> text = {1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 1, 2, 3, 4};
  EXPECT_THAT(lookup.guess(text, 3), ElementsAre(5, 9, 2));  // four tokens before two
  text = {1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 1, 2, 3, 4, 8, 2, 3};
  EXPECT_THAT(lookup.guess(text, 2), ElementsAre(4, 8));
  text.push_back(4);
  EXPECT_THAT(lookup.guess(text, 9), ElementsAre(8, 2, 3, 4));  // no further than the text goes
  text.insert(text.end(), {9, 9});
  EXPECT_THAT(lookup.guess(text, 9), IsEmpty());  // nines stood together nowhere before
  text.push_back(9);
  EXPECT_THAT(lookup.guess(text, 9), ElementsAre(9));
}

TEST(PromptLookup, FindsWhatWasAddedWhileNothingWasGuessed) {
  PromptLookup lookup;
  std::vector<TokenId> text = {1, 2};
  EXPECT_THAT(lookup.guess(text, 4), IsEmpty());
  text.insert(text.end(), {5, 6, 7, 8, 5, 6});
  EXPECT_THAT(lookup.guess(text, 2), ElementsAre(7, 8));
}

TEST(PromptLookup, TrustsByWhatCameTrueAndForgetsWithTime) {
  PromptLookup good, bad;
  EXPECT_EQ(good.likelihood(), 0.5);
  for (int i = 0; i < 20; ++i) good.learn(4, 4), bad.learn(4, 0);
  EXPECT_GT(good.likelihood(), 0.95);
  EXPECT_LT(bad.likelihood(), 0.1);
  for (int i = 0; i < 200; ++i) bad.rest();
  EXPECT_GT(bad.likelihood(), 0.45);
}

TEST(GuessBudget, SharesRowsByWhatTheyCostAndWhatTheyBring) {
  GuessBudget cheap, dear;
  for (const int64_t rows : {1, 9, 1, 5, 2})
    cheap.measured(rows, 0.1 + 0.001 * static_cast<double>(rows)),
        dear.measured(rows, 0.1 * static_cast<double>(rows));
  EXPECT_THAT(cheap.share({0.95}, 8, 15), ElementsAre(8));
  EXPECT_THAT(dear.share({0.95}, 8, 15), ElementsAre(0));
  const auto shares = cheap.share({0.9, 0.1, 0.9}, 8, 13);
  EXPECT_EQ(shares[0] + shares[1] + shares[2], 13);
  EXPECT_LT(shares[1], shares[0]);
  EXPECT_THAT(cheap.share({0.9, 0.9}, 8, -3), Each(0));
  EXPECT_THAT(cheap.share({}, 8, 15), IsEmpty());
}

// A model whose answers repeat themselves, as those of tiny random ones do when they are greedy.
std::shared_ptr<Engine> engine(int64_t lookup, Numerics numerics) {
  ModelConfig config = testing::tiny_config();
  config.V = 257;  // what ByteTokenizer can spell
  EngineOptions options;
  options.lookup = lookup, options.numerics = numerics;
  return Engine::create({std::make_shared<testing::TinyModel>(config),
                         std::make_shared<testing::ByteTokenizer>(),
                         std::make_shared<testing::PlainTemplate>(), nullptr},
                        options)
      .value();
}

std::vector<GenerateResult> answers(Engine& engine, float temperature) {
  std::vector<std::future<GenerateResult>> asked;
  for (const int64_t n : {3, 40, 90})
    asked.push_back(std::async(std::launch::async, [&engine, n, temperature] {
      GenerateRequest r;
      for (int64_t i = 0; i < n; ++i) r.prompt.push_back(static_cast<TokenId>(i % 20 + n));
      r.max_tokens = 24 + n / 4, r.ignore_eos = true, r.top_logprobs = 2;
      r.sampling.temperature = temperature, r.sampling.seed = static_cast<uint64_t>(n);
      r.sampling.repetition_penalty = temperature > 0 ? 1.1f : 1.0f;
      return engine.generate(r).value();
    }));
  std::vector<GenerateResult> results;
  for (auto& a : asked) results.push_back(a.get());
  return results;
}

// What an engine counts is complete when nothing is being answered any more.
EngineStats settled(const Engine& engine) {
  while (engine.stats().active > 0) std::this_thread::yield();
  return engine.stats();
}

class Guessing : public TestWithParam<Numerics> {};

TEST_P(Guessing, ChangesNoBitOfAnyAnswer) {
  const auto plain = engine(0, GetParam()), guessing = engine(8, GetParam());
  for (const float temperature : {0.0f, 0.7f}) {
    const auto expected = answers(*plain, temperature), got = answers(*guessing, temperature);
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
  const EngineStats without = settled(*plain), with = settled(*guessing);
  EXPECT_EQ(without.guessed_tokens, 0u);
  EXPECT_GT(with.accepted_tokens, 0u);
  EXPECT_GT(with.guessed_tokens, with.accepted_tokens);
  EXPECT_EQ(with.generated_tokens, without.generated_tokens);
}

INSTANTIATE_TEST_SUITE_P(Modes, Guessing,
                         ::testing::Values(Numerics::kExact, Numerics::kBf16, Numerics::kFast));

TEST(GuessingAnswers, EndsAtStopStringsAndGoesOnFromWhatWasKept) {
  const auto plain = engine(0, Numerics::kExact), guessing = engine(8, Numerics::kExact);
  GenerateRequest r;
  for (int i = 0; i < 60; ++i) r.prompt.push_back(i % 12 + 40);
  r.max_tokens = 60, r.ignore_eos = true, r.sampling.temperature = 0;
  const auto whole = plain->generate(r).value();
  r.stop = {whole.text.substr(whole.text.size() / 2, 2)};
  const auto first = plain->generate(r).value(), second = guessing->generate(r).value();
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_EQ(second.reason, FinishReason::kStop);
  // The state that is left behind holds right tokens only.
  r.stop.clear();
  r.prompt.insert(r.prompt.end(), second.tokens.begin(), second.tokens.end());
  EXPECT_EQ(guessing->generate(r).value().tokens, plain->generate(r).value().tokens);
  EXPECT_GT(settled(*guessing).accepted_tokens, 0u);
}

}  // namespace
}  // namespace sllm
