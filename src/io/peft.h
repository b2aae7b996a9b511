// LoRA adapters in PEFT's format: adapter_config.json + adapter_model.safetensors with tensors
// named base_model.model.<module>.lora_A.weight [R, in] and .lora_B.weight [out, R].
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace sllm {

struct LoraAdapter {
  struct Pair {
    Tensor A;  // F32 [R, in]
    Tensor B;  // F32 [out, R]
  };
  int64_t rank = 16;
  float alpha = 32;  // the update is alpha / rank * B A  (alpha / sqrt(rank) with rslora)
  bool rslora = false;
  std::string base_model;               // name or path of the base, base_model_name_or_path
  std::map<std::string, Pair> modules;  // "model.layers.0.self_attn.q_proj" -> pair
  float scale() const;
};
Result<LoraAdapter> read_peft_adapter(const fs::path& folder);
Status write_peft_adapter(const fs::path& folder, const LoraAdapter& adapter);

}  // namespace sllm
