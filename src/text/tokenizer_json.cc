// tokenizer.json as Hugging Face's tokenizers library writes it, and the names of the special
// tokens in tokenizer_config.json. Whatever would change ids and is not understood is refused by
// name.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

using namespace tokenizer_json;

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

// Unigram's vocabulary: [token, score] by id.
Status read_pieces(const object& model, TokenizerSpec& spec) {
  for (const element entry : items_of(model, "vocab")) {
    array pair;
    std::string_view text;
    double score = 0;
    const auto id = static_cast<TokenId>(spec.scores.size());
    if (entry.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(text) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS)
      return bad_input("model.vocab[{}] is not a token and its score", id);
    if (spec.scores.size() >= kMaxTokens) return bad_input("model.vocab has too many tokens");
    SLLM_OK(set_token(spec, id, text));
    spec.scores.push_back(score);
  }
  if (spec.tokens.size() != spec.scores.size()) spec.tokens.resize(spec.scores.size());
  int64_t unknown = -1;
  if (!is_null(model, "unk_id") &&
      (model["unk_id"].get(unknown) != simdjson::SUCCESS || unknown < 0 ||
       unknown >= static_cast<int64_t>(spec.tokens.size())))
    return bad_input("model.unk_id is not an id of the vocabulary");
  if (unknown < 0) return bad_input("model.unk_id is missing");
  spec.unknown = spec.tokens[static_cast<size_t>(unknown)];
  spec.fuse_unknown = true;
  return ok();
}

Status read_bpe(const object& model, TokenizerSpec& spec) {
  double dropout = 0;
  if (!is_null(model, "dropout") &&
      (model["dropout"].get(dropout) != simdjson::SUCCESS || dropout != 0))
    return bad_input("model.dropout makes ids random; expected null");
  spec.continuing_prefix = text_or(model, "continuing_subword_prefix");
  spec.end_suffix = text_or(model, "end_of_word_suffix");
  spec.ignore_merges = flag_or(model, "ignore_merges", false);
  spec.unknown = text_or(model, "unk_token");
  spec.fuse_unknown = flag_or(model, "fuse_unk", false);
  SLLM_OK(read_vocabulary(model, spec));
  return read_merges(model, spec);
}

Status read_word_piece(const object& model, TokenizerSpec& spec) {
  spec.unknown = text_or(model, "unk_token", "[UNK]");
  spec.continuing_prefix = text_or(model, "continuing_subword_prefix", "##");
  uint64_t chars = spec.max_word_chars;
  if (model["max_input_chars_per_word"].get(chars) == simdjson::SUCCESS)
    spec.max_word_chars = chars;
  return read_vocabulary(model, spec);
}

// Old files do not name the type; their other entries tell.
std::string type_of_model(const object& model) {
  const std::string type = text_or(model, "type");
  object tokens;
  if (!type.empty()) return type;
  if (!is_null(model, "merges")) return "BPE";
  return model["vocab"].get(tokens) == simdjson::SUCCESS ? "WordPiece" : "Unigram";
}

Status read_model(const object& root, TokenizerSpec& spec) {
  object model;
  if (root["model"].get(model) != simdjson::SUCCESS) return bad_input("there is no model object");
  const std::string type = type_of_model(model);
  spec.byte_fallback = flag_or(model, "byte_fallback", false);
  if (type == "BPE") return read_bpe(model, spec);
  if (type == "Unigram") return spec.kind = ModelKind::kUnigram, read_pieces(model, spec);
  if (type == "WordPiece") return spec.kind = ModelKind::kWordPiece, read_word_piece(model, spec);
  return with_hint(
      bad_input("model.type is \"{}\"; BPE, Unigram and WordPiece are supported", type),
      "Use a model with one of these tokenizers");
}

Result<AddedToken> read_added_token(const element& entry, size_t index) {
  object o;
  element id;
  AddedToken token;
  if (entry.get(o) != simdjson::SUCCESS || o["id"].get(id) != simdjson::SUCCESS ||
      (token.text = text_or(o, "content")).empty())
    return bad_input("added_tokens[{}] is not an object with id and content", index);
  SLLM_TRY(token.id, id_of(id, token.text));
  token.special = flag_or(o, "special", false);
  token.normalized = flag_or(o, "normalized", !token.special);
  token.lstrip = flag_or(o, "lstrip", false);
  token.rstrip = flag_or(o, "rstrip", false);
  token.single_word = flag_or(o, "single_word", false);
  return token;
}

Status read_added_tokens(const object& root, TokenizerSpec& spec) {
  for (const element entry : items_of(root, "added_tokens")) {
    SLLM_TRY(AddedToken token, read_added_token(entry, spec.added.size()));
    SLLM_OK(set_token(spec, token.id, token.text));
    spec.added.push_back(std::move(token));
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

// ["[CLS]", 101]
Status read_ends(const object& o, const char* key, std::vector<TokenId>& out,
                 const TokenizerSpec& spec) {
  array pair;
  element value;
  if (o[key].get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
      pair.at(1).get(value) != simdjson::SUCCESS)
    return bad_input("post_processor: \"{}\" is not a token and its id", key);
  SLLM_TRY(const TokenId id, id_of(value, key));
  if (static_cast<size_t>(id) >= spec.tokens.size())
    return bad_input("post_processor: id {} of \"{}\" is past the vocabulary", id, key);
  out.push_back(id);
  return ok();
}

Status read_post_processor(const object& o, TokenizerSpec& spec, int depth = 0) {
  const std::string type = text_or(o, "type");
  if (type == "ByteLevel") return ok();  // only offsets
  if (type == "TemplateProcessing") return read_template(o, spec);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    SLLM_OK(read_ends(o, "cls", spec.prefix, spec));
    return read_ends(o, "sep", spec.suffix, spec);
  }
  if (type != "Sequence" || depth > 4)
    return bad_input("post_processor \"{}\" is not supported", type);
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

}  // namespace

Status read_tokenizer_config(const std::string& json, TokenizerSpec& spec) {
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
    spec.bos = id_of_text(spec, name("bos_token"));
    spec.named = {.eos = id_of_text(spec, name("eos_token")),
                  .unknown = id_of_text(spec, name("unk_token")),
                  .padding = id_of_text(spec, name("pad_token")),
                  .separator = id_of_text(spec, name("sep_token")),
                  .mask = id_of_text(spec, name("mask_token"))};
  }
  if (spec.named.eos >= 0) spec.eos.push_back(spec.named.eos);
  for (const AddedToken& token : spec.added)
    if (token.special && ends_answer(token.text) &&
        std::ranges::find(spec.eos, token.id) == spec.eos.end())
      spec.eos.push_back(token.id);
  return ok();
}

namespace {

Result<TokenizerSpec> read(const std::string& json, const std::string& config_json) {
  simdjson::dom::parser parser;
  object root;
  if (const auto error = parser.parse(json).get(root))
    return bad_input("not a JSON object: {}", simdjson::error_message(error));
  TokenizerSpec spec;
  SLLM_OK(read_model(root, spec));
  for (const std::string& text : spec.tokens) spec.matchable.push_back(!text.empty());
  SLLM_OK(read_added_tokens(root, spec));
  spec.matchable.resize(spec.tokens.size(), false);
  // No text becomes a special token by being likely.
  for (const AddedToken& token : spec.added)
    if (token.special && spec.kind == ModelKind::kUnigram)
      spec.matchable[static_cast<size_t>(token.id)] = false;
  object part;
  if (root["normalizer"].get(part) == simdjson::SUCCESS) SLLM_OK(read_normalizer(part, spec));
  if (root["pre_tokenizer"].get(part) == simdjson::SUCCESS) SLLM_OK(read_pre_tokenizer(part, spec));
  if (spec.kind != ModelKind::kBpe && spec.byte_level)
    return bad_input("the pre-tokenizer ByteLevel is supported with BPE only");
  if (root["decoder"].get(part) == simdjson::SUCCESS) SLLM_OK(read_decoder(part, spec));
  if (root["post_processor"].get(part) == simdjson::SUCCESS)
    SLLM_OK(read_post_processor(part, spec));
  SLLM_OK(read_tokenizer_config(config_json, spec));
  if (!spec.scores.empty()) spec.scores.resize(spec.tokens.size());
  return spec;
}

}  // namespace

Status read_tokenizer_steps(const std::string& json, TokenizerSpec& spec) {
  simdjson::dom::parser parser;
  object root, part;
  if (const auto error = parser.parse(json).get(root))
    return bad_input("not a JSON object: {}", simdjson::error_message(error));
  const bool byte_level = std::exchange(spec.byte_level, false);
  spec.float_scores = false;  // tokenizers adds them as double
  spec.normalizers.clear(), spec.pre_tokenizer.clear(), spec.decoders.clear();
  if (root["normalizer"].get(part) == simdjson::SUCCESS) SLLM_OK(read_normalizer(part, spec));
  if (root["pre_tokenizer"].get(part) == simdjson::SUCCESS) SLLM_OK(read_pre_tokenizer(part, spec));
  if (root["decoder"].get(part) == simdjson::SUCCESS) SLLM_OK(read_decoder(part, spec));
  if (spec.byte_level != byte_level)
    return bad_input("its pre-tokenizer does not fit tokenizer.ggml.model");
  std::unordered_map<TokenId, AddedToken*> added;
  for (AddedToken& token : spec.added) added[token.id] = &token;
  size_t index = 0;
  for (const element entry : items_of(root, "added_tokens")) {
    SLLM_TRY(const AddedToken token, read_added_token(entry, index++));
    const auto known = added.find(token.id);
    if (known == added.end())
      return bad_input("added_tokens: token {} is none of those in tokenizer.ggml.token_type",
                       token.id);
    if (token.text.size() > kMaxTokenBytes)
      return bad_input("added_tokens: token {} has {} bytes", token.id, token.text.size());
    spec.tokens[static_cast<size_t>(token.id)] = token.text;
    *known->second = token;
  }
  return ok();
}

Result<TokenizerSpec> read_tokenizer_json(const std::string& json, const std::string& config_json) {
  return read(json, config_json).context("tokenizer.json");
}

}  // namespace sllm
