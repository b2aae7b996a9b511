// Guesses from the text itself: what is found, when it is given up, and that answers do not change.
#include "infer/prompt_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/engine.h"
#include "support/fake_engine.h"
#include "support/guessed_answers.h"
#include "support/tiny_model.h"

namespace sllm {
namespace {

using testing::at_once;
using ::testing::ElementsAre;
using testing::expect_same_bits;
using ::testing::IsEmpty;
using testing::repetitive_requests;
using testing::settled;
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

// A model whose answers repeat themselves, as those of tiny random ones do when they are greedy.
std::shared_ptr<Engine> engine(int64_t lookup, Numerics numerics) {
  ModelConfig config = testing::tiny_config();
  config.V = 257;  // what ByteTokenizer can spell
  EngineOptions options;
  options.lookup = lookup, options.numerics = numerics, options.guess_always = true;
  return Engine::create({std::make_shared<testing::TinyModel>(config),
                         std::make_shared<testing::ByteTokenizer>(),
                         std::make_shared<testing::PlainTemplate>(), nullptr},
                        options)
      .value();
}

class Guessing : public TestWithParam<Numerics> {};

TEST_P(Guessing, ChangesNoBitOfAnyAnswer) {
  const auto plain = engine(0, GetParam()), guessing = engine(8, GetParam());
  for (const float temperature : {0.0f, 0.7f}) {
    const auto requests = repetitive_requests(temperature);
    expect_same_bits(at_once(*guessing, requests), at_once(*plain, requests));
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
