// tokenizer.json -> GGUF.
#include "io/tokenizer_convert.h"

#include <algorithm>
#include <cstdlib>

#include "io/json.h"
#include "io/sentencepiece_model.h"
#include "io/tokenizer_tables.h"

namespace sllm {
namespace {

using nlohmann::json;

std::string type_of(const json& object) {
  if (!object.is_object()) return "";
  const auto it = object.find("type");
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}
bool flag(const json& object, const char* key, bool otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}

// tokenizer.ggml.pre of a tokenizer.json; "" when it has none.
std::string pre_name(const json& pre_tokenizer) {
  std::vector<json> parts = {pre_tokenizer};
  if (type_of(pre_tokenizer) == "Sequence" && pre_tokenizer.contains("pretokenizers") &&
      pre_tokenizer["pretokenizers"].is_array())
    parts = pre_tokenizer["pretokenizers"].get<std::vector<json>>();
  if (parts.empty() || type_of(parts.back()) != "ByteLevel" ||
      flag(parts.back(), "add_prefix_space", true))
    return "";
  const bool gpt2_pattern = flag(parts.back(), "use_regex", true);
  if (parts.size() == 1 && gpt2_pattern) return "gpt-2";
  if (parts.size() != 2) return "";
  if (type_of(parts[0]) == "Digits" && flag(parts[0], "individual_digits", false) && gpt2_pattern)
    return "smollm";
  if (type_of(parts[0]) != "Split" || gpt2_pattern) return "";
  const auto pattern = parts[0].find("pattern");
  if (pattern == parts[0].end() || !pattern->is_object() || !pattern->contains("Regex")) return "";
  const json& regex = (*pattern)["Regex"];
  return regex == kLlama3Pattern ? "llama-bpe" : regex == kQwen2Pattern ? "qwen2" : "";
}

// Chat and code markers that a model's authors forgot to mark as special.
bool looks_special(std::string_view token) {
  return (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<｜") && token.ends_with("｜>"));
}

Status place(TokenizerSource::Gguf& out, const std::string& token, const json& id, int64_t V,
             int32_t type) {
  if (!id.is_number_integer() || id < 0 || id >= V)
    return bad_input("tokenizer.json: token \"{}\" has the id {}, but the model has {} embeddings",
                     token, id.dump(), V);
  const auto i = id.get<size_t>();
  const bool same = out.types[i] != kUnused && out.tokens[i] == token;
  if (out.types[i] != kUnused && !same)
    return bad_input("tokenizer.json: tokens \"{}\" and \"{}\" share the id {}", out.tokens[i],
                     token, i);
  out.tokens[i] = token;
  out.types[i] = type;
  return ok();
}

Status add_tokens(const json& root, int64_t V, TokenizerSource::Gguf& out) {
  out.tokens.resize(static_cast<size_t>(V));
  out.types.assign(static_cast<size_t>(V), kUnused);
  for (size_t i = 0; i < out.tokens.size(); ++i) out.tokens[i] = fmt::format("[PAD{}]", i);
  const json& model = root["model"];
  if (!model.contains("vocab") || !model["vocab"].is_object())
    return bad_input("tokenizer.json: model.vocab is missing");
  for (const auto& [token, id] : model["vocab"].items()) SLLM_OK(place(out, token, id, V, kNormal));
  if (!root.contains("added_tokens")) return ok();
  for (const json& added : root["added_tokens"]) {
    const JsonFields fields(added, "tokenizer.json: added_tokens");
    SLLM_TRY(const auto content, fields.string("content"));
    if (!content || !fields.has("id"))
      return bad_input("tokenizer.json: an added token lacks its id or content");
    const bool special = flag(added, "special", false) || looks_special(*content);
    SLLM_OK(place(out, *content, added["id"], V, special ? kControl : kUserDefined));
  }
  return ok();
}

Status add_merges(const json& model, TokenizerSource::Gguf& out) {
  if (!model.contains("merges") || !model["merges"].is_array())
    return bad_input("tokenizer.json: model.merges is missing");
  for (const json& merge : model["merges"]) {
    const bool pair =
        merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
    if (!pair && !merge.is_string())
      return bad_input("tokenizer.json: the merge {} is not a pair", merge.dump());
    out.merges.push_back(pair ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                              : merge.get<std::string>());
  }
  return ok();
}

// "bos_token" of tokenizer_config.json is a string or an object with "content".
int32_t id_of(const TokenizerSource::Gguf& t, const json& config, const char* key,
              int32_t otherwise) {
  if (!config.is_object() || !config.contains(key)) return otherwise;
  const json& value = config[key];
  const json& text = value.is_object() && value.contains("content") ? value["content"] : value;
  if (!text.is_string()) return otherwise;
  const auto it = std::ranges::find(t.tokens, text.get<std::string>());
  return it == t.tokens.end() ? otherwise : static_cast<int32_t>(it - t.tokens.begin());
}

// Whether the post-processor puts `token` before the text.
bool template_begins_with(const json& processor, const std::string& token) {
  if (type_of(processor) == "Sequence" && processor.contains("processors"))
    return std::ranges::any_of(processor["processors"],
                               [&](const json& p) { return template_begins_with(p, token); });
  if (type_of(processor) != "TemplateProcessing" || !processor.contains("single")) return false;
  const json& single = processor["single"];
  return single.is_array() && !single.empty() && single[0].is_object() &&
         single[0].contains("SpecialToken") && single[0]["SpecialToken"].is_object() &&
         single[0]["SpecialToken"].value("id", "") == token;
}

// tokenizer.model: pieces, scores and types are the same in GGUF, except that the texts of
// user-defined symbols are matched before spaces become U+2581.
Result<TokenizerSource::Gguf> from_sentencepiece(const std::string& bytes, const json& settings,
                                                 int64_t V) {
  SLLM_TRY(const SentencePieceModel model, read_sentencepiece_model(bytes));
  if (static_cast<int64_t>(model.pieces.size()) > V)
    return bad_input("it has {} pieces, but the model has {} embeddings", model.pieces.size(), V);
  if (model.space_as_suffix)
    return bad_input("GGUF cannot say that spaces follow words (treat_whitespace_as_suffix)");
  TokenizerSource::Gguf out;
  const bool bpe = model.type == SentencePieceModel::Type::kBpe;
  out.model = bpe ? "llama" : "t5";
  out.pre = "default";
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    std::string text = piece.text;
    const bool user = piece.type == SentencePieceModel::PieceType::kUserDefined;
    for (size_t at = 0; user && (at = text.find("\xE2\x96\x81", at)) != text.npos;)
      text.replace(at, 3, " ");
    out.tokens.push_back(std::move(text));
    out.scores.push_back(piece.score);
    out.types.push_back(static_cast<int32_t>(piece.type));
  }
  for (size_t id = out.tokens.size(); id < static_cast<size_t>(V); ++id) {
    out.tokens.push_back(fmt::format("[PAD{}]", id));
    out.scores.push_back(-1000);
    out.types.push_back(kUnused);
  }
  if (settings.is_object() && settings.contains("added_tokens_decoder"))
    for (const auto& [key, token] : settings["added_tokens_decoder"].items()) {
      const int64_t id = std::atoll(key.c_str());
      if (!token.is_object() || !token.contains("content") || !token["content"].is_string())
        return bad_input("tokenizer_config.json: the added token \"{}\" has no content", key);
      if (id < 0 || id >= V)
        return bad_input(
            "tokenizer_config.json: an added token has the id {}, but the model has {} "
            "embeddings",
            key, V);
      const auto i = static_cast<size_t>(id);
      if (id < static_cast<int64_t>(model.pieces.size())) continue;
      out.tokens[i] = token["content"].get<std::string>();
      out.types[i] =
          flag(token, "special", false) || looks_special(out.tokens[i]) ? kControl : kUserDefined;
    }
  out.bos_id = id_of(out, settings, "bos_token", model.bos_id);
  out.eos_id = id_of(out, settings, "eos_token", model.eos_id);
  out.unknown_id = model.unknown_id;
  out.padding_id = id_of(out, settings, "pad_token", model.padding_id);
  out.add_bos = flag(settings, "add_bos_token", bpe);
  out.add_eos = flag(settings, "add_eos_token", !bpe);
  out.add_space_prefix = model.dummy_prefix;
  out.remove_extra_spaces = model.remove_extra_spaces;
  out.precompiled_charsmap = model.charsmap;
  return out;
}

}  // namespace

Result<TokenizerSource::Gguf> to_gguf_tokenizer(const TokenizerSource& source,
                                                const ModelConfig& config) {
  if (source.gguf) return *source.gguf;
  if (const auto file = source.files.find("tokenizer.model"); file != source.files.end()) {
    json settings;
    if (!source.tokenizer_config_json.empty()) {
      SLLM_TRY(settings, parse_json(source.tokenizer_config_json, "tokenizer_config.json"));
    }
    return from_sentencepiece(file->second, settings, config.V).context(file->first);
  }
  if (!source.files.empty())
    return with_hint(
        bad_input("a tokenizer of {} cannot be written to GGUF", source.files.begin()->first),
        "Save the model with a tokenizer.json (transformers: AutoTokenizer.save_pretrained)");
  SLLM_TRY(const json root, parse_json(source.tokenizer_json, "tokenizer.json"));
  json settings;
  if (!source.tokenizer_config_json.empty()) {
    SLLM_TRY(settings, parse_json(source.tokenizer_config_json, "tokenizer_config.json"));
  }
  if (!root.is_object() || !root.contains("model") || type_of(root["model"]) != "BPE" ||
      flag(root["model"], "byte_fallback", false))
    return bad_input("tokenizer.json: only byte-level BPE can be written to GGUF");
  TokenizerSource::Gguf out;
  out.model = "gpt2";
  out.pre = root.contains("pre_tokenizer") ? pre_name(root["pre_tokenizer"]) : "";
  if (out.pre.empty())
    return bad_input(
        "tokenizer.json: its pre-tokenizer has no GGUF name known here (gpt-2, smollm, qwen2 and "
        "llama-bpe are)");
  SLLM_OK(add_tokens(root, config.V, out));
  SLLM_OK(add_merges(root["model"], out));
  out.bos_id = id_of(out, settings, "bos_token", config.bos_id);
  out.eos_id =
      id_of(out, settings, "eos_token", config.eos_ids.empty() ? -1 : config.eos_ids.front());
  out.unknown_id = id_of(out, settings, "unk_token", -1);
  out.padding_id = id_of(out, settings, "pad_token", -1);
  out.add_bos =
      out.bos_id >= 0 && root.contains("post_processor") &&
      template_begins_with(root["post_processor"], out.tokens[static_cast<size_t>(out.bos_id)]);
  return out;
}

}  // namespace sllm
