// The table of storage types: one row each.
#include "quant/format.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/float16.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace sllm {
namespace {

template <class Block>
void decode_blocks(const void* src, float* dst, int64_t n) {
  const auto* block = static_cast<const Block*>(src);
  for (int64_t i = 0; i < n; i += Block::kElements) (block++)->decode(dst + i);
}
template <class Block>
void encode_blocks(const float* src, void* dst, int64_t n) {
  auto* block = static_cast<Block*>(dst);
  for (int64_t i = 0; i < n; i += Block::kElements) (block++)->encode(src + i);
}
template <class Block>
constexpr DTypeInfo block_format(DType type, std::string_view name, int ggml_id) {
  return {type,
          name,
          ggml_id,
          Block::kElements,
          sizeof(Block),
          decode_blocks<Block>,
          encode_blocks<Block>};
}

void copy_f32(const void* src, float* dst, int64_t n) {
  std::memcpy(dst, src, static_cast<size_t>(n) * 4);
}
void store_f32(const float* src, void* dst, int64_t n) {
  std::memcpy(dst, src, static_cast<size_t>(n) * 4);
}
template <class Half>
void decode_half(const void* src, float* dst, int64_t n) {
  const auto* half = static_cast<const Half*>(src);
  for (int64_t i = 0; i < n; ++i) dst[i] = to_float(half[i]);
}
void encode_f16(const float* src, void* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<f16*>(dst)[i] = to_f16(src[i]);
}
void encode_bf16(const float* src, void* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<bf16*>(dst)[i] = to_bf16(src[i]);
}

// In the order of DType. Ids: ggml's enum ggml_type, as written in GGUF files.
constexpr std::array<DTypeInfo, kDTypeCount> kTable = {{
    {DType::kF32, "F32", 0, 1, 4, copy_f32, store_f32},
    {DType::kF16, "F16", 1, 1, 2, decode_half<f16>, encode_f16},
    {DType::kBF16, "BF16", 30, 1, 2, decode_half<bf16>, encode_bf16},
    block_format<BlockQ8_0>(DType::kQ8_0, "Q8_0", 8),
    block_format<BlockQ4_0>(DType::kQ4_0, "Q4_0", 2),
    block_format<BlockQ4_1>(DType::kQ4_1, "Q4_1", 3),
    block_format<BlockQ5_0>(DType::kQ5_0, "Q5_0", 6),
    block_format<BlockQ5_1>(DType::kQ5_1, "Q5_1", 7),
    block_format<BlockQ4_K>(DType::kQ4_K, "Q4_K", 12),
    block_format<BlockQ5_K>(DType::kQ5_K, "Q5_K", 13),
    block_format<BlockQ6_K>(DType::kQ6_K, "Q6_K", 14),
    {DType::kI32, "I32", 26, 1, 4, nullptr, nullptr},
    {DType::kI8, "I8", 24, 1, 1, nullptr, nullptr},
    block_format<BlockIQ4_NL>(DType::kIQ4_NL, "IQ4_NL", 20),
    block_format<BlockMXFP4>(DType::kMXFP4, "MXFP4", 39),
    block_format<BlockQ2_K>(DType::kQ2_K, "Q2_K", 10),
    block_format<BlockQ3_K>(DType::kQ3_K, "Q3_K", 11),
    block_format<BlockIQ4_XS>(DType::kIQ4_XS, "IQ4_XS", 23),
}};
static_assert([] {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kTable[static_cast<size_t>(i)].type != static_cast<DType>(i)) return false;
  return true;
}());

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace

const DTypeInfo& info(DType type) { return kTable[static_cast<size_t>(type)]; }

std::optional<DType> dtype_from_ggml(int ggml_id) {
  for (const DTypeInfo& row : kTable)
    if (row.ggml_id == ggml_id) return row.type;
  return std::nullopt;
}

std::string_view ggml_type_name(int ggml_id) {
  if (const auto type = dtype_from_ggml(ggml_id)) return info(*type).name;
  static constexpr std::pair<int, std::string_view> kOthers[] = {
      {4, "Q4_2"},        {5, "Q4_3"},        {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"},
      {17, "IQ2_XS"},     {18, "IQ3_XXS"},    {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},
      {25, "I16"},        {27, "I64"},        {28, "F64"},   {29, "IQ1_M"}, {31, "Q4_0_4_4"},
      {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"}, {35, "TQ2_0"}, {36, "IQ4_NL_4_4"},
      {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"}, {41, "Q1_0"},  {42, "Q2_0"}};
  for (const auto& [id, name] : kOthers)
    if (id == ggml_id) return name;
  return {};
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& row : kTable)
    if (equal_ignoring_case(row.name, name)) return row.type;
  return std::nullopt;
}

}  // namespace sllm
