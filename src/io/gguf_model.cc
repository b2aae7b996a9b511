#include "io/gguf_model.h"

#include <algorithm>

#include "io/gguf_rope.h"

namespace sllm {
namespace {

// Metadata keys of a model begin with its architecture: "llama.block_count".
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  std::string full(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }
  bool has(std::string_view key) const { return file_.has(full(key)); }

  Result<int64_t> integer(std::string_view key) const {
    SLLM_TRY(const auto value, file_.integer(full(key)));
    if (!value) return bad_input("the metadata key \"{}\" is missing", full(key));
    return *value;
  }
  Result<int64_t> integer_or(std::string_view key, int64_t otherwise) const {
    SLLM_TRY(const auto value, file_.integer(full(key)));
    return value.value_or(otherwise);
  }
  Result<float> number_or(std::string_view key, double otherwise) const {
    SLLM_TRY(const auto value, file_.number(full(key)));
    return static_cast<float>(value.value_or(otherwise));
  }
  Result<std::string> string_or(std::string_view key, std::string otherwise) const {
    SLLM_TRY(const auto value, file_.string(full(key)));
    return value.value_or(std::move(otherwise));
  }

 private:
  const GgufFile& file_;
  std::string architecture_;
};

const GgufTensor* find(const GgufFile& file, std::string_view name) {
  const auto it = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  return it == file.tensors().end() ? nullptr : &*it;
}

// Context, scaling and theta. Called when Dh is known.
Status read_rope(const GgufFile& file, const Keys& keys, ModelConfig& c) {
  SLLM_TRY(const int64_t rotated, keys.integer_or("rope.dimension_count", c.Dh));
  if (rotated != c.Dh)
    return bad_input("{} is {}, but only rotation of the whole head ({}) is supported",
                     keys.full("rope.dimension_count"), rotated, c.Dh);
  SLLM_TRY(c.rope_theta, keys.number_or("rope.freq_base", 10000));
  SLLM_TRY(c.rope_scaling.type, keys.string_or("rope.scaling.type", "none"));
  SLLM_TRY(c.rope_scaling.factor, keys.number_or("rope.scaling.factor", 1));
  if (keys.has("rope.scale_linear")) {  // the older spelling
    c.rope_scaling.type = "linear";
    SLLM_TRY(c.rope_scaling.factor, keys.number_or("rope.scale_linear", 1));
  }
  if (c.rope_scaling.type == "none") c.rope_scaling = {};
  const GgufTensor* divisors = find(file, "rope_freqs.weight");
  if (!divisors) return ok();
  if (divisors->dtype != DType::kF32 || divisors->shape != Shape{c.Dh / 2})
    return bad_input("rope_freqs.weight is not F32[{}]", c.Dh / 2);
  std::vector<float> values(static_cast<size_t>(c.Dh / 2));
  std::memcpy(values.data(), divisors->data.data(), divisors->data.size());
  const auto scaling = llama3_from_divisors(c, values);
  if (!scaling) return bad_input("rope_freqs.weight is not a llama3 frequency scaling");
  c.rope_scaling = *scaling;
  return ok();
}

Status check_id(std::string_view key, int64_t id, size_t tokens) {
  if (id < 0 || static_cast<uint64_t>(id) >= tokens)
    return bad_input("{} is {}, but there are {} tokens", key, id, tokens);
  return ok();
}

}  // namespace

Result<ModelConfig> gguf_config(const GgufFile& file) {
  SLLM_TRY(const auto architecture, file.string("general.architecture"));
  if (!architecture) return bad_input("the metadata key \"general.architecture\" is missing");
  if (*architecture != "llama" && *architecture != "qwen2")
    return bad_input("architecture \"{}\" is not supported (llama and qwen2 are)", *architecture);
  const Keys keys(file, *architecture);
  ModelConfig c;
  c.architecture = *architecture;
  SLLM_TRY(const auto name, file.string("general.name"));
  c.name = name.value_or("");
  SLLM_TRY(const int64_t experts, keys.integer_or("expert_count", 0));
  if (experts > 0) return bad_input("mixture-of-experts models are not supported");
  SLLM_TRY(c.D, keys.integer("embedding_length"));
  SLLM_TRY(c.L, keys.integer("block_count"));
  SLLM_TRY(c.H, keys.integer("attention.head_count"));
  SLLM_TRY(c.Hk, keys.integer_or("attention.head_count_kv", c.H));
  SLLM_TRY(c.F, keys.integer("feed_forward_length"));
  SLLM_TRY(c.max_context, keys.integer("context_length"));
  SLLM_TRY(c.Dh, keys.integer_or("attention.key_length", c.H > 0 ? c.D / c.H : 0));
  SLLM_TRY(const int64_t value_length, keys.integer_or("attention.value_length", c.Dh));
  if (value_length != c.Dh)
    return bad_input("{} is {}, expected the key length {}", keys.full("attention.value_length"),
                     value_length, c.Dh);
  if (!keys.has("attention.layer_norm_rms_epsilon"))
    return bad_input("the metadata key \"{}\" is missing",
                     keys.full("attention.layer_norm_rms_epsilon"));
  SLLM_TRY(c.norm_eps, keys.number_or("attention.layer_norm_rms_epsilon", 0));
  SLLM_TRY(c.sliding_window, keys.integer_or("attention.sliding_window", 0));

  const GgufTensor* embedding = find(file, "token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    return bad_input("the tensor \"token_embd.weight\" is missing or not a matrix");
  c.V = embedding->shape[0];
  c.tied_embeddings = find(file, "output.weight") == nullptr;
  c.qkv_bias = find(file, "blk.0.attn_q.bias") != nullptr;
  c.o_bias = find(file, "blk.0.attn_output.bias") != nullptr;
  c.mlp_bias = find(file, "blk.0.ffn_gate.bias") != nullptr;

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
  // Bounds first: read_rope makes Dh/2 numbers.
  SLLM_OK(validate(c));
  SLLM_OK(read_rope(file, keys, c));
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
    if (key.starts_with("sllm.")) add(key, key);
  return out;
}

}  // namespace sllm
