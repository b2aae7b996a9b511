#include "io/expected_tensors.h"

namespace sllm {

std::map<std::string, Shape> expected_tensors(const ModelConfig& c) {
  std::map<std::string, Shape> out;
  out["model.embed_tokens.weight"] = {c.V, c.D};
  out["model.norm.weight"] = {c.D};
  if (!c.tied_embeddings) out["lm_head.weight"] = {c.V, c.D};
  for (int64_t layer = 0; layer < c.L; ++layer) {
    const auto linear = [&](const char* name, int64_t rows, int64_t cols, bool bias) {
      const std::string module = fmt::format("model.layers.{}.{}", layer, name);
      out[module + ".weight"] = {rows, cols};
      if (bias) out[module + ".bias"] = {rows};
    };
    linear("self_attn.q_proj", c.H * c.Dh, c.D, c.qkv_bias);
    linear("self_attn.k_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
    linear("self_attn.v_proj", c.Hk * c.Dh, c.D, c.qkv_bias);
    linear("self_attn.o_proj", c.D, c.H * c.Dh, c.o_bias);
    linear("mlp.gate_proj", c.F, c.D, c.mlp_bias);
    linear("mlp.up_proj", c.F, c.D, c.mlp_bias);
    linear("mlp.down_proj", c.D, c.F, c.mlp_bias);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      out[fmt::format("model.layers.{}.{}.weight", layer, norm)] = {c.D};
  }
  return out;
}

Status check_tensors(const ModelConfig& config, const std::vector<TensorInfo>& tensors) {
  std::map<std::string, Shape> missing = expected_tensors(config);
  for (const TensorInfo& t : tensors) {
    const auto wanted = missing.find(t.name);
    if (wanted == missing.end())
      return bad_input("tensor \"{}\" is not part of a {} model with {} layers", t.name,
                       config.architecture, config.L);
    if (t.shape != wanted->second)
      return bad_input("tensor \"{}\" has the shape [{}], expected [{}]", t.name,
                       fmt::join(t.shape, ", "), fmt::join(wanted->second, ", "));
    if (!info(t.dtype).decode)
      return bad_input("tensor \"{}\" holds {}, expected a float or block format", t.name,
                       info(t.dtype).name);
    missing.erase(wanted);
  }
  if (!missing.empty())
    return bad_input("tensor \"{}\" {}is missing", missing.begin()->first,
                     missing.size() > 1 ? fmt::format("(and {} more) ", missing.size() - 1) : "");
  return ok();
}

}  // namespace sllm
