// What a model is, read once from config.json or GGUF metadata and checked; constant afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sllm {

struct RopeScaling {
  // "none", "linear", "llama3" (Llama 3.1's frequency-dependent scaling). Others are refused by
  // name.
  std::string type = "none";
  float factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_context = 8192;
};

// Hugging Face's names where it has one (comment), dimension letters of tensor/tensor.h.
struct ModelConfig {
  std::string architecture;  // model_type: "llama", "mistral", "qwen2", ...
  std::string name;          // for people
  int64_t D = 0;             // hidden_size
  int64_t L = 0;             // num_hidden_layers
  int64_t H = 0;             // num_attention_heads
  int64_t Hk = 0;            // num_key_value_heads
  int64_t Dh = 0;            // head_dim
  int64_t F = 0;             // intermediate_size
  int64_t V = 0;             // rows of the embedding (may exceed the tokenizer's size)
  int64_t max_context = 0;   // max_position_embeddings
  float norm_eps = 1e-5f;    // rms_norm_eps
  float rope_theta = 10000.0f;
  RopeScaling rope_scaling;
  int64_t sliding_window = 0;    // 0: none
  bool tied_embeddings = false;  // lm_head shares embed_tokens
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  int32_t bos_id = -1;
  std::vector<int32_t> eos_ids;  // from generation_config.json too
};

// Bounds of research on broken files: L <= 512, H > 0, H % Hk == 0, V >= 1, context <= 2^24 ...
// Error: kBadInput naming the first field that is out of range.
Status validate(const ModelConfig& config);

}  // namespace sllm
