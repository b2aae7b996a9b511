// LoRA adapters, and their folder in PEFT's format: adapter_config.json + adapter_model.safetensors
// with tensors named base_model.model.<module>.lora_A.weight [R, in] and .lora_B.weight [out, R].
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace sllm {

struct LoraAdapter {
  // The update of one linear: W + scale B A (Hu et al. 2021). R may differ from the adapter's rank.
  struct Pair {
    Tensor A;  // [R, in]; F32, F16 or BF16, as stored
    Tensor B;  // [out, R]
    // DoRA (Liu et al. 2024), F32 [out]: row n becomes magnitude[n] times its direction,
    // magnitude[n] (W + scale B A)[n] / |(W + scale B A)[n]|. Undefined: plain LoRA.
    Tensor magnitude = {};
    std::optional<float> alpha = {};  // instead of the adapter's
    int64_t rank() const { return A.shape()[0]; }
  };
  int64_t rank = 16;
  float alpha = 32;  // the update is alpha / rank * B A  (alpha / sqrt(rank) with rslora)
  bool rslora = false;
  std::string base_model;               // name or path of the base, base_model_name_or_path
  std::map<std::string, Pair> modules;  // "model.layers.0.self_attn.q_proj" -> pair
  float scale() const;                  // of modules that have the adapter's rank and alpha
  float scale(const Pair& pair) const;
};

// Errors: kBadInput naming the file and the tensor or key; what would change the arithmetic in a
// way that is not done here (bias, modules_to_save, other methods ...) is refused by its name.
Result<LoraAdapter> read_peft_adapter(const fs::path& folder);
Status write_peft_adapter(const fs::path& folder, const LoraAdapter& adapter);

}  // namespace sllm
