// GGUF -> tokenizer.json and tokenizer_config.json.
#include <algorithm>
#include <unordered_set>

#include "io/byte_reader.h"
#include "io/json.h"
#include "io/tokenizer_convert.h"
#include "io/tokenizer_tables.h"

namespace sllm {
namespace {

using nlohmann::ordered_json;

ordered_json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}
ordered_json split(const char* pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}
ordered_json sequence(ordered_json first, ordered_json second) {
  return {{"type", "Sequence"},
          {"pretokenizers", ordered_json::array({std::move(first), std::move(second)})}};
}

// GGUF names that stand for Llama 3's pattern (text/pre_tokenizer_families.cc has them all).
struct Llama3Name {
  std::string_view name;
  bool ignores_merges = true, adds_bos = true;
};
constexpr Llama3Name kLlama3Names[] = {
    {"llama-bpe"},
    {"llama3"},
    {"llama-v3"},
    {"falcon3"},
    {"falcon-h1"},
    {"pixtral"},
    {"midm-2.0"},
    {"lfm2"},
    {"smollm3", true, false},
    {"dbrx", false, false},
    {"smaug-bpe", false, false},
};
const Llama3Name* llama3_name(std::string_view pre) {
  const auto found = std::ranges::find(kLlama3Names, pre, &Llama3Name::name);
  return found == std::end(kLlama3Names) ? nullptr : found;
}

// The pre-tokenizer of a GGUF name; null when it is not one we know.
ordered_json pre_tokenizer_of(std::string_view pre) {
  if (pre == "gpt-2" || pre == "phi-2") return byte_level(true);
  if (pre == "smollm" || pre == "starcoder" || pre == "refact")
    return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
  if (pre == "qwen2" || pre == "deepseek-r1-qwen")
    return sequence(split(kQwen2Pattern), byte_level(false));
  if (llama3_name(pre)) return sequence(split(kLlama3Pattern), byte_level(false));
  return nullptr;
}
ordered_json post_processor_of(const TokenizerSource::Gguf& t) {
  const Llama3Name* llama3 = llama3_name(t.pre);
  const bool add_bos = t.bos_id >= 0 && t.add_bos.value_or(llama3 && llama3->adds_bos);
  if (!add_bos) return byte_level(false);
  const std::string& bos = t.tokens[static_cast<size_t>(t.bos_id)];
  const ordered_json begin = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}},
                     a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                     b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  ordered_json tokens;
  tokens[bos] = {{"id", bos}, {"ids", {t.bos_id}}, {"tokens", {bos}}};
  return {{"type", "TemplateProcessing"},
          {"single", ordered_json::array({begin, a})},
          {"pair", ordered_json::array({begin, a, begin, b})},
          {"special_tokens", std::move(tokens)}};
}

Result<ordered_json> bpe_model(const TokenizerSource::Gguf& t, ordered_json& added) {
  ordered_json vocab = ordered_json::object(), merges = ordered_json::array();
  // ordered_json looks keys up one by one, so the pairs are put in behind its back.
  auto& pairs = vocab.get_ref<ordered_json::object_t&>();
  pairs.reserve(t.tokens.size());
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < t.tokens.size(); ++i) {
    const std::string& token = t.tokens[i];
    const int32_t type = t.types.empty() ? static_cast<int32_t>(kNormal) : t.types[i];
    if (type == kUnused) continue;
    if (!is_utf8(token)) return bad_input("token {} is not UTF-8 text", i);
    if (!seen.insert(token).second) return bad_input("the token \"{}\" appears twice", token);
    static_cast<ordered_json::object_t::Container&>(pairs).emplace_back(token, i);
    if (type == kNormal) continue;
    added.push_back({{"id", i},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != kUserDefined}});
  }
  for (const std::string& merge : t.merges) {
    const size_t space = merge.find(' ', 1);
    if (space == merge.npos || !is_utf8(merge))
      return bad_input("the merge \"{}\" is not two tokens with a space between", merge);
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  const Llama3Name* llama3 = llama3_name(t.pre);
  return ordered_json{{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", llama3 && llama3->ignores_merges},
                      {"vocab", std::move(vocab)},
                      {"merges", std::move(merges)}};
}

}  // namespace

Result<HfTokenizerFiles> to_hf_tokenizer(const TokenizerSource::Gguf& t,
                                         const std::string& chat_template, int64_t max_context) {
  const ordered_json pre_tokenizer = pre_tokenizer_of(t.pre);
  if (t.model != "gpt2" || pre_tokenizer.is_null())
    return bad_input(
        "the GGUF tokenizer \"{}\" with pre-tokenizer \"{}\" has no tokenizer.json form known here "
        "(gpt2 with gpt-2, smollm, qwen2 or llama-bpe have)",
        t.model, t.pre);
  ordered_json added = ordered_json::array();
  SLLM_TRY(ordered_json model, bpe_model(t, added));
  const ordered_json normalizer =
      t.pre == "qwen2" ? ordered_json{{"type", "NFC"}} : ordered_json(nullptr);
  const ordered_json root = {{"version", "1.0"},
                             {"truncation", nullptr},
                             {"padding", nullptr},
                             {"added_tokens", std::move(added)},
                             {"normalizer", normalizer},
                             {"pre_tokenizer", pre_tokenizer},
                             {"post_processor", post_processor_of(t)},
                             {"decoder", byte_level(true)},
                             {"model", std::move(model)}};
  ordered_json settings = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                           {"clean_up_tokenization_spaces", false},
                           {"model_max_length", max_context}};
  const std::pair<const char*, int32_t> ids[] = {{"bos_token", t.bos_id},
                                                 {"eos_token", t.eos_id},
                                                 {"unk_token", t.unknown_id},
                                                 {"pad_token", t.padding_id}};
  for (const auto& [key, id] : ids)
    if (id >= 0) settings[key] = t.tokens[static_cast<size_t>(id)];
  if (!chat_template.empty()) settings["chat_template"] = chat_template;
  return HfTokenizerFiles{root.dump(), settings.dump(2) + "\n"};
}

}  // namespace sllm
