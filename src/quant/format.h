// The storage types of weights. A block format packs `block_elements` consecutive numbers of a row
// into `block_bytes`; layouts are those of GGUF (ggml's docs/gguf.md and block definitions).
// One header per block format holds its struct, size assert, reference encode and decode; this
// table is the one place that lists them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sllm {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,  // blocks of 32
  kQ4_K,
  kQ5_K,
  kQ6_K,  // super-blocks of 256
  kI32,
  kI8,
  kIQ4_NL,
  kMXFP4,  // blocks of 32
  kQ2_K,
  kQ3_K,
  kIQ4_XS,  // super-blocks of 256
};
inline constexpr int kDTypeCount = 18;

struct DTypeInfo {
  DType type;
  std::string_view name;   // "Q4_K", as people and GGUF tools write it
  int ggml_id;             // type id in a GGUF file
  int64_t block_elements;  // 1 for plain types
  int64_t block_bytes;
  // Reference codecs over n elements (a multiple of block_elements). Null for integers.
  void (*decode)(const void* src, float* dst, int64_t n);
  void (*encode)(const float* src, void* dst, int64_t n);
};

const DTypeInfo& info(DType type);
std::optional<DType> dtype_from_ggml(int ggml_id);
// The name of any type that ggml has or had, supported here or not ("IQ2_XXS"); "" for other ids.
std::string_view ggml_type_name(int ggml_id);
std::optional<DType> dtype_from_name(std::string_view name);  // "q4_k", "Q4_K", "bf16"
inline bool is_block_format(DType t) { return info(t).block_elements > 1; }
// Bytes of n elements; n must be a multiple of the block.
inline int64_t bytes_of(DType t, int64_t n) {
  return n / info(t).block_elements * info(t).block_bytes;
}

}  // namespace sllm
