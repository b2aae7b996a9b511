// Files that make much of little, or search without end: each is refused with a sentence, in time.
#include "text/text_budget.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "text/charsmap.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace sllm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json tokenizer() {
  return {{"added_tokens", json::array({{{"id", 2}, {"content", "<x>"}, {"special", true}}})},
          {"model", {{"type", "BPE"}, {"vocab", {{"A", 0}, {"B", 1}}}, {"merges", json::array()}}}};
}

Result<std::shared_ptr<const Tokenizer>> load(const json& file) {
  TokenizerSource source;
  source.tokenizer_json = file.dump();
  return Tokenizer::load(source);
}

json replace(const std::string& what, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", {{"String", what}}}, {"content", content}};
}

json sequence(const char* of, const json& step, int count) {
  json steps = json::array();
  for (int i = 0; i < count; ++i) steps.push_back(step);
  return {{"type", "Sequence"}, {of, steps}};
}

std::string error_of(const Tokenizer& t, const std::string& text) {
  try {
    t.encode(text);
  } catch (const ResultError& e) {
    EXPECT_EQ(e.error.code, ErrorCode::kBadInput);
    return e.error.message;
  }
  return "no error";
}

TEST(TextBudget, NormalizersThatDoubleEnd) {
  json file = tokenizer();
  file["normalizer"] = sequence("normalizers", replace("A", "AA"), 40);
  EXPECT_THAT(error_of(**load(file), "A"), HasSubstr("of the tokenizer's normalizer (Replace)"));
  file["normalizer"] = sequence("normalizers", {{"type", "Prepend"}, {"prepend", "AB"}}, 40);
  EXPECT_EQ((*load(file))->encode("A").size(), 81u);
}

// Between added tokens there are many texts, but it is one budget.
TEST(TextBudget, IsThatOfTheWholeText) {
  json file = tokenizer();
  file["normalizer"] = sequence("normalizers", replace("A", "AA"), 15);
  const auto t = load(file).value();
  EXPECT_EQ(t->encode("A").size(), 32768u);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "A<x>";
  EXPECT_THAT(error_of(*t, text), HasSubstr("makes too much"));
}

TEST(TextBudget, PreTokenizersThatDoubleEnd) {
  json file = tokenizer();
  const json cut = {{"type", "Split"}, {"pattern", {{"String", "A"}}}, {"behavior", "Isolated"}};
  const json grow = {{"type", "Metaspace"}, {"replacement", "AB"}};
  json steps = json::array();
  for (int i = 0; i < 40; ++i) steps.push_back(i % 2 == 0 ? grow : cut);
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
  EXPECT_THAT(error_of(**load(file), "B"), HasSubstr("pre-tokenizer (Metaspace)"));
}

TEST(TextBudget, DecodersThatDoubleAreRefusedWithTheToken) {
  json file = tokenizer();
  file["decoder"] = sequence("decoders", replace("A", "AA"), 40);
  const auto refused = load(file);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("token \"A\": step"));
  file["decoder"] = sequence("decoders", replace("A", "AA"), 18);
  EXPECT_THAT(load(file).error().message, HasSubstr("token \"A\": the steps make 262144 bytes"));
}

TEST(TextBudget, LongTextsAndManyStepsAreRefused) {
  json file = tokenizer();
  const std::string text(1'000'000, 'A');
  for (const json& step : {replace("A", text), {{"type", "Prepend"}, {"prepend", text}}}) {
    file["normalizer"] = step;
    EXPECT_THAT(load(file).error().message, HasSubstr("has 1000000 bytes"));
  }
  EXPECT_FALSE(Decoder::build({ReplaceDecode{"A", text}}).ok());
  EXPECT_FALSE(Normalizer::build(std::vector<NormalizerStep>(257, LowercaseStep{})).ok());
  EXPECT_FALSE(PreTokenizer::build(std::vector<PreTokenizerStep>(257, DigitsStep{})).ok());
  EXPECT_FALSE(Decoder::build(std::vector<DecoderStep>(257, FuseDecode{})).ok());
}

TEST(TextBudget, SlowPatternsEnd) {
  for (const char* pattern : {"(?=A*B)A", "(?=(A+))\\1*!B"}) {
    const auto t = PreTokenizer::build({SplitStep{pattern}}).value();
    const std::string text = std::string(1'000'000, 'A') + "B";
    TextBudget budget(text.size(), 1);
    EXPECT_THROW(t.split({text, 0, nullptr, &budget}, false, [](const Piece&) {}), ResultError);
  }
}

TEST(Regex, FindsAcrossThePartsOfASearch) {
  const Regex after = Regex::compile("(?<=\\w)\\s*xyz$").value();
  const Regex end = Regex::compile("(?!.)").value();
  for (const size_t count : {1, 127, 128, 129, 383, 384, 385, 2047, 2048, 5000, 100'000}) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += "\u00E9";
    const size_t at = text.size();
    text += " xyz";
    EXPECT_EQ(after.find(text, 0), std::pair(at, at + 4));
    EXPECT_EQ(end.find(text, 0), std::pair(at + 4, at + 4));
    EXPECT_EQ(after.find(text + "z", 0).first, std::string::npos);
  }
}

TEST(Regex, RefusesWhatPartsWouldChange) {
  EXPECT_FALSE(Regex::compile("\\Ga").ok());
  EXPECT_FALSE(Regex::compile("a(*SKIP)b|a").ok());
  EXPECT_TRUE(Regex::compile("\\\\G[(*]\\(*[[:alpha:](*]").ok());
}

TEST(TextBudget, LongTokensAreRefused) {
  json file = tokenizer();
  file["model"]["vocab"][std::string(4096, 'A')] = 3;
  EXPECT_TRUE(load(file).ok());
  file["model"]["vocab"][std::string(4097, 'A')] = 4;
  EXPECT_THAT(load(file).error().message, HasSubstr("token 4 has 4097 bytes"));
  file = tokenizer();
  file["added_tokens"][0]["content"] = std::string(60'000, 'A') + "B";
  EXPECT_THAT(load(file).error().message, HasSubstr("token 2 has 60001 bytes"));
  file = tokenizer();
  file["model"]["end_of_word_suffix"] = std::string(60'000, 'A');
  EXPECT_FALSE(load(file).ok());
}

// A rule that has no end, and a replacement that is long.
TEST(Charsmap, RulesAndReplacementsEnd) {
  const auto map_of = [](const std::string& replacement) {
    std::string blob(4 + 4 * 256, '\0');
    blob[1] = 4;                                   // 1024 bytes of units, all but one of them 0
    blob.replace(4 + 4 * 'A', 3, "A\x05\x01", 3);  // by 'A' back to the first, with a leaf
    return Charsmap::read(blob + replacement);
  };
  EXPECT_FALSE(map_of(std::string(5000, 'x')).ok());
  const Charsmap map = map_of(std::string(100, 'x')).value();
  EXPECT_LE(map.longest(std::string(1'000'000, 'A')).length, Charsmap::kMaxRule);
}

TEST(Decoder, LongTextsDecodeInTimeThatGrowsWithThem) {
  const std::vector<std::string_view> tokens(1'000'000, "\u2581a .");
  const StripDecode strip{"a.", 999'999, 0};
  const auto t =
      Decoder::build({FuseDecode{}, MetaspaceDecode{}, WordPieceDecode{}, strip}).value();
  EXPECT_EQ(t.decode(tokens), "a.");
}

}  // namespace
}  // namespace sllm
