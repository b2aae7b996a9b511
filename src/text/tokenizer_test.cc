// Tokenizers: loading, ids, special tokens, streaming, broken files.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "support/tokenizer_samples.h"
#include "text/bpe_model.h"
#include "text/byte_level.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

using nlohmann::json;
using testing::samples::load_json;
using testing::samples::small_tokenizer;

TokenizerSource gguf_of(const json& tokenizer, const std::string& pre) {
  TokenizerSource source;
  source.gguf.emplace();
  source.gguf->model = "gpt2";
  source.gguf->pre = pre;
  source.gguf->tokens.resize(tokenizer["model"]["vocab"].size() + 3);
  source.gguf->types.assign(source.gguf->tokens.size(), 1);
  for (const auto& [text, id] : tokenizer["model"]["vocab"].items())
    source.gguf->tokens[id.get<size_t>()] = text;
  for (const auto& token : tokenizer["added_tokens"]) {
    source.gguf->tokens[token["id"].get<size_t>()] = token["content"];
    source.gguf->types[token["id"].get<size_t>()] = token["special"] ? 3 : 4;
  }
  for (const auto& merge : tokenizer["model"]["merges"])
    source.gguf->merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return source;
}

std::vector<std::string> texts(const Tokenizer& t, const std::vector<TokenId>& ids) {
  std::vector<std::string> result;
  for (const TokenId id : ids) result.emplace_back(t.token_bytes(id));
  return result;
}
using Texts = std::vector<std::string>;

TEST(Tokenizer, MergesByRankWithinWords) {
  const auto t = load_json(small_tokenizer()).value();
  EXPECT_EQ(texts(*t, t->encode("hello hello")), (Texts{"hello", " hello"}));
  EXPECT_EQ(texts(*t, t->encode("hell")), (Texts{"hell"}));
  EXPECT_EQ(texts(*t, t->encode("aaaaa")), (Texts{"aaaa", "a"}));
}

TEST(Tokenizer, LongWordsMergeLikeShortOnes) {
  const auto t = load_json(small_tokenizer()).value();
  const std::vector<TokenId> ids = t->encode(std::string(4001, 'a'));
  ASSERT_EQ(ids.size(), 1001u);
  EXPECT_EQ(t->token_bytes(ids.front()), "aaaa");
  EXPECT_EQ(t->token_bytes(ids.back()), "a");
}

TEST(Tokenizer, GgufAndJsonGiveTheSameIds) {
  const json file = small_tokenizer();
  const auto a = load_json(file).value();
  const auto b = Tokenizer::load(gguf_of(file, "gpt-2")).value();
  const std::string text = "hello <|im_start|>héllo\n 한글 12<think>";
  EXPECT_EQ(a->encode(text), b->encode(text));
}

TEST(Tokenizer, SmolLmSplitsDigits) {
  TokenizerSource source = gguf_of(small_tokenizer(), "smollm");
  source.gguf->tokens.push_back("12");
  source.gguf->types.push_back(1);
  source.gguf->merges.push_back("1 2");
  EXPECT_EQ(Tokenizer::load(source).value()->encode("12").size(), 2u);
  source.gguf->pre = "gpt-2";
  EXPECT_EQ(Tokenizer::load(source).value()->encode("12").size(), 1u);
}

TEST(Tokenizer, QwenNormalizesToNfc) {
  const auto t = Tokenizer::load(gguf_of(small_tokenizer(), "qwen2")).value();
  EXPECT_EQ(t->decode(t->encode("e\xCC\x81")), "é");
}

TEST(Tokenizer, SpecialTokensOnlyWhereAsked) {
  const auto t = load_json(small_tokenizer()).value();
  const TokenId end = t->id_of("<|im_end|>");
  EXPECT_EQ(t->encode("<|im_end|>"), std::vector<TokenId>{end});
  EXPECT_EQ(t->encode("<|im_end|>", {.parse_special = false}).size(), 10u);
  // Added but not special: found in any text, as in Hugging Face's library.
  EXPECT_EQ(t->encode("<think>", {.parse_special = false}).size(), 1u);
  const std::string twice = "<|im_end|><|im_end|>";
  std::vector<uint8_t> plain(twice.size(), 0);
  plain[3] = 1;
  const EncodedText encoded = t->encode_marked(twice, plain);
  EXPECT_EQ(std::ranges::count(encoded.ids, end), 1);
  EXPECT_EQ(encoded.ids.back(), end);
  EXPECT_EQ(encoded.ends.back(), twice.size());
}

TEST(Tokenizer, EndsFollowNormalizedText) {
  json file = small_tokenizer();
  file["normalizer"] = {{"type", "NFC"}};
  const auto t = load_json(file).value();
  const std::string text = "e\xCC\x81x";  // é is made of 3 bytes and becomes 2
  const EncodedText encoded = t->encode_marked(text, std::vector<uint8_t>(text.size(), 1));
  EXPECT_EQ(encoded.ends, (std::vector<size_t>{3, 3, 4}));
}

TEST(Tokenizer, AddsThePostProcessorsTokensOnRequest) {
  json file = small_tokenizer();
  const json special = {{"SpecialToken", {{"id", "<|im_start|>"}, {"type_id", 0}}}};
  const json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", json::array({special, sequence})},
      {"special_tokens",
       {{"<|im_start|>", {{"id", "<|im_start|>"}, {"ids", json::array({263})}}}}}};
  const auto t = load_json(file).value();
  EXPECT_EQ(t->encode("l", {.add_special = true}), t->encode("<|im_start|>l"));
  EXPECT_EQ(t->encode("l").size(), 1u);
}

TEST(Tokenizer, KnowsWhichTokensEndAnAnswer) {
  const auto t = load_json(small_tokenizer(), R"({"eos_token": {"content": "<|im_end|>"},
                      "bos_token": "<|im_start|>", "model_max_length": 1000000000000000019884624838656})")
                     .value();
  EXPECT_EQ(t->eos_ids(), std::vector<TokenId>{t->id_of("<|im_end|>")});
  EXPECT_EQ(t->bos_id(), t->id_of("<|im_start|>"));
}

TEST(Tokenizer, TakesAnyBytes) {
  const auto t = load_json(small_tokenizer()).value();
  EXPECT_EQ(t->decode(t->encode(std::string("a\0b", 3))), std::string("a\0b", 3));
  EXPECT_EQ(t->decode(t->encode("\xFF\xED\xA0\x80z")),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(t->decode(t->encode("\xE2\x82")), "\xEF\xBF\xBD");
}

TEST(StreamDecoder, NeverSplitsACharacter) {
  const auto t = load_json(small_tokenizer()).value();
  const std::string text = "한🙂a";
  StreamDecoder stream(t);
  std::string joined;
  for (const TokenId id : t->encode(text)) {
    const std::string piece = stream.push(id);
    EXPECT_TRUE(unicode::valid_utf8(piece));
    joined += piece;
  }
  EXPECT_EQ(joined + stream.finish(), text);
  stream.push(t->encode("한")[0]);
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(WordScanner, CutsAsThePatternDoes) {
  const std::string text =
      "Hello, y'all! I'LL  it's'S camelCase HTMLPage ǅuro e\u0301\u0301x \u0301 ABC'd a/b//\n 1234 "
      "a\u00a01½Ⅷ\r\n\n  x \t\n  \n한글 카드. 'ſ 𝒳!?\n\n\u3000ok  "
      " ";
  for (const char* pattern : {kGpt2Pattern, kLlama3Pattern, kQwen2Pattern, kQwen35Pattern,
                              kO200kPattern, kTekkenPattern}) {
    const auto words = [&](const std::string& regex) {
      std::vector<std::string> cut;
      PreTokenizer::build({SplitStep{regex}}).value().split({text}, false, [&](const Piece& word) {
        cut.emplace_back(word.text);
      });
      return cut;
    };
    ASSERT_TRUE(known_pattern(pattern));
    EXPECT_EQ(words(pattern), words(std::string("(?:") + pattern + ")")) << pattern;
  }
}

TEST(PreTokenizer, SplitBehavioursMatchTheLibrary) {
  const auto cut = [](SplitBehaviour behaviour) {
    Texts parts;
    PreTokenizer::build({SplitStep{"-", behaviour}})
        .value()
        .split({"the-final--countdown"}, false,
               [&](const Piece& word) { parts.emplace_back(word.text); });
    return parts;
  };
  // The examples of tokenizers' documentation of SplitDelimiterBehavior.
  EXPECT_EQ(cut(SplitBehaviour::kRemoved), (Texts{"the", "final", "countdown"}));
  EXPECT_EQ(cut(SplitBehaviour::kIsolated), (Texts{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(cut(SplitBehaviour::kMergedWithPrevious), (Texts{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(cut(SplitBehaviour::kMergedWithNext), (Texts{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(cut(SplitBehaviour::kContiguous), (Texts{"the", "-", "final", "--", "countdown"}));
}

TEST(PreTokenizer, StopsCatastrophicPatterns) {
  const auto t = PreTokenizer::build({SplitStep{"(a+)+$"}}).value();
  const std::string text = std::string(200, 'a') + "b";
  EXPECT_THROW(t.split({text}, false, [](const Piece&) {}), ResultError);
}

TEST(TokenizerGguf, RefusesWhatItDoesNotKnowByName) {
  TokenizerSource source = gguf_of(small_tokenizer(), "klingon");
  EXPECT_NE(Tokenizer::load(source).error().message.find("klingon"), std::string::npos);
  source.gguf->pre = "gpt-2";
  source.gguf->model = "rwkv";
  EXPECT_NE(Tokenizer::load(source).error().message.find("\"rwkv\""), std::string::npos);
}

TEST(TokenizerGguf, RefusesIdsAndArraysThatDoNotFit) {
  const TokenizerSource good = gguf_of(small_tokenizer(), "gpt-2");
  TokenizerSource bad = good;
  bad.gguf->eos_id = 100000;
  EXPECT_FALSE(Tokenizer::load(bad).ok());
  bad = good;
  bad.gguf->types.pop_back();
  EXPECT_FALSE(Tokenizer::load(bad).ok());
  bad = good;
  bad.gguf->merges.push_back("nospace");
  EXPECT_FALSE(Tokenizer::load(bad).ok());
  bad = good;
  bad.gguf->tokens[0] = "\xFF";
  EXPECT_FALSE(Tokenizer::load(bad).ok());
  EXPECT_TRUE(Tokenizer::load(good).ok());
}

TEST(TokenizerGguf, RefusesTokensThatAreNotOfTheirType) {
  const auto error_of = [](const std::string& text, int32_t type) {
    TokenizerSource source = gguf_of(small_tokenizer(), "gpt-2");
    source.gguf->tokens.push_back(text);
    source.gguf->types.push_back(type);
    const auto loaded = Tokenizer::load(source);
    return loaded.ok() ? "" : loaded.error().message;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(error_of("x y", 77), "token_type[266] is 77; expected 0 to 6"));
  EXPECT_TRUE(has(error_of("x y", -1), "token_type[266] is -1"));
  EXPECT_TRUE(has(error_of("<0x100>", 6), "tokens[266] is \"<0x100>\""));
  EXPECT_TRUE(has(error_of("<0xZZ>", 6), "tokens[266] is \"<0xZZ>\""));
  EXPECT_EQ(error_of("<0xFF>", 6), "");
  EXPECT_EQ(error_of("<0xZZ>", 1), "");
  EXPECT_EQ(error_of("x y", 0), "");  // as llama.cpp writes what it has no type for
}

TEST(TokenizerGguf, RefusesAVocabularyOfEmptyTokens) {
  TokenizerSource source;
  source.gguf.emplace();
  source.gguf->model = "gpt2";
  source.gguf->pre = "gpt-2";
  source.gguf->tokens.resize(48);
  EXPECT_EQ(Tokenizer::load(source).error().message, "all tokenizer.ggml.tokens are empty");
}

}  // namespace
}  // namespace sllm
