// Substrings that can be counted by hand, expectations against all cuts written out, and what a
// vocabulary must hold. tests/parity/tokenizer_train.py compares with tokenizers' UnigramTrainer.
#include "text/unigram_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "text/repeated_substrings.h"
#include "text/unigram_lattice.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WordCounts counts_of(const std::vector<std::pair<std::string, uint64_t>>& words) {
  WordCounts counts;
  for (const auto& [word, count] : words) counts.add(word, count);
  return counts;
}

std::map<std::string, uint64_t> repeated(const std::vector<std::pair<std::string, uint64_t>>& words,
                                         uint32_t longest = 16) {
  const WordCounts counts = counts_of(words);
  std::map<std::string, uint64_t> found;
  for (const RepeatedSubstring& s : repeated_substrings(counts.sorted(), longest)) {
    EXPECT_TRUE(found.emplace(s.text, s.count).second) << s.text << " stands twice";
    EXPECT_LE(s.characters, longest);
  }
  return found;
}

TEST(RepeatedSubstrings, CountsThemInWordsAndRepeatedWords) {
  using Found = std::map<std::string, uint64_t>;
  // "an" always goes on to "ana" here, so it is not one of its own; nor is "ban".
  EXPECT_EQ(repeated({{"banana", 1}}), (Found{{"ana", 2}, {"na", 2}}));
  EXPECT_EQ(repeated({{"banana", 1}, {"band", 1}}),
            (Found{{"an", 3}, {"ana", 2}, {"ban", 2}, {"na", 2}}));
  EXPECT_EQ(repeated({{"cd", 3}, {"x", 9}}), (Found{{"cd", 3}}));
  EXPECT_EQ(repeated({{"aaaa", 1}}), (Found{{"aa", 3}, {"aaa", 2}}));
  EXPECT_EQ(repeated({{"abcdef", 2}}, 3),
            (Found{{"abc", 2}, {"bcd", 2}, {"cde", 2}, {"def", 2}, {"ef", 2}}));
}

TEST(RepeatedSubstrings, CutsBetweenCharactersOnly) {
  using Found = std::map<std::string, uint64_t>;
  // 가 and 각 share their first two bytes, 한 and 핝 too.
  EXPECT_EQ(repeated({{"가각", 1}, {"각가", 1}, {"한각", 1}, {"핝각", 1}}), (Found{}));
  EXPECT_EQ(repeated({{"한글은", 1}, {"한글을", 1}}), (Found{{"한글", 2}}));
}

TEST(UnigramLattice, ExpectsWhatAllCutsTogetherHold) {
  UnigramPieces pieces;
  for (const auto& [text, p] : {std::pair("a", .3), {"b", .2}, {"ab", .4}, {"ba", .1}})
    pieces.add(text, std::log(p));
  const ByteTrie trie = pieces.trie();
  UnigramLattice lattice(pieces, trie);
  // aba: a b a .018, ab a .12, a ba .03
  std::vector<double> expected(4);
  const double total = .018 + .12 + .03;
  EXPECT_NEAR(lattice.add_expected("aba", 2, expected), std::log(total), 1e-12);
  EXPECT_NEAR(expected[0], 2 * (2 * .018 + .12 + .03) / total, 1e-12);
  EXPECT_NEAR(expected[1], 2 * .018 / total, 1e-12);
  EXPECT_NEAR(expected[2], 2 * .12 / total, 1e-12);
  EXPECT_NEAR(expected[3], 2 * .03 / total, 1e-12);
  EXPECT_THAT(lattice.best_cut("aba"), ElementsAre(0, 2));
  EXPECT_THAT(lattice.best_cut("ab", 2), ElementsAre(1, 0));
  EXPECT_THAT(lattice.best_cut("a", 0), ElementsAre());
  EXPECT_THAT(lattice.best_cut("a한"), ElementsAre(UnigramLattice::kUnknown, 0));
}

const std::vector<std::pair<std::string, uint64_t>> kWords = {
    {"▁the", 50},  {"▁then", 20},  {"▁there", 15}, {"▁other", 12}, {"▁mother", 9},
    {"▁한글", 30}, {"▁한글은", 8}, {"▁한글을", 7}, {"▁글을", 6},   {"▁q", 1}};

UnigramTraining small(size_t size) {
  return {.vocab_size = size, .first_tokens = {"<unk>", "<e>"}, .byte_fallback = false};
}

TEST(UnigramTrainer, KeepsWordsThatOccurOftenAndEveryCharacter) {
  ThreadPool pool(1);
  const WordCounts words = counts_of(kWords);
  const TrainedUnigram t = train_unigram(words, small(26), pool).value();
  EXPECT_EQ(t.tokens.size(), t.scores.size());
  EXPECT_LE(t.tokens.size(), 26u);
  EXPECT_EQ(t.tokens[0], "<unk>");
  EXPECT_EQ(t.tokens[1], "<e>");
  for (const char* token : {"▁the", "▁한글", "q", "은", "m", "▁"})
    EXPECT_EQ(std::ranges::count(t.tokens, token), 1) << token;
  for (size_t i = 3; i < t.scores.size(); ++i)
    EXPECT_GE(t.scores[i - 1], i == 3 ? -99 : t.scores[i]);
}

TEST(UnigramTrainer, BytesStandForWhatIsNotCovered) {
  ThreadPool pool(1);
  UnigramTraining training = small(300);
  training.byte_fallback = true;
  training.coverage = .99;
  const TrainedUnigram t = train_unigram(counts_of(kWords), training, pool).value();
  EXPECT_EQ(t.tokens[2], "<0x00>");
  EXPECT_EQ(t.tokens[257], "<0xFF>");
  EXPECT_EQ(std::ranges::count(t.tokens, "q"), 0);
  EXPECT_LT(t.scores[2], t.scores.back() - 50);
}

TEST(UnigramTrainer, ThreadsDoNotChangeTheResult) {
  ThreadPool one(1), two(2);
  WordCounts words = counts_of(kWords);
  for (int i = 0; i < 500; ++i) words.add(fmt::format("▁{}{}", i * 7919 % 1000, i % 17), i % 5 + 1);
  const TrainedUnigram a = train_unigram(words, small(60), one).value();
  const TrainedUnigram b = train_unigram(words, small(60), two).value();
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.scores, b.scores);
}

TEST(UnigramTrainer, ShortTextsMakeVocabulariesToo) {
  ThreadPool pool(1);
  for (const char* word : {"a", "ab", "abababababababab", "가"}) {
    const TrainedUnigram t = train_unigram(counts_of({{word, 1}}), small(300), pool).value();
    EXPECT_GE(t.tokens.size(), 3u) << word;
    EXPECT_LT(t.tokens.size(), 40u) << word;
  }
}

TEST(UnigramTrainer, SaysHowManyTokensItMustHold) {
  ThreadPool pool(1);
  const auto result = train_unigram(counts_of({{"abc", 1}}), small(4), pool);
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_THAT(result.error().message, HasSubstr("3 different characters and 2 other tokens"));
}

}  // namespace
}  // namespace sllm
