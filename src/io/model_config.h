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
  // "none", "linear", "llama3" (Llama 3.1's frequency-dependent scaling), "yarn" (Peng et al.
  // 2023), "longrope" (Ding et al. 2024) or "proportional" (Gemma 4). Others are refused by name.
  std::string type = "none";
  float factor = 1;
  float low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_context = 0;                     // llama3, yarn, longrope; 0: not said
  float beta_fast = 32, beta_slow = 1;              // yarn
  float attention_factor = 0;                       // scales cos and sin; 0: the type's formula
  float mscale = 0, mscale_all_dim = 0;             // yarn, as DeepSeek and Mistral write it
  bool truncate = true;                             // yarn: whole dimensions at the borders
  std::vector<float> short_factor, long_factor;     // longrope, [dims / 2]
  float share = 1;  // proportional: of a head's column pairs only the first turn, others stay
  // What cos and sin are multiplied by: attention_factor, or what the type's formula says.
  float scale_of_angles() const;
  // longrope: whether all of a text of so many tokens turns by long_factor (transformers' rule).
  bool stretches(int64_t tokens) const { return type == "longrope" && tokens > original_context; }
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

// How an encoder's rows become one vector, as the modules of sentence-transformers say.
struct Pooling {
  enum class Rows : uint8_t { kMean, kFirst, kLast };
  Rows rows = Rows::kMean;
  std::vector<int64_t> dense;  // widths of the linear layers behind it (no bias, no activation)
  bool normalize = true;       // to unit length, last
  bool operator==(const Pooling&) const = default;
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

  // Full layers may have heads of their own (Gemma 4); 0: as Dh and Hk say.
  int64_t full_Dh = 0, full_Hk = 0;  // global_head_dim, num_global_key_value_heads
  bool keys_are_values = false;      // attention_k_eq_v: full layers project both at once
  // num_kv_shared_layers: so many at the end have no keys and values of their own but read those of
  // the last layer of their kind before them.
  int64_t kv_readers = 0;
  bool wide_readers = false;  // use_double_wide_mlp: their MLP has twice the width
  // Numbers that every layer gets of each token beside the rows; 0: none.
  int64_t layer_input = 0;        // hidden_size_per_layer_input
  int64_t layer_input_vocab = 0;  // vocab_size_per_layer_input; 0: V

  int64_t conv_kernel = 0;  // linear_conv_kernel_dim, conv_L_cache: tokens that a convolution sees
  bool conv_bias = false;   // on the convolution and the projections around it
  DeltaWidths delta;        // of kDelta layers
  int64_t predictor_layers = 0;  // GGUF: blocks behind the L that predict further tokens; not read

  float attention_scale = 0;    // of q·k; 0: 1/sqrt(Dh)
  float attention_softcap = 0;  // s = cap tanh(s / cap); 0: none
  float logit_softcap = 0;
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;

  float query_scale_beta = 0;  // q *= 1 + beta log(1 + floor(position / original context))

  // Encoders: every token sees the whole text, and nothing is generated.
  bool causal = true;
  int64_t token_types = 0;     // type_vocab_size
  int64_t first_position = 0;  // where the table of learned positions begins to be used
  std::optional<Pooling> pooling;

  int32_t bos_id = -1;
  std::vector<int32_t> eos_ids;  // from generation_config.json too

  LayerKind kind(int64_t layer) const {
    if (!kinds.empty()) return kinds[static_cast<size_t>(layer)];
    return sliding_window > 0 ? LayerKind::kSliding : LayerKind::kFull;
  }
  bool attends(int64_t layer) const { return kind(layer) <= LayerKind::kSliding; }
  int64_t kv_heads(int64_t layer) const {
    return full_Hk > 0 && kind(layer) == LayerKind::kFull ? full_Hk : Hk;
  }
  int64_t head_width(int64_t layer) const {
    return full_Dh > 0 && kind(layer) == LayerKind::kFull ? full_Dh : Dh;
  }
  // The layer whose keys and values this one reads: usually its own.
  int64_t kv_layer(int64_t layer) const {
    int64_t at = layer;
    if (layer >= L - kv_readers)
      for (at = L - kv_readers - 1; at > 0 && kind(at) != kind(layer);) --at;
    return at;
  }
  // Whether it remembers keys and values.
  bool has_kv(int64_t layer) const { return attends(layer) && kv_layer(layer) == layer; }
  int64_t mlp_width(int64_t layer) const { return wide_readers && !has_kv(layer) ? 2 * F : F; }
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
  int64_t rope_dims() const { return rope.dims > 0 ? rope.dims : full_Dh > 0 ? full_Dh : Dh; }
};

// Bounds of research on broken files: L <= 512, H > 0, H % Hk == 0, V >= 1, context <= 2^24 ...
// Error: kBadInput naming the first field that is out of range.
Status validate(const ModelConfig& config);

}  // namespace sllm
