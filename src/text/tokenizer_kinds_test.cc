// SentencePiece, Unigram, WordPiece, tiktoken and tekken: small models whose ids can be told by
// hand.
#include <gtest/gtest.h>

#include <cstring>

#include "support/tokenizer_samples.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

using nlohmann::json;
using namespace testing::samples;
using Texts = std::vector<std::string>;

Texts texts(const Tokenizer& t, const std::vector<TokenId>& ids) {
  Texts result;
  for (const TokenId id : ids) result.emplace_back(t.token_text(id));
  return result;
}

TEST(SentencePiece, MergesTheBestScoreFirst) {
  const auto t = load_file("tokenizer.model", llama_like()).value();
  EXPECT_EQ(texts(*t, t->encode("ab")), (Texts{"▁a", "b"}));  // not "▁", "ab"
  EXPECT_EQ(texts(*t, t->encode("bab")), (Texts{"▁", "b", "ab"}));
  EXPECT_EQ(texts(*t, t->encode("  a")), (Texts{"▁▁", "▁a"}));
  EXPECT_EQ(t->encode("a", {.add_special = true}).front(), t->id_of("<s>"));
}

TEST(SentencePiece, WhatItLacksBecomesBytesAndStreamsWhole) {
  const auto t = load_file("tokenizer.model", llama_like()).value();
  const std::vector<TokenId> ids = t->encode("a한🙂");
  EXPECT_EQ(ids.size(), 1u + 3 + 4);
  EXPECT_EQ(t->decode(ids), "a한🙂");
  for (const bool at_start : {false, true}) {
    StreamDecoder stream(t, true, at_start);
    std::string joined;
    for (const TokenId id : ids) {
      const std::string part = stream.push(id);
      EXPECT_EQ(part.find("\xEF\xBF\xBD"), std::string::npos);
      joined += part;
    }
    EXPECT_EQ(joined + stream.finish(), at_start ? "a한🙂" : " a한🙂");
  }
}

TEST(SentencePiece, ControlPiecesAreTokensOnlyWhereAllowed) {
  const auto t = load_file("tokenizer.model", llama_like()).value();
  EXPECT_EQ(t->encode("</s>"), std::vector<TokenId>{2});
  EXPECT_EQ(t->encode("</s>", {.parse_special = false}).size(), 5u);
}

TEST(SentencePiece, UnigramTakesTheLikeliestCut) {
  const std::string file = special_pieces() + piece("▁", -2) + piece("a", -2) + piece("b", -2) +
                           piece("ab", -3.5) + piece("▁a", -5) + trainer(1, false);
  const auto t = load_file("tokenizer.model", file).value();
  EXPECT_EQ(texts(*t, t->encode("ab")), (Texts{"▁", "ab"}));
  EXPECT_EQ(texts(*t, t->encode("  a  xy ")), (Texts{"▁", "a", "▁", "<unk>"}));
  EXPECT_EQ(t->decode(t->encode("ab a")), "ab a");
}

TEST(SentencePiece, BrokenFilesAreRefused) {
  const std::string good = llama_like();
  const auto says = [](const std::string& file, const char* what) {
    const auto loaded = load_file("tokenizer.model", file);
    ASSERT_FALSE(loaded.ok()) << what;
    EXPECT_NE(loaded.error().message.find(what), std::string::npos) << loaded.error().message;
  };
  says("", "no pieces");
  says(good.substr(0, 20), "are left");
  says("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "does not end");
  says(good + "\x0B", "wire type");
  says(good + piece("\xFF", 0), "not UTF-8");
  says(good + piece("x", 0, 9), "type of the piece");
  says(good + trainer(3, false), "model_type");
  says(good + bytes(2, std::string("\xC0\x02\xE0\x5D", 4)), "special id");
  says(good + bytes(3, bytes(2, std::string("\xFF\xFF\0\0", 4))), "precompiled_charsmap");
}

TEST(Charsmap, NeverReadsOutsideOfItsTable) {
  std::string blob(4 + 8, '\0');
  blob[0] = 8;
  std::memset(blob.data() + 4, 0xFF, 8);
  const Charsmap map = Charsmap::read(blob).value();
  for (int b = 0; b < 256; ++b)
    EXPECT_EQ(map.longest(std::string(3, static_cast<char>(b))).length, 0u);
}

TEST(WordPiece, TakesTheLongestPieceAndLowers) {
  const auto t =
      load_file("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\ncafe\n!\n한\n")
          .value();
  EXPECT_EQ(texts(*t, t->encode("Unaffable!")), (Texts{"un", "##aff", "##able", "!"}));
  EXPECT_EQ(texts(*t, t->encode("CAFÉ xyz")), (Texts{"cafe", "[UNK]"}));
  EXPECT_EQ(texts(*t, t->encode("un", {.add_special = true})), (Texts{"[CLS]", "un", "[SEP]"}));
  EXPECT_EQ(t->decode(t->encode("unaffable cafe!")), "unaffable cafe!");
}

TEST(WordPiece, GgufWritesTheSameVocabularyOtherwise) {
  TokenizerSource source;
  source.gguf.emplace();
  source.gguf->model = "bert";
  source.gguf->tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able"};
  const auto t = Tokenizer::load(source).value();
  EXPECT_EQ(t->encode("unaffable", {.add_special = true}), (std::vector<TokenId>{2, 4, 5, 6, 3}));
}

TEST(Tiktoken, RanksAreMergesAndIds) {
  // a b c ab bc abc; "abc" is a token although neither "ab" + "c" nor "a" + "bc" is listed first.
  const auto t =
      load_file("x.tiktoken", "YQ== 0\nYg== 1\nYw== 2\nYmM= 3\nYWI= 4\nYWJj 5\n").value();
  EXPECT_EQ(t->encode("abc"), std::vector<TokenId>{5});
  EXPECT_EQ(t->encode("abcab"), (std::vector<TokenId>{5, 4}));
  EXPECT_EQ(t->encode("bcc"), (std::vector<TokenId>{3, 2}));
  EXPECT_FALSE(load_file("x.tiktoken", "YQ== 0\n!! 1\n").ok());
  EXPECT_FALSE(load_file("x.tiktoken", "YQ== 99999999999\n").ok());
}

TEST(Tekken, SpecialTokensHaveTheFirstIds) {
  const json file = {
      {"config",
       {{"pattern", "[a-z]+"}, {"default_vocab_size", 6}, {"default_num_special_tokens", 3}}},
      {"vocab", json::array({{{"rank", 0}, {"token_bytes", "YQ=="}},
                             {{"rank", 1}, {"token_bytes", "Yg=="}},
                             {{"rank", 2}, {"token_bytes", "YWI="}},
                             {{"rank", 3}, {"token_bytes", "Yw=="}}})}};
  const auto t = load_file("tekken.json", file.dump()).value();
  EXPECT_EQ(t->vocab_size(), 6);
  EXPECT_EQ(t->encode("ab", {.add_special = true}), (std::vector<TokenId>{1, 5}));
  EXPECT_EQ(t->encode("</s>a"), (std::vector<TokenId>{2, 3}));
  EXPECT_FALSE(load_file("tekken.json", "{}").ok());
}

TEST(CharacterBpe, FallsBackToBytesThenToOneUnknown) {
  TokenizerSource source;
  source.tokenizer_json = char_bpe().dump();
  const auto t = Tokenizer::load(source).value();
  EXPECT_EQ(t->encode("ab a"), (std::vector<TokenId>{1, 5, 4}));
  EXPECT_EQ(t->encode("é"), (std::vector<TokenId>{1, 6, 7}));
  EXPECT_EQ(t->encode("한글b"), (std::vector<TokenId>{1, 0, 3}));
}

TEST(CharacterBpe, LongTextsAreCutOnlyWhereNoTokenCrosses) {
  json file = char_bpe();
  std::string text;
  for (int i = 0; i < 5000; ++i) text += i % 3 ? "ab " : "ba ";
  TokenizerSource source;
  source.tokenizer_json = file.dump();
  const auto cut = Tokenizer::load(source).value();
  // A token across a space: the same text must then merge over it.
  file["model"]["vocab"]["b▁"] = 8;
  file["model"]["merges"].insert(file["model"]["merges"].begin(), json::array({"b", "▁"}));
  source.tokenizer_json = file.dump();
  const auto crossing = Tokenizer::load(source).value();
  EXPECT_EQ(std::ranges::count(crossing->encode(text), 8), 2 * 5000 / 3);
  EXPECT_EQ(cut->encode(text).size(), 5000u * 2 + 5000 / 3 + 2);
}

TEST(CharacterBpe, AddedTokensMayBeNormalized) {
  json file = char_bpe();
  file["normalizer"] = {{"type", "Lowercase"}};
  file["added_tokens"] =
      json::array({{{"id", 8}, {"content", "AB"}, {"special", false}, {"normalized", true}}});
  file["decoder"] = {{"type", "Fuse"}};
  TokenizerSource source;
  source.tokenizer_json = file.dump();
  const auto t = Tokenizer::load(source).value();
  EXPECT_EQ(t->encode("aB"), std::vector<TokenId>{8});
  EXPECT_EQ(t->decode(std::vector<TokenId>{8}), "ab");  // as Hugging Face's library shows it
}

TEST(PreTokenizer, ScriptsAreCutApart) {
  json file = char_bpe();
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
  TokenizerSource source;
  source.tokenizer_json = file.dump();
  const auto t = Tokenizer::load(source).value();
  EXPECT_EQ(t->encode(" "), std::vector<TokenId>{});     // spaces in front are lost
  EXPECT_EQ(t->encode("🦙"), std::vector<TokenId>{});  // Unicode 11's, not in the table
  EXPECT_EQ(t->encode("ab한ab"), (std::vector<TokenId>{5, 0, 5}));
}

TEST(CharacterBpe, TracesTokensThroughItsNormalizer) {
  TokenizerSource source;
  source.tokenizer_json = char_bpe().dump();
  const auto t = Tokenizer::load(source).value();
  const std::string text = "ab é";
  const EncodedText encoded = t->encode_marked(text, std::vector<uint8_t>(text.size(), 1));
  EXPECT_EQ(encoded.ids, (std::vector<TokenId>{1, 5, 1, 6, 7}));
  EXPECT_EQ(encoded.ends.back(), text.size());
  EXPECT_EQ(encoded.ends[1], 2u);
  EXPECT_EQ(encoded.ends[2], 3u);
}

}  // namespace
}  // namespace sllm
