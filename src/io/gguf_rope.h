// Where ggml's rotary embedding differs from Hugging Face's, for the llama family: the order of q
// and k rows, and how Llama 3.1's frequency scaling is stored.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/model_config.h"
#include "tensor/tensor.h"

namespace sllm {

// Heads of the tensor whose rows GGUF keeps in another order: H for q_proj, Hk for k_proj, 0 for
// all others and for architectures without the permutation (qwen2).
int64_t permuted_heads(const ModelConfig& config, std::string_view hf_name);

// ggml rotates neighbouring rows (2i, 2i+1) of a head, Hugging Face rows (i, i + Dh/2). Whole rows
// move, so block formats are fine. `t`: [heads*Dh, in] or [heads*Dh].
Tensor to_ggml_rows(const Tensor& t, int64_t heads);
Tensor to_hf_rows(const Tensor& t, int64_t heads);

// The contents of rope_freqs.weight: what each of the Dh/2 frequencies is divided by.
std::vector<float> llama3_divisors(const ModelConfig& config);
// The scaling whose divisors these are; nullopt when they are not of that form.
std::optional<RopeScaling> llama3_from_divisors(const ModelConfig& config,
                                                std::span<const float> divisors);

}  // namespace sllm
