// The choice of instruction set, and each level's decoders against the reference codecs.
#include "kernels/table.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/rng.h"

namespace sllm::kernels {
namespace {

TEST(KernelTable, ForcedLevelIsActive) {
  const char* forced = std::getenv("SLLM_ISA");
  ASSERT_TRUE(active().ok()) << active().error().to_string();
  EXPECT_EQ(std::string(active().value()->name), forced ? forced : supported_levels().back()->name);
}

TEST(KernelTable, UnknownLevelIsAnErrorThatNamesTheChoices) {
  const auto chosen = choose("sse9");
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::kUsage);
  EXPECT_THAT(chosen.error().to_string(), testing::HasSubstr("scalar"));
}

TEST(KernelTable, DecodesEveryFormatLikeTheReference) {
  const KernelTable& table = *active().value();
  constexpr int64_t n = 1024;
  std::vector<float> values(n), expected(n), actual(n + 32);
  std::vector<uint16_t> rounded(n + 32);
  Rng rng(7);
  for (int64_t i = 0; i < n; ++i) values[i] = rng.normal() * static_cast<float>(1 + i / 32);
  for (int type = 0; type < kDTypeCount; ++type) {
    const DTypeInfo& format = info(static_cast<DType>(type));
    if (!format.decode) continue;
    std::vector<char> bytes(static_cast<size_t>(bytes_of(format.type, n)));
    format.encode(values.data(), bytes.data(), n);
    for (int64_t size : {n, n - 256, format.block_elements == 256 ? 256 : n - 96,
                         format.block_elements == 1 ? n - 3 : format.block_elements}) {
      format.decode(bytes.data(), expected.data(), size);
      table.decode[type](bytes.data(), actual.data(), size);
      table.decode_to_bf16[type](bytes.data(), rounded.data(), size);
      for (int64_t i = 0; i < size; ++i) {  // == and not bits: a zero may have either sign
        ASSERT_EQ(actual[i], expected[i]) << format.name << " " << i << " of " << size;
        ASSERT_EQ(to_float(bf16{rounded[i]}), to_float(to_bf16(expected[i]))) << format.name;
      }
    }
  }
}

// Arbitrary bits: levels, scales and signs that no encoder writes. Scales that are infinite or NaN
// are left out: their numbers are in no model.
TEST(KernelTable, DecodesArbitraryBytesLikeTheReference) {
  const KernelTable& table = *active().value();
  Rng rng(11);
  for (int type = 0; type < kDTypeCount; ++type) {
    const DTypeInfo& format = info(static_cast<DType>(type));
    if (!is_block_format(format.type)) continue;
    const int64_t n = 128 * format.block_elements;
    std::vector<uint8_t> bytes(static_cast<size_t>(bytes_of(format.type, n)));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng.next_u32());
    std::vector<float> expected(static_cast<size_t>(n)), actual(expected.size() + 32);
    std::vector<uint16_t> rounded(actual.size());
    format.decode(bytes.data(), expected.data(), n);
    table.decode[type](bytes.data(), actual.data(), n);
    table.decode_to_bf16[type](bytes.data(), rounded.data(), n);
    int64_t compared = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!std::isfinite(expected[i])) continue;
      ASSERT_EQ(actual[i], expected[i]) << format.name << " " << i;
      ASSERT_EQ(to_float(bf16{rounded[i]}), to_float(to_bf16(expected[i]))) << format.name << i;
      ++compared;
    }
    EXPECT_GT(compared, n / 2) << format.name;
  }
}

}  // namespace
}  // namespace sllm::kernels
