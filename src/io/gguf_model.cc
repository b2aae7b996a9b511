#include "io/gguf_model.h"

#include <algorithm>

#include "io/pooling.h"

namespace sllm {
namespace {

const GgufTensor* find(const GgufFile& file, std::string_view name) {
  const auto it = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  return it == file.tensors().end() ? nullptr : &*it;
}

// The first row of that name, or the one that the file's own key names.
Result<const Architecture*> find_architecture(const GgufFile& file, Architectures known) {
  SLLM_TRY(const auto name, file.string("general.architecture"));
  if (!name) return bad_input("the metadata key \"general.architecture\" is missing");
  SLLM_TRY(const auto type, file.string(kModelTypeKey));
  const Architecture* first = nullptr;
  for (const Architecture* a : known) {
    if (a->gguf != *name) continue;
    if (type && a->model_type == *type) return a;
    if (!first) first = a;
  }
  if (first) return first;
  return with_hint(bad_input("architecture \"{}\" is not supported", *name),
                   "Supported: " + names_of(known, &Architecture::gguf));
}

Status check_id(std::string_view key, int64_t id, size_t tokens) {
  if (id < 0 || static_cast<uint64_t>(id) >= tokens)
    return bad_input("{} is {}, but there are {} tokens", key, id, tokens);
  return ok();
}

}  // namespace

Result<ModelConfig> gguf_config(const GgufFile& file, Architectures known) {
  ModelConfig c;
  SLLM_TRY(c.architecture, find_architecture(file, known));
  SLLM_TRY(const auto name, file.string("general.name"));
  c.name = name.value_or("");
  const std::string architecture(c.architecture->gguf);
  SLLM_TRY(const auto experts, file.integer(architecture + ".expert_count"));
  if (experts.value_or(0) > 0) return bad_input("mixture-of-experts models are not supported");
  // What config.json says in words, GGUF shows by its tensors.
  const GgufTensor* embedding = find(file, "token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    return bad_input("the tensor \"token_embd.weight\" is missing or not a matrix");
  c.V = embedding->shape[0];
  c.tied_embeddings = find(file, "output.weight") == nullptr;
  c.qkv_bias = find(file, "blk.0.attn_q.bias") != nullptr;
  c.o_bias = find(file, "blk.0.attn_output.bias") != nullptr;
  c.mlp_bias = find(file, "blk.0.ffn_up.bias") != nullptr;
  const GgufTensor* types = find(file, "token_types.weight");
  if (types && types->shape.size() == 2) c.token_types = types->shape[0];
  ConfigFields fields = ConfigFields::read_gguf(file, architecture);
  c.architecture->fields(fields, c);
  pooling_fields(fields, c);
  SLLM_OK(fields.status());

  SLLM_TRY(const auto bos, file.integer("tokenizer.ggml.bos_token_id"));
  if (bos) SLLM_OK(check_id("tokenizer.ggml.bos_token_id", *bos, static_cast<size_t>(c.V)));
  if (bos) c.bos_id = static_cast<int32_t>(*bos);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    SLLM_TRY(const auto id, file.integer(key));
    if (!id) continue;
    SLLM_OK(check_id(key, *id, static_cast<size_t>(c.V)));
    if (std::ranges::find(c.eos_ids, *id) == c.eos_ids.end())
      c.eos_ids.push_back(static_cast<int32_t>(*id));
  }
  SLLM_TRY(const auto all_ends, file.integers("sllm.eos_token_ids"));
  for (int32_t id : all_ends.value_or(std::vector<int32_t>()))
    if (std::ranges::find(c.eos_ids, id) == c.eos_ids.end()) c.eos_ids.push_back(id);
  SLLM_OK(validate(c));
  return c;
}

Result<std::optional<TokenizerSource::Gguf>> gguf_tokenizer(const GgufFile& file,
                                                            const ModelConfig& config) {
  SLLM_TRY(const auto model, file.string("tokenizer.ggml.model"));
  if (!model || *model == "none" || *model == "no_vocab")
    return std::optional<TokenizerSource::Gguf>();
  TokenizerSource::Gguf t;
  t.model = *model;
  SLLM_TRY(const auto pre, file.string("tokenizer.ggml.pre"));
  t.pre = pre.value_or("");
  SLLM_TRY(auto tokens, file.strings("tokenizer.ggml.tokens"));
  if (!tokens || tokens->empty())
    return bad_input("the metadata key \"tokenizer.ggml.tokens\" is missing or empty");
  t.tokens = std::move(*tokens);
  if (static_cast<int64_t>(t.tokens.size()) > config.V)
    return bad_input("the tokenizer has {} tokens, the embedding only {} rows", t.tokens.size(),
                     config.V);
  SLLM_TRY(auto merges, file.strings("tokenizer.ggml.merges"));
  if (merges) t.merges = std::move(*merges);
  SLLM_TRY(auto scores, file.floats("tokenizer.ggml.scores"));
  if (scores) t.scores = std::move(*scores);
  SLLM_TRY(auto types, file.integers("tokenizer.ggml.token_type"));
  if (types) t.types = std::move(*types);
  if (!t.scores.empty() && t.scores.size() != t.tokens.size())
    return bad_input("tokenizer.ggml.scores has {} entries for {} tokens", t.scores.size(),
                     t.tokens.size());
  if (!t.types.empty() && t.types.size() != t.tokens.size())
    return bad_input("tokenizer.ggml.token_type has {} entries for {} tokens", t.types.size(),
                     t.tokens.size());
  const std::pair<const char*, int32_t*> ids[] = {
      {"tokenizer.ggml.bos_token_id", &t.bos_id},
      {"tokenizer.ggml.eos_token_id", &t.eos_id},
      {"tokenizer.ggml.unknown_token_id", &t.unknown_id},
      {"tokenizer.ggml.padding_token_id", &t.padding_id},
      {"tokenizer.ggml.eot_token_id", &t.eot_id},
      {"tokenizer.ggml.seperator_token_id", &t.separator_id},  // llama.cpp's spelling
      {"tokenizer.ggml.mask_token_id", &t.mask_id},
  };
  for (const auto& [key, field] : ids) {
    SLLM_TRY(const auto id, file.integer(key));
    if (!id) continue;
    SLLM_OK(check_id(key, *id, t.tokens.size()));
    *field = static_cast<int32_t>(*id);
  }
  SLLM_TRY(t.add_bos, file.boolean("tokenizer.ggml.add_bos_token"));
  SLLM_TRY(t.add_eos, file.boolean("tokenizer.ggml.add_eos_token"));
  SLLM_TRY(t.add_space_prefix, file.boolean("tokenizer.ggml.add_space_prefix"));
  SLLM_TRY(t.remove_extra_spaces, file.boolean("tokenizer.ggml.remove_extra_whitespaces"));
  SLLM_TRY(const auto charsmap, file.bytes("tokenizer.ggml.precompiled_charsmap"));
  t.precompiled_charsmap = charsmap.value_or("");
  SLLM_TRY(const auto steps, file.string("sllm.tokenizer.steps"));
  t.steps = steps.value_or("");
  return std::optional(std::move(t));
}

std::map<std::string, std::string> gguf_description(const GgufFile& file) {
  // Only what is a string or a number; the arrays are large and not for people.
  static constexpr std::pair<std::string_view, std::string_view> kKeys[] = {
      {"general.name", "name"},
      {"general.license", "license"},
      {"general.license.link", "license_link"},
      {"general.organization", "organization"},
      {"general.basename", "basename"},
      {"general.size_label", "size_label"},
      {"general.finetune", "finetune"},
      {"general.description", "description"},
      {"general.url", "url"},
      {"general.source.url", "source_url"},
  };
  std::map<std::string, std::string> out;
  const auto add = [&](std::string_view key, std::string_view as) {
    const auto value = file.string(key);
    if (value.ok() && *value) out[std::string(as)] = **value;
  };
  for (const auto& [key, as] : kKeys) add(key, as);
  for (const auto& [key, value] : file.metadata())
    if (key.starts_with("sllm.") && key != kModelTypeKey) add(key, key);
  return out;
}

}  // namespace sllm
