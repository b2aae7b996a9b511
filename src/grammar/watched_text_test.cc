// Any text, watched for words.
#include "grammar/watched_text.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "grammar/test_data.h"

namespace sllm {
namespace {

using testing::fits;
using testing::Fits;

// Text up to the first of the words, then its number; with `leave` it may end before.
testing::GrammarPtr watching(const std::vector<std::string>& words, bool leave) {
  GrammarBuilder builder;
  const uint32_t root = builder.rule("root"), end = builder.point();
  const WatchedText text = watched_text(builder, words, leave ? std::optional(end) : std::nullopt);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto number = builder.literal(std::to_string(i));
    builder.link(text.ends[i], number.start);
    builder.link(number.end, end);
  }
  builder.define(root, {text.start, end});
  return std::make_shared<const Grammar>(std::move(builder).finish(root).value());
}

TEST(WatchedText, EndsBehindTheFirstWord) {
  const auto grammar = watching({"<call>", "<cat", "all"}, false);
  EXPECT_EQ(fits(grammar, "a <<ca"), Fits::kBegins);
  EXPECT_EQ(fits(grammar, "a <<cat1"), Fits::kWhole);
  EXPECT_EQ(fits(grammar, "<ca<cat1"), Fits::kWhole);
  EXPECT_EQ(fits(grammar, "<call2"), Fits::kWhole);  // a word within another ends first
  EXPECT_EQ(fits(grammar, "<call>0"), Fits::kNo);
  EXPECT_EQ(fits(grammar, "\xff\x01<cat0"), Fits::kNo);
  const auto open = watching({"<call>"}, true);
  EXPECT_EQ(fits(open, ""), Fits::kWhole);
  EXPECT_EQ(fits(open, "<call"), Fits::kWhole);
  EXPECT_EQ(fits(open, "<call>"), Fits::kBegins);
}

TEST(WatchedText, FindsWhatASearchFinds) {
  const std::vector<std::string> words = {"aba", "abba", "bbb", "ab a"};
  const auto grammar = watching(words, true);
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = 0; n < 12; ++n) text += "ab "[rng.below(3)];
    size_t first = std::string::npos;  // where a word ends first
    for (const std::string& word : words)
      if (const size_t at = text.find(word); at != text.npos)
        first = std::min(first, at + word.size());
    EXPECT_EQ(fits(grammar, text), first == std::string::npos ? Fits::kWhole
                                   : first == text.size()     ? Fits::kBegins
                                                              : Fits::kNo)
        << text;
  }
}

}  // namespace
}  // namespace sllm
