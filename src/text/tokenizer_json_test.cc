// What is malformed in tokenizer.json is refused by the name of its key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/tokenizer_samples.h"

namespace sllm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::samples::load_json;
using testing::samples::small_tokenizer;

struct Broken {
  const char* name;
  std::function<void(json&)> damage;
  const char* says;
};

// What is said of a file that must be refused.
std::string refusal_of(const json& file) {
  const auto loaded = load_json(file);
  if (loaded.ok()) return "it was accepted";
  EXPECT_EQ(loaded.error().code, ErrorCode::kBadInput);
  return loaded.error().message;
}

class BrokenTokenizerJson : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenTokenizerJson, IsRefusedWithASentence) {
  json file = small_tokenizer();
  GetParam().damage(file);
  EXPECT_THAT(refusal_of(file), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenTokenizerJson,
    ::testing::Values(
        Broken{"NotAnObject", [](json& j) { j = json::array(); }, "not a JSON object"},
        Broken{"NoModel", [](json& j) { j.erase("model"); }, "model is missing"},
        Broken{"WordLevel", [](json& j) { j["model"]["type"] = "WordLevel"; }, "WordLevel"},
        Broken{"UnigramWithoutUnknown",
               [](json& j) {
                 j["model"] = {{"type", "Unigram"}, {"vocab", json::array({{"a", -1.5}})}};
                 j["added_tokens"] = json::array();
               },
               "unk_id"},
        Broken{"UnigramScore",
               [](json& j) {
                 j["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", json::array({{"a"}})}};
               },
               "vocab[0]"},
        Broken{"MergeOfUnknown",
               [](json& j) {
                 j["model"]["merges"].push_back({"zz", "y"});
               },
               "zz"},
        Broken{"MergeIntoUnknown",
               [](json& j) {
                 j["model"]["merges"].push_back({"z", "y"});
               },
               "zy"},
        Broken{"MergeOfThree", [](json& j) { j["model"]["merges"].push_back("a b c"); },
               "merges[7]"},
        Broken{"NegativeId", [](json& j) { j["model"]["vocab"]["z"] = -1; }, "\"z\""},
        Broken{"HugeId", [](json& j) { j["added_tokens"][0]["id"] = 2147483648; }, "im_start"},
        Broken{"IdTwice", [](json& j) { j["model"]["vocab"]["z"] = 5; }, "two tokens"},
        Broken{"AddedIdTaken", [](json& j) { j["added_tokens"][0]["id"] = 3; }, "two tokens"},
        Broken{"PostProcessorOfUnknown",
               [](json& j) {
                 j["post_processor"] = {
                     {"type", "TemplateProcessing"},
                     {"single", json::array({{{"SpecialToken", {{"id", "<x>"}}}}})},
                     {"special_tokens", json::object()}};
               },
               "<x>"},
        Broken{"PostProcessorPastVocabulary",
               [](json& j) {
                 j["post_processor"] = {
                     {"type", "TemplateProcessing"},
                     {"single", json::array({{{"SpecialToken", {{"id", "<x>"}}}}})},
                     {"special_tokens", {{"<x>", {{"ids", json::array({99999})}}}}}};
               },
               "99999"},
        Broken{"Normalizer",
               [](json& j) {
                 j["normalizer"] = {{"type", "Transliterate"}};
               },
               "Transliterate"},
        Broken{"Charsmap",
               [](json& j) {
                 j["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "/////wAA"}};
               },
               "precompiled_charsmap"},
        Broken{"Decoder",
               [](json& j) {
                 j["decoder"] = {{"type", "CTC"}};
               },
               "CTC"},
        Broken{"PreTokenizer",
               [](json& j) {
                 j["pre_tokenizer"] = {{"type", "FixedLength"}};
               },
               "FixedLength"},
        Broken{"Pattern",
               [](json& j) {
                 const json split = {
                     {"type", "Split"}, {"pattern", {{"Regex", "(["}}}, {"behavior", "Isolated"}};
                 j["pre_tokenizer"] = {
                     {"type", "Sequence"},
                     {"pretokenizers", json::array({split, {{"type", "ByteLevel"}}})}};
               },
               "does not compile"},
        Broken{"UnknownToken", [](json& j) { j["model"]["unk_token"] = "<nope>"; }, "<nope>"}),
    [](const auto& info) { return info.param.name; });

struct Malformed {
  const char* name;
  const char* pointer;  // to the entry that is replaced
  const char* value;
  const char* says;
};
class MalformedTokenizerJson : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedTokenizerJson, NamesTheKeyAndWhereItStands) {
  json file = small_tokenizer();
  file[json::json_pointer(GetParam().pointer)] = json::parse(GetParam().value);
  EXPECT_THAT(refusal_of(file), StartsWith(std::string("tokenizer.json: ") + GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedTokenizerJson,
    ::testing::Values(
        Malformed{"NormalizerText", "/normalizer", R"("NFC")", "normalizer is not an object"},
        Malformed{"NormalizerList", "/normalizer", R"([{"type": "NFC"}])",
                  "normalizer is not an object"},
        Malformed{"NormalizerWithoutType", "/normalizer", R"({})", "normalizer.type is missing"},
        Malformed{"PreTokenizerNumber", "/pre_tokenizer", R"(3)", "pre_tokenizer is not an object"},
        Malformed{"DecoderText", "/decoder", R"("ByteLevel")", "decoder is not an object"},
        Malformed{"PostProcessorText", "/post_processor", R"("TemplateProcessing")",
                  "post_processor is not an object"},
        Malformed{"PostProcessorList", "/post_processor", R"([{"type": "ByteLevel"}])",
                  "post_processor is not an object"},
        Malformed{"SequenceWithoutList", "/normalizer", R"({"type": "Sequence"})",
                  "normalizer.normalizers is missing"},
        Malformed{"SequenceOfText", "/normalizer", R"({"type": "Sequence", "normalizers": "NFC"})",
                  "normalizer.normalizers is not a list"},
        Malformed{"SequenceOfTexts", "/pre_tokenizer",
                  R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, 5]})",
                  "pre_tokenizer.pretokenizers[1] is not an object"},
        Malformed{"DecodersMissing", "/decoder", R"({"type": "Sequence", "decoders": null})",
                  "decoder.decoders is missing"},
        Malformed{"ProcessorsMissing", "/post_processor", R"({"type": "Sequence"})",
                  "post_processor.processors is missing"},
        Malformed{"PrependNumber", "/normalizer", R"({"type": "Prepend", "prepend": 5})",
                  "normalizer.prepend is not a text"},
        Malformed{"ReplaceWithoutContent", "/normalizer",
                  R"({"type": "Replace", "pattern": {"String": "A"}})",
                  "normalizer.content is missing"},
        Malformed{"StripText", "/normalizer", R"({"type": "Strip", "strip_left": "no"})",
                  "normalizer.strip_left is not true or false"},
        Malformed{"BertText", "/normalizer", R"({"type": "BertNormalizer", "lowercase": 0})",
                  "normalizer.lowercase is not true or false"},
        Malformed{"CharsmapList", "/normalizer",
                  R"({"type": "Precompiled", "precompiled_charsmap": []})",
                  "normalizer.precompiled_charsmap is not a text"},
        Malformed{"SplitWithoutPattern", "/pre_tokenizer",
                  R"({"type": "Split", "behavior": "Isolated"})",
                  "pre_tokenizer.pattern is missing"},
        Malformed{"SplitByNothing", "/pre_tokenizer",
                  R"({"type": "Split", "pattern": {}, "behavior": "Isolated"})",
                  "pre_tokenizer.pattern has not one of Regex and String"},
        Malformed{
            "SplitByBoth", "/pre_tokenizer",
            R"({"type": "Split", "pattern": {"Regex": "a", "String": "b"}, "behavior": "Isolated"})",
            "pre_tokenizer.pattern has not one of Regex and String"},
        Malformed{"SplitByNumber", "/pre_tokenizer",
                  R"({"type": "Split", "pattern": {"Regex": 5}, "behavior": "Isolated"})",
                  "pre_tokenizer.pattern.Regex is not a text"},
        Malformed{"SplitWithoutBehavior", "/pre_tokenizer",
                  R"({"type": "Split", "pattern": {"Regex": "a"}})",
                  "pre_tokenizer.behavior is missing"},
        Malformed{"PunctuationNumber", "/pre_tokenizer",
                  R"({"type": "Punctuation", "behavior": 1})",
                  "pre_tokenizer.behavior is not a text"},
        Malformed{"DigitsText", "/pre_tokenizer",
                  R"({"type": "Digits", "individual_digits": "yes"})",
                  "pre_tokenizer.individual_digits is not true or false"},
        Malformed{"ByteLevelText", "/pre_tokenizer", R"({"type": "ByteLevel", "use_regex": "no"})",
                  "pre_tokenizer.use_regex is not true or false"},
        Malformed{"MetaspaceText", "/pre_tokenizer", R"({"type": "Metaspace", "split": 0})",
                  "pre_tokenizer.split is not true or false"},
        Malformed{"DelimiterMissing", "/pre_tokenizer", R"({"type": "CharDelimiterSplit"})",
                  "pre_tokenizer.delimiter is missing"},
        Malformed{"DelimiterOfTwo", "/pre_tokenizer",
                  R"({"type": "CharDelimiterSplit", "delimiter": "ab"})",
                  "pre_tokenizer.delimiter \"ab\" is not one character"},
        Malformed{"DecoderStripNegative", "/decoder",
                  R"({"type": "Strip", "content": "A", "start": -1, "stop": 0})",
                  "decoder.start is not a number from 0"},
        Malformed{"DecoderStripText", "/decoder",
                  R"({"type": "Strip", "content": "A", "start": 0, "stop": "x"})",
                  "decoder.stop is not a number from 0"},
        Malformed{"DecoderCleanup", "/decoder", R"({"type": "WordPiece", "cleanup": "x"})",
                  "decoder.cleanup is not true or false"},
        Malformed{"AddedTokensObject", "/added_tokens", R"({"a": 1})",
                  "added_tokens is not a list"},
        Malformed{"AddedTokenWithoutId", "/added_tokens/1/id", R"(null)",
                  "added_tokens[1].id is missing"},
        Malformed{"AddedTokenFlag", "/added_tokens/1/special", R"("yes")",
                  "added_tokens[1].special is not true or false"},
        Malformed{"IgnoreMergesText", "/model/ignore_merges", R"("yes")",
                  "model.ignore_merges is not true or false"},
        Malformed{"FuseUnknownNumber", "/model/fuse_unk", R"(1)",
                  "model.fuse_unk is not true or false"},
        Malformed{"ByteFallbackText", "/model/byte_fallback", R"("true")",
                  "model.byte_fallback is not true or false"},
        Malformed{"UnknownNumber", "/model/unk_token", R"(5)", "model.unk_token is not a text"},
        Malformed{"DropoutText", "/model/dropout", R"("0")", "model.dropout is not a number"},
        Malformed{"PrefixNumber", "/model/continuing_subword_prefix", R"(0)",
                  "model.continuing_subword_prefix is not a text"},
        Malformed{"PrefixLongerThanMerge", "/model/continuing_subword_prefix", R"("##########")",
                  "merge 0"},
        Malformed{"SuffixList", "/model/end_of_word_suffix", R"([])",
                  "model.end_of_word_suffix is not a text"},
        Malformed{"TypeNumber", "/model/type", R"(1)", "model.type is not a text"},
        Malformed{"VocabularyEmpty", "/model", R"({"type": "BPE", "vocab": {}, "merges": []})",
                  "model.vocab is empty"},
        Malformed{"WordPieceChars", "/model",
                  R"({"type": "WordPiece", "vocab": {"[UNK]": 0}, "max_input_chars_per_word": -1})",
                  "model.max_input_chars_per_word is not a number from 0"},
        Malformed{"UnigramOfObject", "/model",
                  R"({"type": "Unigram", "unk_id": 0, "vocab": {"a": -1}})",
                  "model.vocab is not a list"},
        Malformed{
            "TemplateWithoutIds", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"id": "<s>"}}})",
            "post_processor.special_tokens.<s>.ids is missing"},
        Malformed{
            "TemplateWithoutTokens", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": null})",
            "post_processor.special_tokens is missing"},
        Malformed{
            "TemplateOfUnknownPiece", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"Foo": {}}, {"Sequence": {"id": "A"}}], "special_tokens": {}})",
            "post_processor.single[0] is neither a SpecialToken nor a Sequence"},
        Malformed{"TemplateEmpty", "/post_processor",
                  R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})",
                  "post_processor.single has no Sequence \"A\""},
        Malformed{"TemplateMissing", "/post_processor",
                  R"({"type": "TemplateProcessing", "single": null, "special_tokens": {}})",
                  "post_processor.single is missing"},
        Malformed{"TemplateText", "/post_processor",
                  R"({"type": "TemplateProcessing", "single": "A", "special_tokens": {}})",
                  "post_processor.single is not a list"},
        Malformed{
            "TemplateOfB", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}], "special_tokens": {}})",
            "post_processor.single[1].Sequence.id is \"B\""},
        Malformed{
            "TemplateOfTwo", "/post_processor",
            R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}})",
            "post_processor.single[1].Sequence.id is \"A\""},
        Malformed{"BertEnds", "/post_processor",
                  R"({"type": "BertProcessing", "cls": "[CLS]", "sep": ["[SEP]", 1]})",
                  "post_processor.cls is not a list"}),
    [](const auto& info) { return info.param.name; });

TEST(TokenizerJson, FieldsThatAreAbsentOrNullHaveTheirDefaults) {
  const std::vector<TokenId> ids =
      load_json(small_tokenizer()).value()->encode("hello hello<think>");
  for (const char* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                          "fuse_unk", "byte_fallback", "ignore_merges"}) {
    json file = small_tokenizer();
    file["model"][key] = nullptr;
    EXPECT_EQ(load_json(file).value()->encode("hello hello<think>"), ids) << key;
  }
  json file = small_tokenizer();
  file["added_tokens"][2].erase("special");
  file["pre_tokenizer"]["use_regex"] = nullptr;
  file["post_processor"] = json::parse(
      R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}]})");
  EXPECT_EQ(load_json(file).value()->encode("hello hello<think>", {.add_special = true}), ids);
  file["added_tokens"] = nullptr;
  EXPECT_TRUE(load_json(file).ok());
}

TEST(TokenizerJson, KeysThatAppearTwiceAreRefused) {
  const auto error_of = [](const std::string& from, const std::string& to) {
    TokenizerSource source;
    source.tokenizer_json = small_tokenizer().dump();
    source.tokenizer_json.replace(source.tokenizer_json.find(from), from.size(), to);
    return Tokenizer::load(source).error().message;
  };
  EXPECT_EQ(error_of(R"("normalizer":null)", R"("normalizer":null,"normalizer":{"type":"NFC"})"),
            "tokenizer.json: normalizer appears twice");
  EXPECT_EQ(error_of(R"("type":"BPE")", R"("type":"BPE","type":"Unigram")"),
            "tokenizer.json: model.type appears twice");
  EXPECT_EQ(error_of(R"("hello":)", R"("hello":7000,"hello":)"),
            "tokenizer.json: model.vocab has the token \"hello\" twice");
}

TEST(TokenizerJson, BrokenJsonIsNamedByItsPlace) {
  TokenizerSource source;
  source.tokenizer_json = R"({"model": {"type": "BPE", "vocab": {"a": })";
  EXPECT_EQ(Tokenizer::load(source).error().message.find(
                "tokenizer.json: not a JSON object (near byte 42): "),
            0u)
      << Tokenizer::load(source).error().message;
}

TEST(CharacterBpe, MergesLoseAsManyBytesAsTheirPrefixHas) {
  const auto error_of = [](const char* right, const char* prefix) {
    json file = small_tokenizer();
    file["pre_tokenizer"] = file["decoder"] = nullptr;
    file["model"]["vocab"] = {{"a", 0}, {right, 1}, {"ab", 2}};
    file["model"]["merges"] = json::array({{"a", right}});
    file["model"]["continuing_subword_prefix"] = prefix;
    const auto loaded = load_json(file);
    return loaded.ok() ? "" : loaded.error().message;
  };
  EXPECT_EQ(error_of("##b", "##"), "");
  EXPECT_EQ(error_of("xyb", "##"), "");  // tokenizers does not look at what it cuts off
  EXPECT_NE(error_of("b", "##").find("no 2 bytes can be cut off"), std::string::npos);
  EXPECT_NE(error_of("한b", "##").find("no 2 bytes can be cut off"), std::string::npos);
}

}  // namespace
}  // namespace sllm
