// tokenizer.json as Hugging Face's tokenizers library writes it, and the names of the special
// tokens in tokenizer_config.json. Whatever would change ids and is not understood is refused by
// name.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
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

Status read_vocabulary(const JsonPart& model, TokenizerSpec& spec) {
  SLLM_TRY(const object vocab, model.map("vocab"));
  std::unordered_set<std::string_view> seen;
  for (const auto [text, value] : vocab) {
    SLLM_TRY(const TokenId id, id_of(value, text));
    if (!seen.insert(text).second)
      return bad_input("{} has the token \"{}\" twice", model.at("vocab"), text.substr(0, 80));
    SLLM_OK(set_token(spec, id, text));
  }
  if (seen.empty()) return bad_input("{} is empty", model.at("vocab"));
  return ok();
}

// "left right" as one string (older files) or ["left", "right"].
Status read_merges(const JsonPart& model, TokenizerSpec& spec) {
  SLLM_TRY(const auto merges, model.list("merges"));
  for (const element& merge : merges) {
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
Status read_pieces(const JsonPart& model, TokenizerSpec& spec) {
  SLLM_TRY(const auto entries, model.list("vocab"));
  for (const element& entry : entries) {
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
  SLLM_TRY(const size_t unknown, model.count("unk_id"));
  if (unknown >= spec.tokens.size())
    return bad_input("model.unk_id {} is not an id of the vocabulary", unknown);
  spec.unknown = spec.tokens[unknown];
  spec.fuse_unknown = true;
  return ok();
}

Status read_bpe(const JsonPart& model, TokenizerSpec& spec) {
  SLLM_TRY(const double dropout, model.number("dropout", 0));
  if (dropout != 0) return bad_input("model.dropout makes ids random; expected null");
  SLLM_TRY(spec.continuing_prefix, model.text("continuing_subword_prefix", ""));
  SLLM_TRY(spec.end_suffix, model.text("end_of_word_suffix", ""));
  SLLM_TRY(spec.ignore_merges, model.flag("ignore_merges", false));
  SLLM_TRY(spec.unknown, model.text("unk_token", ""));
  SLLM_TRY(spec.fuse_unknown, model.flag("fuse_unk", false));
  SLLM_OK(read_vocabulary(model, spec));
  return read_merges(model, spec);
}

Status read_word_piece(const JsonPart& model, TokenizerSpec& spec) {
  SLLM_TRY(spec.unknown, model.text("unk_token", "[UNK]"));
  SLLM_TRY(spec.continuing_prefix, model.text("continuing_subword_prefix", "##"));
  SLLM_TRY(spec.max_word_chars, model.count("max_input_chars_per_word", spec.max_word_chars));
  return read_vocabulary(model, spec);
}

// Old files do not name the type; their other entries tell.
Result<std::string> type_of_model(const JsonPart& model) {
  SLLM_TRY(std::string type, model.text("type", ""));
  if (!type.empty()) return type;
  if (model.has("merges")) return "BPE";
  return model.map("vocab").ok() ? "WordPiece" : "Unigram";
}

Status read_model(const JsonPart& root, TokenizerSpec& spec) {
  SLLM_TRY(const JsonPart model, root.part("model"));
  SLLM_TRY(const std::string type, type_of_model(model));
  SLLM_TRY(spec.byte_fallback, model.flag("byte_fallback", false));
  if (type == "BPE") return read_bpe(model, spec);
  if (type == "Unigram") return spec.kind = ModelKind::kUnigram, read_pieces(model, spec);
  if (type == "WordPiece") return spec.kind = ModelKind::kWordPiece, read_word_piece(model, spec);
  return with_hint(
      bad_input("model.type is \"{}\"; BPE, Unigram and WordPiece are supported", type),
      "Use a model with one of these tokenizers");
}

Result<AddedToken> read_added_token(const JsonPart& o) {
  AddedToken token;
  SLLM_TRY(token.text, o.text("content"));
  if (token.text.empty()) return bad_input("{} is empty", o.at("content"));
  SLLM_TRY(const element id, o.value("id"));
  SLLM_TRY(token.id, id_of(id, token.text));
  SLLM_TRY(token.special, o.flag("special", false));
  SLLM_TRY(token.normalized, o.flag("normalized", !token.special));
  SLLM_TRY(token.lstrip, o.flag("lstrip", false));
  SLLM_TRY(token.rstrip, o.flag("rstrip", false));
  SLLM_TRY(token.single_word, o.flag("single_word", false));
  return token;
}

Result<std::vector<AddedToken>> read_added_tokens(const JsonPart& root) {
  std::vector<AddedToken> added;
  if (!root.has("added_tokens")) return added;
  SLLM_TRY(const auto entries, root.parts("added_tokens"));
  for (const JsonPart& entry : entries) {
    SLLM_TRY(AddedToken token, read_added_token(entry));
    added.push_back(std::move(token));
  }
  return added;
}

// The ids that TemplateProcessing puts in for the special token `name`.
Status read_special(const JsonPart& o, const std::string& name, std::vector<TokenId>& out,
                    const TokenizerSpec& spec) {
  SLLM_TRY(const JsonPart known, o.part("special_tokens"));
  if (!known.has(name))
    return bad_input("{} names \"{}\", which its special_tokens lack", o.where(), name);
  SLLM_TRY(const JsonPart entry, known.part(name));
  SLLM_TRY(const auto ids, entry.list("ids"));
  for (const element& value : ids) {
    SLLM_TRY(const TokenId id, id_of(value, name));
    if (static_cast<size_t>(id) >= spec.tokens.size())
      return bad_input("{}: id {} of \"{}\" is past the vocabulary", o.where(), id, name);
    out.push_back(id);
  }
  return ok();
}

// TemplateProcessing's template for one sequence: special tokens around "A".
Status read_template(const JsonPart& o, TokenizerSpec& spec) {
  SLLM_TRY(const auto pieces, o.parts("single"));
  bool behind = false;
  for (const JsonPart& piece : pieces) {
    if (piece.has("SpecialToken")) {
      SLLM_TRY(const JsonPart special, piece.part("SpecialToken"));
      SLLM_TRY(const std::string name, special.text("id"));
      SLLM_OK(read_special(o, name, behind ? spec.suffix : spec.prefix, spec));
      continue;
    }
    if (!piece.has("Sequence"))
      return bad_input("{} is neither a SpecialToken nor a Sequence", piece.where());
    SLLM_TRY(const JsonPart sequence, piece.part("Sequence"));
    SLLM_TRY(const std::string name, sequence.text("id"));
    if (name != "A" || behind)
      return bad_input("{} is \"{}\"; expected \"A\" once", sequence.at("id"), name);
    behind = true;
  }
  if (!behind) return bad_input("{} has no Sequence \"A\" for the text", o.at("single"));
  return ok();
}

// ["[CLS]", 101]
Status read_ends(const JsonPart& o, const char* key, std::vector<TokenId>& out,
                 const TokenizerSpec& spec) {
  SLLM_TRY(const auto pair, o.list(key));
  if (pair.size() != 2) return bad_input("{} is not a token and its id", o.at(key));
  SLLM_TRY(const TokenId id, id_of(pair[1], key));
  if (static_cast<size_t>(id) >= spec.tokens.size())
    return bad_input("{}: id {} of \"{}\" is past the vocabulary", o.where(), id, key);
  out.push_back(id);
  return ok();
}

Status read_post_processor(const JsonPart& o, TokenizerSpec& spec, int depth = 0) {
  SLLM_TRY(const std::string type, o.text("type"));
  if (type == "ByteLevel") return ok();  // only offsets
  if (type == "TemplateProcessing") return read_template(o, spec);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    SLLM_OK(read_ends(o, "cls", spec.prefix, spec));
    return read_ends(o, "sep", spec.suffix, spec);
  }
  if (type != "Sequence" || depth > 4)
    return bad_input("post_processor \"{}\" is not supported", type);
  SLLM_TRY(const auto processors, o.parts("processors"));
  for (const JsonPart& inner : processors) SLLM_OK(read_post_processor(inner, spec, depth + 1));
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
  SLLM_TRY(const JsonPart root, JsonPart::parse(parser, json));
  TokenizerSpec spec;
  SLLM_OK(read_model(root, spec));
  for (const std::string& text : spec.tokens) spec.matchable.push_back(!text.empty());
  SLLM_TRY(spec.added, read_added_tokens(root));
  for (const AddedToken& token : spec.added) SLLM_OK(set_token(spec, token.id, token.text));
  spec.matchable.resize(spec.tokens.size(), false);
  // No text becomes a special token by being likely.
  for (const AddedToken& token : spec.added)
    if (token.special && spec.kind == ModelKind::kUnigram)
      spec.matchable[static_cast<size_t>(token.id)] = false;
  SLLM_OK(read_steps(root, spec));
  if (spec.kind != ModelKind::kBpe && spec.byte_level)
    return bad_input("the pre-tokenizer ByteLevel is supported with BPE only");
  if (root.has("post_processor")) {
    SLLM_TRY(const JsonPart part, root.part("post_processor"));
    SLLM_OK(read_post_processor(part, spec));
  }
  SLLM_OK(read_tokenizer_config(config_json, spec));
  if (!spec.scores.empty()) spec.scores.resize(spec.tokens.size());
  return spec;
}

}  // namespace

Status read_tokenizer_steps(const std::string& json, TokenizerSpec& spec) {
  simdjson::dom::parser parser;
  SLLM_TRY(const JsonPart root, JsonPart::parse(parser, json));
  const bool byte_level = std::exchange(spec.byte_level, false);
  spec.float_scores = false;  // tokenizers adds them as double
  spec.normalizers.clear(), spec.pre_tokenizer.clear(), spec.decoders.clear();
  SLLM_OK(read_steps(root, spec));
  if (spec.byte_level != byte_level)
    return bad_input("its pre-tokenizer does not fit tokenizer.ggml.model");
  std::unordered_map<TokenId, AddedToken*> added;
  for (AddedToken& token : spec.added) added[token.id] = &token;
  SLLM_TRY(const auto tokens, read_added_tokens(root));
  for (const AddedToken& token : tokens) {
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
