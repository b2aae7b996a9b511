// Which tensor gets which storage type, by the names people know from llama.cpp. Its rules: tensors
// of one dimension stay F32; the output matrix (or the embedding, when tied to it) gets Q6_K; the
// matrices that mixes and the smallest types spend more bits on; a type whose block does not divide
// the row falls back to a neighbour with blocks of 32. Source: llama_tensor_get_type_impl and
// tensor_type_fallback of llama.cpp's src/llama-quant.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/model_source.h"

namespace sllm {

enum class Mix { kPlain, kSmall, kMedium, kLarge };

struct Recipe {
  std::string_view name;   // "Q4_K_M"
  std::string_view alias;  // "Q4_K", or ""
  DType type;              // of most matrices
  Mix mix;                 // K-quants: which tensors get more bits
  uint32_t file_type;      // GGUF's general.file_type, llama.cpp's enum llama_ftype
  std::string_view summary;
};

std::span<const Recipe> recipes();
// Any case; "q4_k" is Q4_K_M. kUsage with the list of names otherwise.
Result<Recipe> find_recipe(std::string_view name);

// The type of one tensor. `pure`: the recipe's type for every matrix, but for fallbacks.
// `weighted`: with an importance matrix, for which the mixes differ a little.
DType type_for(const Recipe& recipe, const ModelConfig& config, const TensorInfo& tensor,
               bool pure = false, bool weighted = false);
// Q2_K and Q3_K -> Q4_0, Q4_K -> Q5_0, Q5_K -> Q5_1, Q6_K -> Q8_0, IQ4_XS -> IQ4_NL where rows of
// `cols` do not fill super-blocks; F16 where not even blocks of 32 fit.
DType with_fallback(DType type, int64_t cols);

}  // namespace sllm
