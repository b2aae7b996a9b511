// What a model is, read once from config.json or GGUF metadata and checked; constant afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/activation.h"

namespace sllm {

struct Architecture;  // io/architecture.h

// Rotary positions (Su et al. 2021) and how their frequencies are scaled for long contexts.
struct Rope {
  float theta = 10000;  // rope_theta
  int64_t dims = 0;     // rotated columns of a head; 0: all of it
  // "none", "linear", "llama3" (Llama 3.1's frequency-dependent scaling), "yarn" (Peng et al. 2023)
  // or "longrope" (Ding et al. 2024). Others are refused by name.
  std::string type = "none";
  float factor = 1;
  float low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_context = 0;                     // llama3, yarn, longrope; 0: not said
  float beta_fast = 32, beta_slow = 1;              // yarn
  float attention_factor = 0;                       // scales cos and sin; 0: the type's formula
  float mscale = 0, mscale_all_dim = 0;             // yarn, as DeepSeek and Mistral write it
  bool truncate = true;                             // yarn: whole dimensions at the borders
  std::vector<float> short_factor, long_factor;     // longrope, [dims / 2]
  bool operator==(const Rope&) const = default;
};

// What a layer's mixer sees of the sequence.
enum class LayerKind : uint8_t {
  kFull,         // attention over all earlier tokens
  kSliding,      // attention over the last sliding_window tokens
  kConvolution,  // a short convolution: the last conv_kernel tokens (LFM2)
  kDelta,        // a short convolution, then the gated delta rule's state (Qwen 3.5)
};

// Widths of the gated delta rule (Yang et al. 2024); value heads are a multiple of key heads.
struct DeltaWidths {
  int64_t H = 0, Hk = 0;   // linear_num_value_heads, linear_num_key_heads
  int64_t Dk = 0, Dv = 0;  // linear_key_head_dim, linear_value_head_dim
  int64_t keys() const { return Hk * Dk; }
  int64_t values() const { return H * Dv; }
};

// Hugging Face's names where it has one (comment), dimension letters of tensor/tensor.h.
struct ModelConfig {
  const Architecture* architecture = nullptr;  // what "model_type" names
  std::string name;                            // for people
  int64_t D = 0;                               // hidden_size
  int64_t L = 0;                               // num_hidden_layers
  int64_t H = 0;                               // num_attention_heads
  int64_t Hk = 0;                              // num_key_value_heads
  int64_t Dh = 0;                              // head_dim
  int64_t F = 0;                               // intermediate_size
  int64_t V = 0;            // rows of the embedding (may exceed the tokenizer's size)
  int64_t max_context = 0;  // max_position_embeddings
  float norm_eps = 1e-5f;   // rms_norm_eps, layer_norm_eps
  Activation activation = Activation::kSilu;  // hidden_act
  bool tied_embeddings = false;               // lm_head shares embed_tokens
  bool norms_around_one = false;              // norms multiply by 1 + weight
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool post_norms = false;  // a norm behind each sublayer, where the architecture leaves it open

  Rope rope;
  std::optional<Rope> local_rope;  // of sliding layers, where it differs
  int64_t sliding_window = 0;      // 0: none
  std::vector<LayerKind> kinds;    // of each layer; empty: all alike, sliding if there is a window
  std::vector<bool> rotated;       // which layers rotate q and k; empty: all
  bool parallel_residual = false;  // attention and MLP read the same rows

  int64_t conv_kernel = 0;  // linear_conv_kernel_dim, conv_L_cache: tokens that a convolution sees
  bool conv_bias = false;   // on the convolution and the projections around it
  DeltaWidths delta;        // of kDelta layers
  int64_t predictor_layers = 0;  // GGUF: blocks behind the L that predict further tokens; not read

  float attention_scale = 0;    // of q·k; 0: 1/sqrt(Dh)
  float attention_softcap = 0;  // s = cap tanh(s / cap); 0: none
  float logit_softcap = 0;
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;

  float query_scale_beta = 0;  // q *= 1 + beta log(1 + floor(position / original context))

  int32_t bos_id = -1;
  std::vector<int32_t> eos_ids;  // from generation_config.json too

  LayerKind kind(int64_t layer) const {
    if (!kinds.empty()) return kinds[static_cast<size_t>(layer)];
    return sliding_window > 0 ? LayerKind::kSliding : LayerKind::kFull;
  }
  bool attends(int64_t layer) const { return kind(layer) <= LayerKind::kSliding; }
  // Whether some layer keeps a state instead of keys and values.
  bool recurrent() const {
    for (const LayerKind k : kinds)
      if (k > LayerKind::kSliding) return true;
    return false;
  }
  // The channels of a layer's convolution: the delta rule's queries, keys and values pass one too.
  int64_t conv_channels(int64_t layer) const {
    return kind(layer) == LayerKind::kConvolution ? D : 2 * delta.keys() + delta.values();
  }
  // The f32 numbers that a layer keeps of a sequence however long it is: the rows before the next
  // one [conv_kernel - 1, channels], then the delta rule's [H, Dk, Dv]. 0: it attends.
  int64_t state_size(int64_t layer) const {
    if (attends(layer)) return 0;
    const int64_t rows = (conv_kernel - 1) * conv_channels(layer);
    return kind(layer) == LayerKind::kDelta ? rows + delta.values() * delta.Dk : rows;
  }
  int64_t window(int64_t layer) const {
    return kind(layer) == LayerKind::kSliding ? sliding_window : 0;
  }
  bool rotates(int64_t layer) const {
    return rotated.empty() || rotated[static_cast<size_t>(layer)];
  }
  int64_t rope_dims() const { return rope.dims > 0 ? rope.dims : Dh; }
};

// Bounds of research on broken files: L <= 512, H > 0, H % Hk == 0, V >= 1, context <= 2^24 ...
// Error: kBadInput naming the first field that is out of range.
Status validate(const ModelConfig& config);

}  // namespace sllm
