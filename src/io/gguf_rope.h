// Where ggml's rotary embedding differs from Hugging Face's, for the llama family: the order of q
// and k rows, and how Llama 3.1's frequency scaling is stored.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/architecture.h"
#include "tensor/tensor.h"

namespace sllm {

// ggml rotates neighbouring rows (2i, 2i+1) of a head, Hugging Face rows (i, i + Dh/2). Whole rows
// move, so block formats are fine. `t`: [heads*Dh, in] or [heads*Dh].
Tensor to_ggml_rows(const Tensor& t, int64_t heads);
Tensor to_hf_rows(const Tensor& t, int64_t heads);
// That form, for tensors of `heads` heads.
inline GgufForm permuted_rows(int64_t heads) { return {to_ggml_rows, to_hf_rows, heads}; }

// The contents of rope_freqs.weight: what each of the Dh/2 frequencies is divided by.
std::vector<float> llama3_divisors(const ModelConfig& config);
// The scaling whose divisors these are; nullopt when they are not of that form.
std::optional<Rope> llama3_from_divisors(const ModelConfig& config,
                                         std::span<const float> divisors);

}  // namespace sllm
