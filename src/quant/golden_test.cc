// The reference decoders against gguf-py's on blocks of arbitrary bytes: every bit of every number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <span>
#include <vector>

#include "quant/format.h"

namespace sllm {
namespace {

struct Golden {
  DType type;
  std::vector<size_t> halves;  // where a block holds half-precision numbers
  uint64_t hash;               // of what gguf-py decodes
};

// tests/golden/make_quant_golden.py
const Golden kGolden[] = {
    {DType::kQ8_0, {0}, 0xaccc8b2929d079a1},    {DType::kQ4_0, {0}, 0x114a806cd6f91f59},
    {DType::kQ4_1, {0, 2}, 0x1858741c3dc96619}, {DType::kQ5_0, {0}, 0x6ab167e81a39d5c2},
    {DType::kQ5_1, {0, 2}, 0x551479ad968b454c}, {DType::kIQ4_NL, {0}, 0xcef12a20ff451128},
    {DType::kMXFP4, {}, 0xdfccabe55ced683a},    {DType::kQ2_K, {80, 82}, 0x47de588f76bb41c5},
    {DType::kQ3_K, {108}, 0x154bd7835d39c7ef},  {DType::kQ4_K, {0, 2}, 0x2ba99eeffb3a535f},
    {DType::kQ5_K, {0, 2}, 0x62b824052ca3461e}, {DType::kQ6_K, {208}, 0xbc8847d587b123ef},
    {DType::kIQ4_XS, {0}, 0xe81bbde726f70f48},
};

constexpr size_t kBlocks = 64;

// Bytes that the script computes alike.
std::vector<uint8_t> blocks(const Golden& golden) {
  const auto size = static_cast<size_t>(info(golden.type).block_bytes);
  std::vector<uint8_t> data(kBlocks * size);
  for (size_t i = 0; i < data.size(); ++i) {
    auto h = static_cast<uint32_t>(i) * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    data[i] = static_cast<uint8_t>(h >> 8);
  }
  for (size_t b = 0; b < kBlocks; ++b)
    for (const size_t at : golden.halves) data[b * size + at + 1] &= 0xBF;
  return data;
}

uint64_t fnv1a(std::span<const std::byte> data) {
  uint64_t h = 14695981039346656037u;
  for (const std::byte b : data) h = (h ^ static_cast<uint64_t>(b)) * 1099511628211u;
  return h;
}

TEST(Golden, ArbitraryBytesDecodeAsInGgufPy) {
  for (const Golden& golden : kGolden) {
    const DTypeInfo& format = info(golden.type);
    const std::vector<uint8_t> data = blocks(golden);
    std::vector<float> numbers(kBlocks * static_cast<size_t>(format.block_elements));
    format.decode(data.data(), numbers.data(), static_cast<int64_t>(numbers.size()));
    EXPECT_EQ(fnv1a(std::as_bytes(std::span(numbers))), golden.hash) << format.name;
  }
}

TEST(Golden, EveryBlockFormatIsCovered) {
  std::set<DType> covered;
  for (const Golden& golden : kGolden) covered.insert(golden.type);
  for (int i = 0; i < kDTypeCount; ++i)
    EXPECT_EQ(covered.contains(static_cast<DType>(i)), is_block_format(static_cast<DType>(i)))
        << info(static_cast<DType>(i)).name;
}

}  // namespace
}  // namespace sllm
