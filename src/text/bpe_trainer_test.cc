// Merges of small texts, as tokenizers 0.23 makes them; tests/parity/tokenizer_train.py compares
// whole vocabularies.
#include "text/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// Words as GPT-2's pattern would cut a line: at spaces, which stay in front of the next word.
WordCounts words_of(std::string_view text) {
  WordCounts counts;
  for (size_t at = 0; at < text.size();) {
    const size_t next = std::min(text.find(' ', at + 1), text.size());
    counts.add(text.substr(at, next - at), 1);
    at = next;
  }
  return counts;
}

TrainedBpe train(std::string_view text, BpeTraining training = {}) {
  if (training.first_tokens.empty()) training.first_tokens = {"<e>"};
  return train_bpe(words_of(text), training).value();
}

TEST(BpeTrainer, MergesWhatStandsSideBySideMostOften) {
  const TrainedBpe bpe = train(
      "low low low low low lower lower newest newest newest newest newest newest widest widest "
      "widest",
      {.vocab_size = 275});
  EXPECT_THAT(bpe.merges, ElementsAre(Pair("e", "s"), Pair("es", "t"), Pair("l", "o"),
                                      Pair("lo", "w"), Pair("e", "w"), Pair("n", "ew"),
                                      Pair("Ġ", "low"), Pair("Ġ", "new"), Pair("Ġnew", "est"),
                                      Pair("d", "est"), Pair("i", "dest"), Pair("w", "idest"),
                                      Pair("Ġ", "widest"), Pair("e", "r"), Pair("Ġlow", "er")));
  EXPECT_EQ(bpe.tokens.size(), 1u + 256 + 15);
  EXPECT_EQ(bpe.tokens[257], "es");
  EXPECT_EQ(bpe.words_as_tokens, 16u);
}

TEST(BpeTrainer, RunsOfOneCharacterAreCountedAsTheyMerge) {
  EXPECT_THAT(train("aaaa aaaa aaaaaaa baab baab").merges,
              ElementsAre(Pair("a", "a"), Pair("aa", "aa"), Pair("b", "aa"), Pair("Ġ", "aaaa"),
                          Pair("Ġ", "baa"), Pair("Ġbaa", "b")));
}

TEST(BpeTrainer, OfEquallyFrequentPairsTheLowerIdsWin) {
  EXPECT_THAT(train("xy yx zz xy yx zz").merges,
              ElementsAre(Pair("x", "y"), Pair("y", "x"), Pair("z", "z"), Pair("Ġ", "yx"),
                          Pair("Ġ", "zz")));
  EXPECT_THAT(train("가나다 가나다 가나 나다").merges,
              ElementsAre(Pair("ë", "Ĥ"), Pair("ëĤ", "ĺ"), Pair("°", "Ģ"), Pair("ê", "°Ģ"),
                          Pair("ë", "ĭ"), Pair("ëĤĺ", "ëĭ"), Pair("ëĤĺëĭ", "¤"), Pair("Ġ", "ê°Ģ")));
}

TEST(BpeTrainer, SpecialTokensComeFirstThenTheBytesByTheirCharacters) {
  const TrainedBpe bpe = train("a", {.first_tokens = {"<e>", "b"}});
  ASSERT_EQ(bpe.tokens.size(), 257u);  // the byte b has the id of the special token
  EXPECT_THAT(std::vector(bpe.tokens.begin(), bpe.tokens.begin() + 4),
              ElementsAre("<e>", "b", "!", "\""));
  EXPECT_EQ(bpe.tokens.back(), "\xC5\x83");  // U+0143, byte 0xAD
}

TEST(BpeTrainer, EndsAtTheSizeOrTheLeastFrequency) {
  EXPECT_EQ(train("abab abab", {.vocab_size = 258}).merges.size(), 1u);
  EXPECT_EQ(train("abab abab", {.min_frequency = 5}).merges.size(), 0u);
  EXPECT_EQ(train("abab abab", {.min_frequency = 4}).merges.size(), 1u);
  const auto small = train_bpe(words_of("a"), {.vocab_size = 256, .first_tokens = {"<e>"}});
  EXPECT_EQ(small.error().code, ErrorCode::kUsage);
  EXPECT_THAT(small.error().message, HasSubstr("expected 257 or more"));
}

TEST(BpeTrainer, NoTokenGrowsLongerThanAReaderTakes) {
  const std::string run(20000, '=');
  const TrainedBpe bpe = train(run + " " + run);
  EXPECT_EQ(std::ranges::max(bpe.tokens, {}, &std::string::size).size(), 4096u);
}

}  // namespace
}  // namespace sllm
