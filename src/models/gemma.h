// What the Gemma family shares: embeddings scaled by sqrt(D), norms that multiply by 1 + weight,
// four norms in a block, attention scaled by query_pre_attn_scalar.
#pragma once

#include <cmath>

#include "models/layers.h"

namespace sllm {

inline void gemma_fields(ConfigFields& f, ModelConfig& c) {
  if (f.reading()) c.norms_around_one = true;
  decoder_fields(f, c,
                 {.tied = true,
                  .head_width = 256,
                  .activation = Activation::kGeluTanh,
                  .activation_key = "hidden_activation"});
  attention_bias_fields(f, c);
  // GGUF has no key for it: llama.cpp takes the head's width, but for the 27B models' D / H.
  int64_t scalar =
      c.attention_scale > 0 ? std::lround(1 / (c.attention_scale * c.attention_scale)) : c.Dh;
  f.integer({"query_pre_attn_scalar", nullptr}, scalar, 256);
  f.number({nullptr, "attention.scale"}, c.attention_scale, 0);
  if (f.in()) c.attention_scale = 1 / std::sqrt(static_cast<float>(scalar));
  if (f.reading()) c.embedding_scale = std::sqrt(static_cast<float>(c.D));
}

inline constexpr BlockNames kGemmaNames{.attention_post_norm = "post_attention_layernorm",
                                        .mlp_norm = "pre_feedforward_layernorm",
                                        .mlp_post_norm = "post_feedforward_layernorm"};

}  // namespace sllm
