// Every kind of tokenizer as GGUF and as tokenizer.json: the same ids, and a sentence where a form
// has no words.
#include "text/tokenizer_convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/tiny_tokenizer.h"
#include "support/tokenizer_samples.h"
#include "text/base64.h"
#include "text/tokenizer_writers.h"

namespace sllm {
namespace {

using namespace testing::samples;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelConfig sized(int64_t V) {
  ModelConfig config;
  config.V = V;
  config.max_context = 64;
  return config;
}

TokenizerSource json_source(const json& file, const json& config = json::object()) {
  TokenizerSource source;
  source.tokenizer_json = file.dump();
  source.tokenizer_config_json = config.dump();
  return source;
}

// The same ids with and without the tokens around a text; those that the file marks as tokens too.
void expect_same_ids(const TokenizerSource& a, const TokenizerSource& b,
                     std::initializer_list<const char*> texts) {
  const auto x = Tokenizer::load(a).value(), y = Tokenizer::load(b).value();
  for (const std::string text : texts)
    for (const bool special : {false, true})
      EXPECT_EQ(x->encode(text, {.add_special = special}),
                y->encode(text, {.add_special = special}))
          << text;
}

// file -> GGUF -> tokenizer.json -> GGUF; returns the first GGUF form.
TokenizerSource::Gguf there_and_back(const TokenizerSource& source, int64_t V,
                                     std::initializer_list<const char*> texts) {
  const TokenizerSource gguf = tokenizer_for_gguf(source, sized(V)).value();
  const TokenizerSource json = tokenizer_for_folder(gguf, "{{ x }}", sized(V)).value();
  const TokenizerSource again = tokenizer_for_gguf(json, sized(V)).value();
  EXPECT_EQ(std::ssize(gguf.gguf->tokens), V);
  for (const TokenizerSource* other : {&gguf, &json, &again})
    expect_same_ids(source, *other, texts);
  EXPECT_EQ(again.gguf->model, gguf.gguf->model);
  EXPECT_EQ(again.gguf->tokens, gguf.gguf->tokens);
  EXPECT_EQ(again.gguf->types, gguf.gguf->types);
  return *gguf.gguf;
}

TEST(TokenizerConvert, SentencePieceBpe) {
  const auto gguf = there_and_back(file_source("tokenizer.model", llama_like()), 268,
                                   {"ab", "bab  a", "한🙂 ab"});
  EXPECT_EQ(gguf.model, "llama");
  EXPECT_EQ(gguf.scores[259], 0);   // "▁a", as in the file
  EXPECT_EQ(gguf.scores[260], -1);  // "ab"
  EXPECT_EQ(gguf.types[0], 2);
  EXPECT_EQ(gguf.types[1], 3);
  EXPECT_EQ(gguf.types[3], 6);
  EXPECT_EQ(gguf.tokens[267], "[PAD267]");
  EXPECT_EQ(gguf.types[267], 5);
  EXPECT_TRUE(gguf.merges.empty());
  EXPECT_EQ(gguf.add_bos, true);
  EXPECT_EQ(gguf.add_space_prefix, true);
}

TEST(TokenizerConvert, SentencePieceUnigram) {
  std::string file = special_pieces() + piece("▁", -2) + piece("a", -2) + piece("b", -2) +
                     piece("ab", -3.5) + piece("▁a", -5) + trainer(1, false);
  const auto gguf =
      there_and_back(file_source("tokenizer.model", file), 8, {"ab", "  a  xy ", "ba ab"});
  EXPECT_EQ(gguf.model, "t5");
  EXPECT_EQ(gguf.remove_extra_spaces, true);
  EXPECT_EQ(gguf.scores[6], -3.5f);
}

TEST(TokenizerConvert, MergesOfTokenizerJsonBecomeScoresWhereTheyCan) {
  const auto gguf = there_and_back(json_source(char_bpe()), 8, {"ab a", "é b", "한글b"});
  EXPECT_EQ(gguf.model, "llama");
  EXPECT_EQ(gguf.scores[5], -1);  // "ab" is merged first
  EXPECT_EQ(gguf.scores[4], -2);
  EXPECT_THAT(gguf.merges, ElementsAre("a b", "▁ a"));
  EXPECT_EQ(gguf.types[6], 6);
}

TEST(TokenizerConvert, MergesThatNoScoresGiveKeepTheirRanks) {
  json file = char_bpe();
  file["model"]["vocab"]["▁ab"] = 8;  // "▁" with "ab" only, although "▁a" with "b" would be it too
  file["model"]["merges"].push_back(json::array({"▁", "ab"}));
  const auto gguf = there_and_back(json_source(file), 9, {"ab a", "é ab"});
  EXPECT_EQ(gguf.model, "gemma4");
  EXPECT_TRUE(gguf.scores.empty());
}

TEST(TokenizerConvert, GemmasSpacesAreReplacedOnceAndTheSplitIsNone) {
  json file = char_bpe();
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"String", " "}}},
                           {"behavior", "MergedWithPrevious"},
                           {"invert", false}};
  file["added_tokens"] = json::array({{{"id", 8}, {"content", "<end_of_turn>"}, {"special", true}},
                                      {{"id", 9}, {"content", "▁▁"}, {"normalized", true}}});
  file["model"]["vocab"]["▁▁"] = 9;
  const TokenizerSource source = json_source(file, {{"eos_token", "<end_of_turn>"}});
  const auto gguf = there_and_back(source, 10, {"ab a", "a  b", "a<end_of_turn>"});
  EXPECT_EQ(gguf.add_space_prefix, false);
  EXPECT_EQ(gguf.eos_id, 8);
  EXPECT_EQ(gguf.types[8], 3);
  EXPECT_EQ(gguf.tokens[9], "  ");  // matched before spaces are replaced
  EXPECT_EQ(gguf.types[9], 4);
}

TEST(TokenizerConvert, WordPiece) {
  const std::string vocabulary =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\ncafe\n!\n한\n";
  const auto gguf = there_and_back(file_source("vocab.txt", vocabulary), 11,
                                   {"Unaffable!", "CAFÉ xyz", "[MASK] 한"});
  EXPECT_EQ(gguf.model, "bert");
  EXPECT_EQ(gguf.tokens[5], "▁un");
  EXPECT_EQ(gguf.tokens[6], "aff");
  EXPECT_EQ(gguf.tokens[2], "[CLS]");
  EXPECT_EQ(gguf.bos_id, 2);
  EXPECT_EQ(gguf.separator_id, 3);
}

TEST(TokenizerConvert, WhatGgufOnlyComesNearToIsKeptBeside) {
  TokenizerSource cased = file_source("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\nhello\n");
  cased.tokenizer_config_json = R"({"do_lower_case": false})";
  EXPECT_NE(there_and_back(cased, 6, {"Hello un", "HÉ un"}).steps, "");

  json file = char_bpe();
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  file["added_tokens"] = json::array(
      {{{"id", 8}, {"content", "<m>"}, {"special", true}, {"lstrip", true}, {"rstrip", true}}});
  const auto gguf = there_and_back(json_source(file), 9, {"a<m>a", "ab <m>  ab"});
  EXPECT_EQ(gguf.add_space_prefix, true);  // for other programs
  EXPECT_THAT(gguf.steps, HasSubstr("first"));

  TokenizerSource plain;
  plain.gguf = testing::tiny_tokenizer();
  const TokenizerSource folder = tokenizer_for_folder(plain, "", sized(320)).value();
  EXPECT_EQ(tokenizer_for_gguf(folder, sized(320)).value().gguf->steps, "");
}

TEST(TokenizerConvert, WhatGgufSaysItselfIsNotKeptBeside) {
  json file = char_bpe();
  file["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                    {{"type", "ByteFallback"}},
                    {{"type", "Fuse"}},
                    {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}};
  EXPECT_EQ(there_and_back(json_source(file), 8, {"ab a", "é b"}).steps, "");
}

TEST(TokenizerConvert, MarkersStayWhatTheirFileCallsThem) {
  json file = char_bpe();
  file["added_tokens"] = json::array({{{"id", 8}, {"content", "<|sep|>"}, {"special", false}}});
  const TokenizerSource source = json_source(file);
  const auto gguf = there_and_back(source, 9, {"a<|sep|>a"});
  EXPECT_EQ(gguf.types[8], 3);  // a control token for other programs
  TokenizerSource back;
  back.gguf = gguf;
  const EncodeOptions plain{.parse_special = false};
  EXPECT_EQ(Tokenizer::load(back).value()->encode("a<|sep|>", plain),
            Tokenizer::load(source).value()->encode("a<|sep|>", plain));
}

TEST(TokenizerConvert, UnigramTextNeverBecomesASpecialToken) {
  const std::string file = special_pieces() + piece("▁", -2) + piece("a", -2) + piece("<", -3) +
                           piece("/", -3) + piece("s", -3) + piece(">", -3) + trainer(1, false);
  const TokenizerSource source = file_source("tokenizer.model", file);
  const auto gguf = tokenizer_for_gguf(source, sized(12)).value();
  const auto folder = tokenizer_for_folder(gguf, "", sized(12)).value();
  for (const TokenizerSource* s : {&source, &gguf, &folder})
    EXPECT_EQ(Tokenizer::load(*s).value()->encode("</s>", {.parse_special = false}).size(), 5u);
}

TEST(TokenizerConvert, CutsWithoutEndAreRefused) {
  TokenizerSpec spec;
  spec.merge_by_score = true;
  spec.scores = {0}, spec.tokens = {"a"};
  for (int length = 2; length < 3000; ++length) {
    spec.tokens.push_back(std::string(static_cast<size_t>(length), 'a'));
    spec.scores.push_back(-length);
  }
  EXPECT_THAT(merges_of_scores(spec).error().message, HasSubstr("too many ways"));
}

TEST(TokenizerConvert, BrokenTextOfOthersIsRefused) {
  TokenizerSource source;
  source.gguf = testing::tiny_tokenizer();
  EXPECT_THAT(tokenizer_for_folder(source, "\xFF", sized(320)).error().message,
              HasSubstr("chat template is not UTF-8"));
  source = tokenizer_for_gguf(file_source("tokenizer.model", llama_like()), sized(265)).value();
  source.gguf->scores[260] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Tokenizer::load(source).error().message, HasSubstr("scores[260]"));
  for (const char* decoder :
       {R"({"type": "Metaspace", "replacement": ""})", R"({"type": "BPEDecoder", "suffix": ""})",
        R"({"type": "Strip", "content": "", "start": 9000000000})"}) {
    json file = char_bpe();
    file["decoder"] = json::parse(decoder);
    EXPECT_THAT(Tokenizer::load(json_source(file)).error().message, HasSubstr("is empty"));
  }
}

TEST(TokenizerConvert, BrokenStepsAreRefused) {
  const auto says = [](const char* steps, const char* what) {
    TokenizerSource source;
    source.gguf = testing::tiny_tokenizer();
    source.gguf->steps = steps;
    const auto loaded = Tokenizer::load(source);
    ASSERT_FALSE(loaded.ok()) << steps;
    EXPECT_THAT(loaded.error().to_string(), HasSubstr("sllm.tokenizer.steps"));
    EXPECT_THAT(loaded.error().to_string(), HasSubstr(what));
  };
  says("[", "not a JSON object");
  says("{}", "does not fit tokenizer.ggml.model");
  says(R"({"normalizer": {"type": "Magic"}})", "Magic");
  says(R"({"normalizer": "NFC"})", "normalizer is not an object");
  says(R"({"added_tokens": {}, "pre_tokenizer": {"type": "ByteLevel"}})",
       "added_tokens is not a list");
  says(R"({"pre_tokenizer": {"type": "ByteLevel"},
           "added_tokens": [{"id": 9999, "content": "x"}]})",
       "token 9999");
}

std::string tiktoken_of_bytes() {
  std::string file;
  for (int byte = 0; byte < 256; ++byte)
    file += fmt::format("{} {}\n", encode_base64(std::string(1, static_cast<char>(byte))), byte);
  int rank = 256;
  for (const char* token : {"ab", "bc", "abc", " a", "he", "hell"})
    file += fmt::format("{} {}\n", encode_base64(token), rank++);
  return file;
}

TEST(TokenizerConvert, TiktokenRanksBecomeMerges) {
  TokenizerSource source = file_source("qwen.tiktoken", tiktoken_of_bytes());
  // "hell" has no cut into two tokens: it is found whole, or not at all.
  const auto kept = tokenizer_for_gguf(source, sized(265));
  ASSERT_FALSE(kept.ok());  // Qwen's pattern with whole words first has no name in GGUF
  EXPECT_THAT(kept.error().message, HasSubstr("tokenizer.ggml.pre"));

  const TokenizerSource json = json_source(json::object());
  TokenizerSpec spec = read_tokenizer(source).value();
  const auto merges = merges_of_scores(spec).value();
  EXPECT_THAT(merges, ElementsAre(::testing::Pair("a", "b"), ::testing::Pair("b", "c"),
                                  ::testing::Pair("a", "bc"), ::testing::Pair("ab", "c"),
                                  ::testing::Pair("Ġ", "a"), ::testing::Pair("h", "e")));
  spec.ignore_merges = false;
  EXPECT_EQ(write_tokenizer_gguf(spec, 265).value().merges.size(), 6u);
}

TEST(TokenizerConvert, TekkenHasANameInGguf) {
  json vocabulary = json::array();
  int rank = 0;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.push_back({{"rank", rank++},
                          {"token_bytes", encode_base64(std::string(1, static_cast<char>(byte)))}});
  for (const char* token : {"ab", "abc", " a"})
    vocabulary.push_back({{"rank", rank++}, {"token_bytes", encode_base64(token)}});
  const json file = {{"config", {{"default_vocab_size", 262}, {"default_num_special_tokens", 3}}},
                     {"vocab", vocabulary}};
  const auto gguf = there_and_back(file_source("tekken.json", file.dump()), 262,
                                   {"abc abc", "</s>a", "HTTPServer 123"});
  EXPECT_EQ(gguf.pre, "tekken");
  EXPECT_EQ(gguf.add_bos, true);
}

TEST(TokenizerConvert, ByteLevelNamesStandForTheirSteps) {
  for (const char* pre : {"gpt-2", "smollm", "qwen2", "llama-bpe", "olmo", "kormo", "qwen35",
                          "dbrx", "gpt-4o", "smollm3", "glm4"}) {
    TokenizerSource source;
    source.gguf = testing::tiny_tokenizer();
    source.gguf->pre = pre;
    const TokenizerSource json = tokenizer_for_folder(source, "", sized(320)).value();
    const TokenizerSource back = tokenizer_for_gguf(json, sized(320)).value();
    expect_same_ids(source, back, {"hello the 12345 It'S", "  hell \n\n o 한글"});
  }
}

TEST(TokenizerConvert, WhatGgufHasNoWordsForIsRefused) {
  const auto refused = [](const json& file, const char* what) {
    const auto gguf = tokenizer_for_gguf(json_source(file, {{"bos_token", "▁"}}), sized(8));
    ASSERT_FALSE(gguf.ok()) << what;
    EXPECT_EQ(gguf.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(gguf.error().message, HasSubstr(what));
  };
  json file = char_bpe();
  file["normalizer"] = {{"type", "Lowercase"}};
  refused(file, "text is normalized as this tokenizer's does it");
  file = char_bpe();
  file["pre_tokenizer"] = {{"type", "Punctuation"}};
  refused(file, "pre-tokenizer");
  file = char_bpe();
  file["model"]["byte_fallback"] = false;
  refused(file, "a BPE without bytes");
  file = char_bpe();
  file["model"]["ignore_merges"] = true;
  refused(file, "whole words");
  file = char_bpe();
  file["post_processor"] = {
      {"type", "BertProcessing"}, {"cls", json::array({"a", 2})}, {"sep", json::array({"b", 3})}};
  refused(file, "a text begins with a");
  EXPECT_THAT(tokenizer_for_gguf(json_source(char_bpe()), sized(7)).error().message,
              HasSubstr("token \"<0xA9>\" has the id 7, but the model has 7 embeddings"));
}

TEST(TokenizerConvert, ThePatternOfALiteralTextIsThatText) {
  EXPECT_EQ(text_of_regex(regex_of_text("a.b (c)")), "a.b (c)");
  EXPECT_EQ(text_of_regex(" "), " ");
  for (const char* more : {" {2,}", "a|b", "\\d", ".", "[a]", "a\\"})
    EXPECT_EQ(text_of_regex(more), std::nullopt) << more;
}

TEST(Base64, IsItsOwnInverse) {
  for (const char* text : {"", "a", "ab", "abc", "\xFF\x80\x01z"})
    EXPECT_EQ(decode_base64(encode_base64(text)), text);
  EXPECT_EQ(encode_base64("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
}

}  // namespace
}  // namespace sllm
