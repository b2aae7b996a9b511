#include "models/tensor_names.h"

#include "io/gguf_rope.h"

namespace sllm {
namespace {

Tensor shifted(const Tensor& t, float by) {
  Tensor out = t.dtype() == DType::kF32 ? t.clone() : t.to_f32();
  for (int64_t i = 0; i < out.size(); ++i) out.data<float>()[i] += by;
  return out;
}

}  // namespace

GgufForm shifted_by_one() {
  return {[](const Tensor& t, int64_t) { return shifted(t, 1); },
          [](const Tensor& t, int64_t) { return shifted(t, -1); }};
}

void model_tensors(TensorList& list, const ModelConfig& c, const DecoderNames& names) {
  list.add(names.embedding + ".weight", "token_embd.weight", {c.V, c.D});
  list.add(names.norm + ".weight", names.gguf_norm + ".weight", {c.D},
           c.norms_around_one ? shifted_by_one() : GgufForm{});
  if (!c.tied_embeddings) list.add(names.head + ".weight", "output.weight", {c.V, c.D});
}

void layer_norm_tensor(TensorList& list, int64_t layer, const char* hf, const char* gguf,
                       int64_t width, GgufForm form) {
  list.add(fmt::format("{}.{}.weight", hf_layer(layer), hf),
           fmt::format("{}.{}.weight", gguf_layer(layer), gguf), {width}, form);
}

void attention_tensors(TensorList& list, const ModelConfig& c, int64_t layer, bool permuted) {
  const std::string hf = hf_layer(layer) + ".self_attn.", gguf = gguf_layer(layer) + ".";
  const GgufForm q = permuted ? permuted_rows(c.H) : GgufForm{};
  const GgufForm k = permuted ? permuted_rows(c.Hk) : GgufForm{};
  list.linear(hf + "q_proj", gguf + "attn_q", c.H * c.Dh, c.D, c.qkv_bias, q);
  list.linear(hf + "k_proj", gguf + "attn_k", c.Hk * c.Dh, c.D, c.qkv_bias, k);
  list.linear(hf + "v_proj", gguf + "attn_v", c.Hk * c.Dh, c.D, c.qkv_bias);
  list.linear(hf + "o_proj", gguf + "attn_output", c.D, c.H * c.Dh, c.o_bias);
}

void mlp_tensors(TensorList& list, const ModelConfig& c, int64_t layer) {
  const std::string hf = hf_layer(layer) + ".mlp.", gguf = gguf_layer(layer) + ".";
  const int64_t F = c.mlp_width(layer);
  list.linear(hf + "gate_proj", gguf + "ffn_gate", F, c.D, c.mlp_bias);
  list.linear(hf + "up_proj", gguf + "ffn_up", F, c.D, c.mlp_bias);
  list.linear(hf + "down_proj", gguf + "ffn_down", c.D, F, c.mlp_bias);
}

std::vector<TensorSpec> block_tensors(const ModelConfig& c, const BlockNames& names) {
  TensorList list;
  model_tensors(list, c);
  const GgufForm form = c.norms_around_one ? shifted_by_one() : GgufForm{};
  for (int64_t i = 0; i < c.L; ++i) {
    const auto norm = [&](const char* hf, const char* gguf, int64_t width) {
      if (hf) layer_norm_tensor(list, i, hf, gguf, width, form);
    };
    norm(names.attention_norm, "attn_norm", c.D);
    attention_tensors(list, c, i, names.permuted);
    if (names.qk_norm != QkNorm::kNone) {
      const bool head = names.qk_norm == QkNorm::kHead;
      norm("self_attn.q_norm", "attn_q_norm", head ? c.Dh : c.H * c.Dh);
      norm("self_attn.k_norm", "attn_k_norm", head ? c.Dh : c.Hk * c.Dh);
    }
    norm(names.attention_post_norm, "post_attention_norm", c.D);
    norm(names.mlp_norm, "ffn_norm", c.D);
    mlp_tensors(list, c, i);
    norm(names.mlp_post_norm, "post_ffw_norm", c.D);
  }
  return list.take();
}

}  // namespace sllm
