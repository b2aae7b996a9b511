// Trained vocabularies as files that are read back: every text comes back, the same ids whatever
// the order of the texts and the number of threads.
#include "text/tokenizer_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/tokenizer_files.h"
#include "support/tiny_tokenizer.h"
#include "text/tokenizer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kTexts = {
    "It's what we'll see: they've said 12345 words, and said them again.\n\n  And said them again.",
    "안녕하세요. 오늘은 날씨가 참 좋네요! 안녕하세요, 날씨가 좋아요.\n오늘은 오늘은",
    "def f(x):\n\treturn x**2  # 제곱\n", "again and again and again, they said: again"};

TrainedTokenizer train(const TokenizerTraining& training, std::vector<std::string> texts = kTexts,
                       int threads = 1) {
  ThreadPool pool(threads);
  const auto trainer = TokenizerTrainer::create(training, pool).value();
  for (const std::string& text : texts) EXPECT_TRUE(trainer->add(text).ok());
  return trainer->train().value();
}

std::shared_ptr<const Tokenizer> written(const TrainedTokenizer& trained, const fs::path& folder) {
  EXPECT_TRUE(write_trained_tokenizer(folder, trained).ok());
  return Tokenizer::load(open_tokenizer_source(folder).value()).value();
}

TEST(TokenizerTrainer, WhatItWritesGivesEveryTextBack) {
  testing::TemporaryFolder folder;
  for (const ModelKind kind : {ModelKind::kBpe, ModelKind::kUnigram})
    for (const char* pattern : {"gpt2", "llama3", "qwen2", "gpt-4o", "smollm"}) {
      const TrainedTokenizer trained =
          train({.kind = kind, .vocab_size = 420, .pattern = pattern, .chatml = true});
      const auto t = written(trained, folder / "tok");
      uint64_t tokens = 0;
      for (const std::string& text : kTexts) {
        const std::vector<TokenId> ids = t->encode(text);
        tokens += ids.size();
        EXPECT_EQ(t->decode(ids), text) << pattern;
        EXPECT_LT(ids.size(), text.size());
      }
      EXPECT_EQ(trained.tokens_of_text, tokens) << pattern;
      const std::string unseen = " never\t seen: 🙂 漢字 <0x41> ";
      EXPECT_EQ(t->decode(t->encode(unseen)), unseen) << pattern;
      EXPECT_EQ(t->eos_ids().front(), t->id_of("<|endoftext|>"));
      EXPECT_EQ(t->encode("<|im_end|>").size(), 1u);
      EXPECT_GT(t->encode("<|im_end|>", {.parse_special = false}).size(), 1u);
    }
}

TEST(TokenizerTrainer, OrderAndThreadsDoNotChangeIt) {
  std::vector<std::string> backwards(kTexts.rbegin(), kTexts.rend());
  for (const ModelKind kind : {ModelKind::kBpe, ModelKind::kUnigram}) {
    const TokenizerTraining training{.kind = kind, .vocab_size = 400};
    const TokenizerSpec a = train(training).spec, b = train(training, backwards, 2).spec;
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.merges, b.merges);
    EXPECT_EQ(a.scores, b.scores);
  }
}

TEST(TokenizerTrainer, TextIsBroughtToTheFormThatThePatternHas) {
  const std::string composed = "한글", jamo = unicode::normalize(unicode::Form::kNfd, composed);
  testing::TemporaryFolder folder;
  const auto ids = [&](const char* pattern, std::optional<unicode::Form> form) {
    const auto t =
        written(train({.vocab_size = 400, .pattern = pattern, .form = form}), folder / "tok");
    return std::pair(t->encode(composed), t->encode(jamo));
  };
  const auto [a, b] = ids("qwen2", std::nullopt);
  EXPECT_EQ(a, b);
  const auto [c, d] = ids("qwen2", unicode::Form::kNone);
  EXPECT_NE(c, d);
  const auto [e, f] = ids("llama3", unicode::Form::kNfc);
  EXPECT_EQ(e, f);
}

TEST(TokenizerTrainer, RefusesWhatCannotBeInASentence) {
  ThreadPool pool(1);
  const auto says = [&](const TokenizerTraining& training, const char* what) {
    const auto made = TokenizerTrainer::create(training, pool);
    ASSERT_FALSE(made.ok()) << what;
    EXPECT_EQ(made.error().code, ErrorCode::kUsage);
    EXPECT_THAT(made.error().to_string(), HasSubstr(what));
  };
  says({.pattern = "gpt5"}, "the pattern \"gpt5\" is not known. Use gpt2, llama3, qwen2");
  says({.special = {}}, "no special token");
  says({.special = {"<e>", "<e>"}}, "<e> is given twice");
  says({.special = {""}}, "is empty");
  says({.special = {"\xFF"}}, "not UTF-8");
  says({.vocab_size = kMaxTokens + 1}, "at most");
  says({.kind = ModelKind::kUnigram, .pattern = "falcon"}, "cuts bytes, not characters");
  const auto empty = TokenizerTrainer::create({}, pool).value();
  EXPECT_TRUE(empty->add("").ok());
  EXPECT_THAT(empty->train().error().message, HasSubstr("no text"));
}

}  // namespace
}  // namespace sllm
