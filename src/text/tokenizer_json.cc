// tokenizer.json as Hugging Face's tokenizers library writes it (byte-level BPE), and the names of
// the special tokens in tokenizer_config.json. Whatever would change ids and is not understood is
// refused by name.
#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

bool is_null(const object& o, std::string_view key) {
  element value;
  return o[key].get(value) != simdjson::SUCCESS || value.is_null();
}
std::string text_or(const object& o, std::string_view key, std::string_view otherwise = "") {
  std::string_view value;
  return std::string(o[key].get(value) == simdjson::SUCCESS ? value : otherwise);
}
bool flag_or(const object& o, std::string_view key, bool otherwise) {
  bool value = otherwise;
  return o[key].get(value) == simdjson::SUCCESS ? value : otherwise;
}
// The elements of an array that may be absent or null.
std::vector<element> items_of(const object& o, std::string_view key) {
  array values;
  std::vector<element> items;
  if (o[key].get(values) == simdjson::SUCCESS)
    for (const element e : values) items.push_back(e);
  return items;
}

Result<TokenId> id_of(const element& value, std::string_view what) {
  int64_t id = -1;
  if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= static_cast<int64_t>(kMaxTokens))
    return bad_input("the id of \"{}\" is not a number from 0 to {}", what.substr(0, 80),
                     kMaxTokens - 1);
  return static_cast<TokenId>(id);
}

Status set_token(TokenizerSpec& spec, TokenId id, std::string_view text) {
  if (text.size() > kMaxTokenBytes) return bad_input("token {} has {} bytes", id, text.size());
  const auto at = static_cast<size_t>(id);
  if (at >= spec.tokens.size()) spec.tokens.resize(at + 1);
  if (!spec.tokens[at].empty() && spec.tokens[at] != text)
    return bad_input("id {} belongs to two tokens, \"{}\" and \"{}\"", id, spec.tokens[at], text);
  spec.tokens[at] = text;
  return ok();
}

Status read_vocabulary(const object& model, TokenizerSpec& spec) {
  object vocab;
  if (model["vocab"].get(vocab) != simdjson::SUCCESS)
    return bad_input("model.vocab is not an object of tokens");
  for (const auto [text, value] : vocab) {
    SLLM_TRY(const TokenId id, id_of(value, text));
    SLLM_OK(set_token(spec, id, text));
  }
  return ok();
}

// "left right" as one string (older files) or ["left", "right"].
Status read_merges(const object& model, TokenizerSpec& spec) {
  array merges;
  if (model["merges"].get(merges) != simdjson::SUCCESS)
    return bad_input("model.merges is not an array");
  for (const element merge : merges) {
    std::string_view joined;
    array pair;
    const size_t rank = spec.merges.size();
    if (merge.get(joined) == simdjson::SUCCESS) {
      const size_t space = joined.find(' ');
      if (space == std::string_view::npos || joined.find(' ', space + 1) != std::string_view::npos)
        return bad_input("model.merges[{}] is not two tokens with a space between", rank);
      spec.merges.emplace_back(joined.substr(0, space), joined.substr(space + 1));
      continue;
    }
    std::string_view left, right;
    if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS)
      return bad_input("model.merges[{}] is not a pair of tokens", rank);
    spec.merges.emplace_back(left, right);
  }
  return ok();
}

Status read_model(const object& root, TokenizerSpec& spec) {
  object model;
  if (root["model"].get(model) != simdjson::SUCCESS) return bad_input("there is no model object");
  const std::string type = text_or(model, "type", "BPE");
  if (type != "BPE")
    return with_hint(bad_input("model.type is \"{}\"; only byte-level BPE is supported", type),
                     "Use a model of the GPT-2, Llama-3, Qwen2 or SmolLM tokenizer families");
  if (flag_or(model, "byte_fallback", false))
    return bad_input("model.byte_fallback (SentencePiece-style BPE) is not supported");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!text_or(model, affix).empty()) return bad_input("model.{} is not supported", affix);
  double dropout = 0;
  if (!is_null(model, "dropout") &&
      (model["dropout"].get(dropout) != simdjson::SUCCESS || dropout != 0))
    return bad_input("model.dropout makes ids random; expected null");
  spec.ignore_merges = flag_or(model, "ignore_merges", false);
  spec.unknown = text_or(model, "unk_token");
  spec.fuse_unknown = flag_or(model, "fuse_unk", false);
  SLLM_OK(read_vocabulary(model, spec));
  return read_merges(model, spec);
}

Status read_added_tokens(const object& root, TokenizerSpec& spec) {
  for (const element entry : items_of(root, "added_tokens")) {
    object o;
    element id;
    AddedToken token;
    if (entry.get(o) != simdjson::SUCCESS || o["id"].get(id) != simdjson::SUCCESS ||
        (token.text = text_or(o, "content")).empty())
      return bad_input("added_tokens[{}] is not an object with id and content", spec.added.size());
    SLLM_TRY(token.id, id_of(id, token.text));
    token.special = flag_or(o, "special", false);
    token.normalized = flag_or(o, "normalized", !token.special);
    token.lstrip = flag_or(o, "lstrip", false);
    token.rstrip = flag_or(o, "rstrip", false);
    token.single_word = flag_or(o, "single_word", false);
    SLLM_OK(set_token(spec, token.id, token.text));
    spec.added.push_back(std::move(token));
  }
  return ok();
}

Status read_normalizer(const object& o, TokenizerSpec& spec) {
  const std::string type = text_or(o, "type");
  if (type == "Sequence") {
    for (const element e : items_of(o, "normalizers")) {
      object inner;
      if (e.get(inner) != simdjson::SUCCESS) return bad_input("a normalizer is not an object");
      if (text_or(inner, "type") == "Sequence") return bad_input("normalizer sequences are nested");
      SLLM_OK(read_normalizer(inner, spec));
    }
    return ok();
  }
  using unicode::Form;
  static constexpr std::pair<std::string_view, Form> kForms[] = {
      {"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}};
  for (const auto& [name, form] : kForms)
    if (type == name) return spec.normalizers.push_back(form), ok();
  return bad_input("normalizer \"{}\" is not supported (NFC, NFD, NFKC, NFKD are)", type);
}

Result<SplitStep> read_split(const object& o) {
  object pattern;
  SplitStep step;
  if (o["pattern"].get(pattern) != simdjson::SUCCESS)
    return bad_input("a Split pre-tokenizer has no pattern");
  if (!is_null(pattern, "Regex")) {
    step.regex = text_or(pattern, "Regex");
  } else {
    for (const char c : text_or(pattern, "String")) {
      const auto byte = static_cast<uint8_t>(c);
      if (byte < 0x80 && !std::isalnum(byte)) step.regex += '\\';
      step.regex += c;
    }
  }
  step.invert = flag_or(o, "invert", false);
  static constexpr std::pair<std::string_view, SplitBehaviour> kBehaviours[] = {
      {"Removed", SplitBehaviour::kRemoved},
      {"Isolated", SplitBehaviour::kIsolated},
      {"MergedWithPrevious", SplitBehaviour::kMergedWithPrevious},
      {"MergedWithNext", SplitBehaviour::kMergedWithNext},
      {"Contiguous", SplitBehaviour::kContiguous}};
  const std::string behaviour = text_or(o, "behavior");
  for (const auto& [name, value] : kBehaviours)
    if (behaviour == name) return step.behaviour = value, step;
  return bad_input("Split behavior \"{}\" is unknown", behaviour);
}

// `byte_level` becomes true at the ByteLevel step, after which nothing may follow.
Status read_pre_tokenizer(const object& o, TokenizerSpec& spec, bool& byte_level, int depth = 0) {
  const std::string type = text_or(o, "type");
  if (byte_level) return bad_input("pre-tokenizer \"{}\" stands behind ByteLevel", type);
  if (type == "Sequence" && depth < 4) {
    for (const element e : items_of(o, "pretokenizers")) {
      object inner;
      if (e.get(inner) != simdjson::SUCCESS) return bad_input("a pre-tokenizer is not an object");
      SLLM_OK(read_pre_tokenizer(inner, spec, byte_level, depth + 1));
    }
  } else if (type == "Split") {
    SLLM_TRY(SplitStep step, read_split(o));
    spec.pre_tokenizer.push_back(std::move(step));
  } else if (type == "Digits") {
    spec.pre_tokenizer.push_back(DigitsStep{flag_or(o, "individual_digits", false)});
  } else if (type == "ByteLevel") {
    byte_level = true;
    if (flag_or(o, "add_prefix_space", true)) spec.pre_tokenizer.push_back(PrefixSpaceStep{});
    if (flag_or(o, "use_regex", true)) spec.pre_tokenizer.push_back(SplitStep{kGpt2Pattern});
  } else {
    return bad_input(
        "pre-tokenizer \"{}\" is not supported (Sequence, Split, Digits, ByteLevel are)", type);
  }
  return ok();
}

// TemplateProcessing's template for one sequence: special tokens around "A".
Status read_template(const object& o, TokenizerSpec& spec) {
  object known;
  const bool has_known = o["special_tokens"].get(known) == simdjson::SUCCESS;
  bool behind = false;
  for (const element piece : items_of(o, "single")) {
    object special;
    if (piece["SpecialToken"].get(special) != simdjson::SUCCESS) {
      behind = true;
      continue;
    }
    const std::string name = text_or(special, "id");
    object entry;
    if (!has_known || known[name].get(entry) != simdjson::SUCCESS)
      return bad_input("post_processor names \"{}\", which its special_tokens lack", name);
    for (const element value : items_of(entry, "ids")) {
      SLLM_TRY(const TokenId id, id_of(value, name));
      if (static_cast<size_t>(id) >= spec.tokens.size())
        return bad_input("post_processor: id {} of \"{}\" is past the vocabulary", id, name);
      (behind ? spec.suffix : spec.prefix).push_back(id);
    }
  }
  return ok();
}

Status read_post_processor(const object& o, TokenizerSpec& spec, int depth = 0) {
  const std::string type = text_or(o, "type");
  if (type == "ByteLevel") return ok();  // only offsets
  if (type == "TemplateProcessing") return read_template(o, spec);
  if (type != "Sequence" || depth > 4)
    return bad_input("post_processor \"{}\" is not supported (TemplateProcessing, ByteLevel are)",
                     type);
  for (const element e : items_of(o, "processors")) {
    object inner;
    if (e.get(inner) != simdjson::SUCCESS) return bad_input("a post-processor is not an object");
    SLLM_OK(read_post_processor(inner, spec, depth + 1));
  }
  return ok();
}

TokenId id_of_text(const TokenizerSpec& spec, const std::string& text) {
  for (const AddedToken& token : spec.added)
    if (token.text == text) return token.id;
  const auto it = std::ranges::find(spec.tokens, text);
  return text.empty() || it == spec.tokens.end() ? -1
                                                 : static_cast<TokenId>(it - spec.tokens.begin());
}

Status read_config(const std::string& json, TokenizerSpec& spec) {
  std::string bos, eos;
  if (!json.empty()) {
    // Not simdjson: real files hold integers past 64 bits (model_max_length 1e30).
    const auto config = nlohmann::json::parse(json, nullptr, false);
    if (!config.is_object()) return bad_input("tokenizer_config.json is not a JSON object");
    const auto name = [&config](const char* key) -> std::string {
      const nlohmann::json token = config.value(key, nlohmann::json());
      if (token.is_string()) return token;
      return token.is_object() && token.contains("content") && token["content"].is_string()
                 ? token["content"]
                 : "";
    };
    bos = name("bos_token");
    eos = name("eos_token");
  }
  spec.bos = id_of_text(spec, bos);
  if (const TokenId id = id_of_text(spec, eos); id >= 0) spec.eos.push_back(id);
  for (const AddedToken& token : spec.added)
    if (token.special && ends_answer(token.text) &&
        std::ranges::find(spec.eos, token.id) == spec.eos.end())
      spec.eos.push_back(token.id);
  return ok();
}

Result<TokenizerSpec> read(const std::string& json, const std::string& config_json) {
  simdjson::dom::parser parser;
  object root;
  if (const auto error = parser.parse(json).get(root))
    return bad_input("not a JSON object: {}", simdjson::error_message(error));
  TokenizerSpec spec;
  SLLM_OK(read_model(root, spec));
  SLLM_OK(read_added_tokens(root, spec));
  object part;
  if (root["normalizer"].get(part) == simdjson::SUCCESS) SLLM_OK(read_normalizer(part, spec));
  bool byte_level = false;
  if (root["pre_tokenizer"].get(part) == simdjson::SUCCESS)
    SLLM_OK(read_pre_tokenizer(part, spec, byte_level));
  if (!byte_level)
    return bad_input("the pre-tokenizer has no ByteLevel step; only byte-level BPE is supported");
  if (root["post_processor"].get(part) == simdjson::SUCCESS)
    SLLM_OK(read_post_processor(part, spec));
  SLLM_OK(read_config(config_json, spec));
  return spec;
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_json(const std::string& json, const std::string& config_json) {
  return read(json, config_json).context("tokenizer.json");
}

}  // namespace sllm
