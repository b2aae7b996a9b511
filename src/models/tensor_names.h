// The tensors that most decoders share, under their usual names in both formats.
#pragma once

#include <string>

#include "io/architecture.h"

namespace sllm {

// Where an architecture keeps what is around its blocks, in Hugging Face's folder.
struct DecoderNames {
  std::string embedding = "model.embed_tokens", layers = "model.layers", norm = "model.norm",
              head = "lm_head", gguf_norm = "output_norm";
  std::string layer(int64_t i) const { return fmt::format("{}.{}", layers, i); }
};
inline std::string hf_layer(int64_t i) { return DecoderNames().layer(i); }
inline std::string gguf_layer(int64_t i) { return fmt::format("blk.{}", i); }

// Embedding, last norm and, when it is not tied, the head.
void model_tensors(TensorList& list, const ModelConfig& config, const DecoderNames& names = {});
// "<layer>.<hf>.weight" [width].
void layer_norm_tensor(TensorList& list, int64_t layer, const char* hf, const char* gguf,
                       int64_t width, GgufForm form = {});
// llama.cpp's converter adds Gemma's 1 to the norms' weights.
GgufForm shifted_by_one();
// q_proj, k_proj, v_proj, o_proj. `permuted`: GGUF keeps q's and k's rows in ggml's order.
void attention_tensors(TensorList& list, const ModelConfig& config, int64_t layer, bool permuted);
void mlp_tensors(TensorList& list, const ModelConfig& config, int64_t layer);

enum class QkNorm { kNone, kHead, kRow };  // one norm for each head, or one for the whole row

// The norms of a TransformerBlock by their Hugging Face names; null: absent.
struct BlockNames {
  const char* attention_norm = "input_layernorm";
  const char* attention_post_norm = nullptr;
  const char* mlp_norm = "post_attention_layernorm";
  const char* mlp_post_norm = nullptr;
  QkNorm qk_norm = QkNorm::kNone;
  bool permuted = false;  // GGUF keeps q's and k's rows in ggml's order
};
// All tensors of a decoder of such blocks.
std::vector<TensorSpec> block_tensors(const ModelConfig& config, const BlockNames& names);

}  // namespace sllm
