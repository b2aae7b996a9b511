// Korean words of byte-level models whose merges were drawn at random, across syllables too: the
// ids are those of merging byte by byte.
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "text/bpe_model.h"
#include "text/byte_level.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

std::string random_word(Rng& rng, bool spaced) {
  // Few syllables, so that merges meet; some share their first or last bytes.
  constexpr uint32_t kSyllables[] = {0xAC00, 0xAC01, 0xAC40, 0xB2E4,
                                     0xB2E5, 0xC548, 0xC588, 0xD79D};
  std::string word = spaced ? " " : "";
  for (uint64_t n = 1 + rng.next_u32() % 6; n > 0; --n)
    unicode::append_utf8(word, kSyllables[rng.next_u32() % std::size(kSyllables)]);
  return word;
}

std::vector<std::string> in_bytes(const std::string& word) {
  std::vector<std::string> symbols;
  for (const char byte : word) symbols.push_back(token_text_of_bytes(std::string(1, byte)));
  return symbols;
}

using Ranks = std::map<std::pair<std::string, std::string>, size_t>;

// The definition: the lowest rank first, the leftmost among equals.
std::vector<std::string> merged(std::vector<std::string> symbols, const Ranks& ranks) {
  for (;;) {
    auto best = ranks.end();
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i)
      if (const auto it = ranks.find({symbols[i], symbols[i + 1]});
          it != ranks.end() && (best == ranks.end() || it->second < best->second))
        best = it, at = i;
    if (best == ranks.end()) return symbols;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

TokenizerSpec random_model(Rng& rng, Ranks& ranks) {
  TokenizerSpec spec;
  spec.byte_level = true;
  std::map<std::string, bool> known;
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(token_text_of_bytes(std::string(1, static_cast<char>(byte))));
    known[spec.tokens.back()] = true;
  }
  while (spec.merges.size() < 60) {  // each joins two neighbours in a word as it is merged by then
    const auto symbols = merged(in_bytes(random_word(rng, rng.next_u32() % 2 == 0)), ranks);
    if (symbols.size() < 2) continue;
    const size_t at = rng.next_u32() % (symbols.size() - 1);
    const std::string joined = symbols[at] + symbols[at + 1];
    if (!ranks.emplace(std::pair(symbols[at], symbols[at + 1]), spec.merges.size()).second)
      continue;
    spec.merges.emplace_back(symbols[at], symbols[at + 1]);
    if (!std::exchange(known[joined], true)) spec.tokens.push_back(joined);
  }
  return spec;
}

TEST(HangulStarts, NeverChangeTheIds) {
  Rng rng(7);
  int merged_words = 0;
  for (int model_number = 0; model_number < 60; ++model_number) {
    Ranks ranks;
    const TokenizerSpec spec = random_model(rng, ranks);
    const BpeModel model = BpeModel::build(spec).value();
    for (int i = 0; i < 200; ++i) {
      const std::string word = random_word(rng, i % 2 == 0);
      const auto expected = merged(in_bytes(word), ranks);
      std::vector<TokenId> ids;
      std::vector<size_t> ends;
      model.encode_traced(word, ids, ends);
      std::vector<std::string> got;
      for (const TokenId id : ids) got.push_back(spec.tokens[static_cast<size_t>(id)]);
      ASSERT_EQ(got, expected) << "model " << model_number << ", word " << word;
      EXPECT_EQ(ends.back(), word.size());
      merged_words += expected.size() < in_bytes(word).size();
    }
  }
  EXPECT_GT(merged_words, 10000);
}

// "나한" becomes one before "가" is put together, so "가나" may not.
TEST(HangulStarts, ASyllableThatIsFinishedLateIsNotThereEarly) {
  TokenizerSpec spec;
  spec.byte_level = true;
  for (int byte = 0; byte < 256; ++byte)
    spec.tokens.push_back(token_text_of_bytes(std::string(1, static_cast<char>(byte))));
  Ranks ranks;
  const auto add = [&](const std::string& left, const std::string& right) {
    const std::string l = token_text_of_bytes(left), r = token_text_of_bytes(right);
    ranks[{l, r}] = spec.merges.size();
    spec.merges.emplace_back(l, r);
    if (std::ranges::find(spec.tokens, l + r) == spec.tokens.end()) spec.tokens.push_back(l + r);
  };
  const std::string b = "가", c = "나", d = "한";
  for (const std::string& s : {c, d})
    add(s.substr(0, 1), s.substr(1, 1)), add(s.substr(0, 2), s.substr(2));
  spec.tokens.push_back(token_text_of_bytes(b));  // made by the last merge only
  add(b, c), add(c, d);
  add(b.substr(0, 1), b.substr(1, 1)), add(b.substr(0, 2), b.substr(2));
  const BpeModel model = BpeModel::build(spec).value();
  std::vector<TokenId> ids;
  model.encode(b + c + d, ids);
  std::vector<std::string> got;
  for (const TokenId id : ids) got.push_back(spec.tokens[static_cast<size_t>(id)]);
  EXPECT_EQ(got, merged(in_bytes(b + c + d), ranks));
}

}  // namespace
}  // namespace sllm
