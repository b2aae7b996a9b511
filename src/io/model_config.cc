// The bounds a model's numbers must keep, whatever file they came from.
#include "io/model_config.h"

#include <algorithm>
#include <cmath>

namespace sllm {
namespace {

struct Bound {
  const char* name;  // Hugging Face's
  int64_t value, low, high;
};

Status validate_delta(const ModelConfig& c) {
  if (std::ranges::find(c.kinds, LayerKind::kDelta) == c.kinds.end()) return ok();
  const Bound bounds[] = {
      {"linear_num_value_heads", c.delta.H, 1, 4096},
      {"linear_num_key_heads", c.delta.Hk, 1, c.delta.H},
      {"linear_key_head_dim", c.delta.Dk, 1, 4096},
      {"linear_value_head_dim", c.delta.Dv, 1, 4096},
  };
  for (const Bound& b : bounds)
    if (b.value < b.low || b.value > b.high)
      return bad_input("{} is {}, expected {} to {}", b.name, b.value, b.low, b.high);
  if (c.delta.H % c.delta.Hk != 0)
    return bad_input("linear_num_value_heads {} is not a multiple of linear_num_key_heads {}",
                     c.delta.H, c.delta.Hk);
  return ok();
}

// Heads of full layers, readers of others' keys and values, per-layer inputs (Gemma 4).
Status validate_layers(const ModelConfig& c) {
  const Bound bounds[] = {
      {"global_head_dim", c.full_Dh, 0, 4096},
      {"num_global_key_value_heads", c.full_Hk, 0, c.H},
      {"num_kv_shared_layers", c.kv_readers, 0, c.L - 1},
      {"hidden_size_per_layer_input", c.layer_input, 0, 1 << 16},
      {"vocab_size_per_layer_input", c.layer_input_vocab, 0, 1 << 24},
      {"type_vocab_size", c.token_types, 0, 1 << 16},
      {"pad_token_id + 1", c.first_position, 0, 1 << 24},
  };
  for (const Bound& b : bounds)
    if (b.value < b.low || b.value > b.high)
      return bad_input("{} is {}, expected {} to {}", b.name, b.value, b.low, b.high);
  if (c.full_Hk > 0 && c.H % c.full_Hk != 0)
    return bad_input("num_attention_heads {} is not a multiple of num_global_key_value_heads {}",
                     c.H, c.full_Hk);
  if (c.full_Dh % 2 != 0)
    return bad_input("global_head_dim is {}, rotary embedding needs an even one", c.full_Dh);
  for (int64_t i = c.L - c.kv_readers; i < c.L; ++i)
    if (c.kind(c.kv_layer(i)) != c.kind(i))
      return bad_input(
          "layer {} is to share the keys and values of an earlier layer of its kind, but none of "
          "the first {} is",
          i, c.L - c.kv_readers);
  return ok();
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

}  // namespace

// In double, then rounded, as transformers' modeling_rope_utils does.
float Rope::scale_of_angles() const {
  if (attention_factor > 0) return attention_factor;
  if (type == "yarn" && mscale > 0 && mscale_all_dim > 0)
    return static_cast<float>(yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim));
  if (type == "yarn") return static_cast<float>(yarn_mscale(factor, 1));
  if (type == "longrope" && factor > 1)
    return static_cast<float>(std::sqrt(1 + std::log(static_cast<double>(factor)) /
                                                std::log(static_cast<double>(original_context))));
  return 1;
}

Status validate(const ModelConfig& c) {
  const Bound bounds[] = {
      {"hidden_size", c.D, 1, 1 << 20},
      {"num_hidden_layers", c.L, 1, 512},
      {"num_attention_heads", c.H, 1, 4096},
      {"num_key_value_heads", c.Hk, 1, c.H},
      {"head_dim", c.Dh, 2, 4096},
      {"intermediate_size", c.F, 1, 1 << 22},
      {"vocab_size", c.V, 1, 1 << 24},
      {"max_position_embeddings", c.max_context, 1, 1 << 24},
      {"sliding_window", c.sliding_window, 0, 1 << 24},
      {"the width of the convolution", c.conv_kernel, c.recurrent() ? 1 : 0, 64},
      {"bos_token_id", c.bos_id, -1, c.V - 1},
  };
  for (const Bound& b : bounds)
    if (b.value < b.low || b.value > b.high)
      return bad_input("{} is {}, expected {} to {}", b.name, b.value, b.low, b.high);
  if (c.H % c.Hk != 0)
    return bad_input("num_attention_heads {} is not a multiple of num_key_value_heads {}", c.H,
                     c.Hk);
  if (c.Dh % 2 != 0) return bad_input("head_dim is {}, rotary embedding needs an even one", c.Dh);
  for (int32_t id : c.eos_ids)
    if (id < 0 || id >= c.V) return bad_input("eos_token_id is {}, expected 0 to {}", id, c.V - 1);
  if (!(c.norm_eps > 0 && c.norm_eps < 1))
    return bad_input("rms_norm_eps is {}, expected a small positive number", c.norm_eps);
  if (!(c.rope.theta > 0) || !std::isfinite(c.rope.theta))
    return bad_input("rope_theta is {}, expected a positive number", c.rope.theta);
  const Rope& r = c.rope;
  const auto known = {"none", "linear", "llama3", "yarn", "longrope", "proportional"};
  if (std::ranges::find(known, r.type) == known.end())
    return bad_input("rope_scaling type \"{}\" is not supported ({} are)", r.type,
                     fmt::join(known, ", "));
  if (r.dims % 2 != 0 || r.dims < 0 || r.dims > c.Dh)
    return bad_input("{} of the {} columns of a head are rotated, expected an even number", r.dims,
                     c.Dh);
  if (!(r.share >= 0 && r.share <= 1))
    return bad_input("partial_rotary_factor is {}, expected 0 to 1", r.share);
  if (!(r.factor > 0) || !std::isfinite(r.factor))
    return bad_input("rope_scaling factor is {}, expected a positive number", r.factor);
  if (r.original_context < 0 || r.original_context > 1 << 24)
    return bad_input("original_max_position_embeddings is {}, expected 0 to {}", r.original_context,
                     1 << 24);
  if (r.type == "llama3" &&
      (!(r.low_freq_factor > 0) || !(r.high_freq_factor > r.low_freq_factor) ||
       !std::isfinite(r.high_freq_factor) || r.original_context < 1))
    return bad_input(
        "rope_scaling needs 0 < low_freq_factor < high_freq_factor and a positive "
        "original_max_position_embeddings, found {}, {} and {}",
        r.low_freq_factor, r.high_freq_factor, r.original_context);
  const auto pairs = static_cast<size_t>(c.rope_dims() / 2);
  if (r.type == "longrope" && (r.short_factor.size() != pairs || r.long_factor.size() != pairs))
    return bad_input("rope_scaling has {} short and {} long factors, expected {} of each",
                     r.short_factor.size(), r.long_factor.size(), pairs);
  if (r.type == "longrope" && r.original_context < 2)
    return bad_input("original_max_position_embeddings is {}, expected the context before longrope",
                     r.original_context);
  for (const auto* factors : {&r.short_factor, &r.long_factor})
    for (const float factor : *factors)
      if (!(factor > 0) || !std::isfinite(factor))
        return bad_input("a factor of rope_scaling is {}, expected a positive number", factor);
  if (c.local_rope && (!(c.local_rope->theta > 0) || !std::isfinite(c.local_rope->theta)))
    return bad_input("the local rope_theta is {}, expected a positive number", c.local_rope->theta);
  if (c.query_scale_beta != 0 && r.original_context < 1)
    return bad_input("llama_4_scaling_beta needs original_max_position_embeddings");
  for (const float scale : {c.attention_scale, c.attention_softcap, c.logit_softcap,
                            c.embedding_scale, c.residual_scale, c.logit_scale, c.query_scale_beta})
    if (!std::isfinite(scale))
      return bad_input("a multiplier of the configuration is {}, expected a number", scale);
  SLLM_OK(validate_delta(c));
  const auto layers = static_cast<size_t>(c.L);
  if ((!c.kinds.empty() && c.kinds.size() != layers) ||
      (!c.rotated.empty() && c.rotated.size() != layers))
    return bad_input("the kinds of {} layers are given, expected {}",
                     c.kinds.empty() ? c.rotated.size() : c.kinds.size(), layers);
  const auto attends = [](LayerKind kind) { return kind <= LayerKind::kSliding; };
  SLLM_OK(validate_layers(c));
  if (!c.kinds.empty() && std::ranges::none_of(c.kinds, attends))
    return bad_input("none of the {} layers attends, which is not supported", c.L);
  return ok();
}

}  // namespace sllm
