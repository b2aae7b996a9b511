// A teacher with other tokens, on vocabularies small enough to reckon by hand.
#include "train/token_bridge.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

namespace sllm {
namespace {

using ::testing::ElementsAre;

// Words that it knows; a text is read longest word first. The last one is special.
class Words final : public Tokenizer {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}
  std::vector<TokenId> encode(std::string_view text, EncodeOptions) const override {
    std::vector<TokenId> ids;
    while (!text.empty()) {
      TokenId best = -1;
      for (TokenId id = 0; id < end(); ++id)
        if (text.starts_with(words_[static_cast<size_t>(id)]) &&
            (best < 0 || words_[static_cast<size_t>(id)].size() > token_bytes(best).size()))
          best = id;
      if (best < 0) return ids;  // the rest cannot be spelled
      ids.push_back(best);
      text.remove_prefix(token_bytes(best).size());
    }
    return ids;
  }
  EncodedText encode_marked(std::string_view, std::span<const uint8_t>) const override {
    return {};
  }
  std::string decode(std::span<const TokenId>, bool) const override { return ""; }
  std::string_view token_bytes(TokenId id) const override {
    return words_[static_cast<size_t>(id)];
  }
  std::string_view token_text(TokenId id) const override { return token_bytes(id); }
  bool is_special(TokenId id) const override { return id == end(); }
  TokenId id_of(std::string_view text) const override {
    for (TokenId id = 0; id <= end(); ++id)
      if (token_bytes(id) == text) return id;
    return -1;
  }
  int64_t vocab_size() const override { return std::ssize(words_); }
  TokenId bos_id() const override { return -1; }
  const std::vector<TokenId>& eos_ids() const override { return eos_; }
  TokenId end() const { return static_cast<TokenId>(words_.size()) - 1; }

 private:
  std::vector<std::string> words_;
  std::vector<TokenId> eos_{static_cast<TokenId>(words_.size()) - 1};
};

// An answer behind one token of a prompt, and how it ends.
Sample answer(const Words& words, std::string_view text) {
  Sample s;
  s.ids = {0};
  for (const TokenId id : words.encode(text, {})) s.ids.push_back(id);
  s.ids.push_back(words.end());
  s.targets.assign(s.ids.begin() + 1, s.ids.end());
  s.targets.push_back(-1);
  return s;
}

// Rows of a teacher that gives words their probabilities, two kept of each row.
TeacherRows rows_of(const Words& words, const std::vector<std::map<std::string, double>>& said) {
  TeacherRows rows;
  for (const auto& row : said) {
    double rest = 1;
    for (const auto& [word, p] : row) {
      rows.ids.push_back(words.id_of(word));
      rows.log_probs.push_back(static_cast<float>(std::log(p)));
      rest -= p;
    }
    rows.log_rest.push_back(static_cast<float>(std::log(rest)));
  }
  return rows;
}

// Of the student's row i, by its words; "?": nothing is said. "rest" as is.
std::map<std::string, double> row(const Words& words, const TeacherRows& rows, size_t i, size_t k) {
  if (std::isnan(rows.log_rest[i])) return {{"?", 1}};
  std::map<std::string, double> all{{"rest", std::exp(rows.log_rest[i])}};
  for (size_t c = i * k; c < (i + 1) * k; ++c)
    if (rows.ids[c] >= 0)
      all[std::string(words.token_bytes(rows.ids[c]))] = std::exp(rows.log_probs[c]);
  return all;
}

void expect_row(const std::map<std::string, double>& row,
                const std::map<std::string, double>& wanted) {
  for (const auto& [word, p] : wanted) {
    ASSERT_TRUE(row.contains(word)) << word;
    EXPECT_NEAR(row.at(word), p, 2e-6) << word;
  }
  EXPECT_EQ(row.size(), wanted.size());
}

struct Pair {
  std::shared_ptr<const Words> student, teacher;
  TokenBridge bridge{student, teacher, student->vocab_size()};
  TeacherRows translate(std::string_view text,
                        const std::vector<std::map<std::string, double>>& said, int64_t k = 3) {
    return bridge.translate(answer(*student, text), answer(*teacher, text), rows_of(*teacher, said),
                            2, k);
  }
};
Pair make(std::vector<std::string> student, std::vector<std::string> teacher) {
  return {std::make_shared<Words>(std::move(student)), std::make_shared<Words>(std::move(teacher))};
}

TEST(TokenBridge, OfTheSameTokensIsWhatWasSaid) {
  Pair p = make({"a", "b", "<end>"}, {"a", "b", "<end>"});
  const TeacherRows rows = p.translate(
      "ab", {{{"a", 0.5}, {"b", 0.3}}, {{"a", 0.25}, {"b", 0.7}}, {{"a", 0.1}, {"<end>", 0.8}}});
  expect_row(row(*p.student, rows, 0, 3), {{"a", 0.5}, {"b", 0.3}, {"rest", 0.2}});
  expect_row(row(*p.student, rows, 1, 3), {{"a", 0.25}, {"b", 0.7}, {"rest", 0.05}});
  expect_row(row(*p.student, rows, 2, 3), {{"a", 0.1}, {"<end>", 0.8}, {"rest", 0.1}});
}

TEST(TokenBridge, SpellsTheTeachersLongerTokens) {
  Pair p = make({"a", "b", "c", "<end>"}, {"ab", "ac", "c", "b", "<stop>"});
  EXPECT_THAT(p.bridge.spelling(0), ElementsAre(0, 1));
  EXPECT_THAT(p.bridge.spelling(4), ElementsAre(3));  // both end an answer
  const TeacherRows rows = p.translate(
      "abc",
      {{{"ab", 0.6}, {"ac", 0.2}}, {{"c", 0.5}, {"<stop>", 0.1}}, {{"c", 0.1}, {"<stop>", 0.7}}});
  // Both of its words begin with the student's "a"; behind it the second letters are what is left.
  expect_row(row(*p.student, rows, 0, 3), {{"a", 0.8}, {"rest", 0.2}});
  expect_row(row(*p.student, rows, 1, 3), {{"b", 0.75}, {"c", 0.25}, {"rest", 1e-6}});
  expect_row(row(*p.student, rows, 2, 3), {{"c", 0.5}, {"<end>", 0.1}, {"rest", 0.4}});
  expect_row(row(*p.student, rows, 3, 3), {{"c", 0.1}, {"<end>", 0.7}, {"rest", 0.2}});
}

TEST(TokenBridge, MultipliesTheTeachersShorterTokens) {
  Pair p = make({"a", "ab", "b", "abc", "<end>"}, {"a", "b", "c", "bc", "<end>"});
  const TeacherRows whole = p.translate(
      "ab", {{{"a", 0.8}, {"b", 0.1}}, {{"b", 0.5}, {"c", 0.3}}, {{"a", 0.1}, {"<end>", 0.8}}});
  // "ab" is 0.8 x 0.5; what is left of "a" is the student's own "a".
  expect_row(row(*p.student, whole, 0, 3), {{"a", 0.4}, {"ab", 0.4}, {"b", 0.1}, {"rest", 0.1}});
}

TEST(TokenBridge, KeepsTheLikeliest) {
  Pair p = make({"a", "ab", "b", "<end>"}, {"a", "b", "<end>"});
  const TeacherRows rows = p.translate(
      "ab", {{{"a", 0.8}, {"b", 0.1}}, {{"b", 0.25}, {"a", 0.3}}, {{"a", 0.1}, {"<end>", 0.8}}}, 1);
  expect_row(row(*p.student, rows, 0, 1), {{"a", 0.6}, {"rest", 0.4}});
  expect_row(row(*p.student, rows, 1, 1), {{"<end>", 0.8}, {"rest", 0.2}});
}

TEST(TokenBridge, SaysNothingWhereNoTokensMeet) {
  // "abc": the student's tokens are a|bc, the teacher's ab|c.
  Pair p = make({"a", "bc", "<end>"}, {"ab", "c", "<end>"});
  const TeacherRows rows = p.translate(
      "abc", {{{"ab", 0.9}, {"c", 0.05}}, {{"c", 0.5}, {"ab", 0.3}}, {{"c", 0.1}, {"<end>", 0.8}}});
  EXPECT_TRUE(p.bridge.spelling(0).empty());  // "ab" cannot be spelled in a, bc
  expect_row(row(*p.student, rows, 1, 3), {{"?", 1}});
  expect_row(row(*p.student, rows, 2, 3), {{"<end>", 0.8}, {"rest", 0.2}});
  // Where the texts part, nothing is said any more.
  const TeacherRows other = p.bridge.translate(
      answer(*p.student, "aa"), answer(*p.teacher, "c"),
      rows_of(*p.teacher, {{{"ab", 0.5}, {"c", 0.3}}, {{"c", 0.1}, {"<end>", 0.8}}}), 2, 2);
  expect_row(row(*p.student, other, 1, 2), {{"?", 1}});
  expect_row(row(*p.student, other, 2, 2), {{"?", 1}});
}

TEST(TokenBridge, RewordsAnAnswer) {
  Pair p = make({"a", "b", "<end>"}, {"x", "ab", "b", "<stop>"});
  const Sample theirs = answer(*p.teacher, "bb"), own = answer(*p.student, "ab");
  const Sample reworded = p.bridge.reworded(theirs, own);
  EXPECT_THAT(reworded.ids, ElementsAre(0, 1, 3));
  EXPECT_THAT(reworded.targets, ElementsAre(1, 3, -1));
}

}  // namespace
}  // namespace sllm
