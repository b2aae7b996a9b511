// Block formats: sizes, round trips within each format's step, and edge values.
#include "quant/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "quant/k_scales.h"

namespace sllm {
namespace {

std::vector<float> normal_numbers(int64_t n, float deviation = 0.02f) {
  Rng rng(7);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = deviation * rng.normal();
  return x;
}

std::vector<float> round_trip(DType type, const std::vector<float>& x) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<char> bytes(static_cast<size_t>(bytes_of(type, n)));
  info(type).encode(x.data(), bytes.data(), n);
  std::vector<float> y(x.size());
  info(type).decode(bytes.data(), y.data(), n);
  return y;
}

double relative_error(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - y[i], 2);
    norm += std::pow(static_cast<double>(x[i]), 2);
  }
  return std::sqrt(error / norm);
}

TEST(Format, NamesAndGgmlIdsFindTheirRow) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeInfo& row = info(static_cast<DType>(i));
    EXPECT_EQ(dtype_from_name(row.name), row.type);
    EXPECT_EQ(dtype_from_ggml(row.ggml_id), row.type);
  }
  EXPECT_EQ(dtype_from_name("q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("q4"), std::nullopt);
  EXPECT_EQ(dtype_from_ggml(4), std::nullopt);  // Q4_2, removed from ggml
}

// Upper bounds on the relative error of normally distributed weights, 5 % above what the formats
// reach; a wrong bit, scale or search is far outside.
TEST(Format, RoundTripsLoseOnlyWhatTheFormatMustLose) {
  const std::vector<float> x = normal_numbers(64 * 256);
  const std::pair<DType, double> bounds[] = {
      {DType::kF32, 0},      {DType::kF16, 3e-4},   {DType::kBF16, 2.4e-3}, {DType::kQ8_0, 0.0060},
      {DType::kQ4_0, 0.092}, {DType::kQ4_1, 0.084}, {DType::kQ5_0, 0.046},  {DType::kQ5_1, 0.040},
      {DType::kQ4_K, 0.076}, {DType::kQ5_K, 0.038}, {DType::kQ6_K, 0.019},
  };
  for (const auto& [type, bound] : bounds)
    EXPECT_LE(relative_error(x, round_trip(type, x)), bound) << info(type).name;
}

TEST(Format, ZeroAndTinyBlocksStayZero) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    if (!info(type).encode) continue;
    for (float value : {0.0f, 1e-42f}) {
      const std::vector<float> x(256, value);
      for (float y : round_trip(type, x)) ASSERT_NEAR(y, 0, 1e-41) << info(type).name;
    }
  }
}

TEST(Format, ConstantBlocksAreKept) {
  for (DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                     DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
    for (float value : {0.5f, -0.5f}) {
      const std::vector<float> x(256, value);
      EXPECT_LE(relative_error(x, round_trip(type, x)), 0.01) << info(type).name << ' ' << value;
    }
}

// A lone large number must survive in every position: catches swapped nibbles and bit planes.
TEST(Format, EveryPositionDecodesToItsOwnPlace) {
  for (DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                     DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
    for (size_t place = 0; place < 256; ++place) {
      std::vector<float> x(256, 0.0f);
      x[place] = -1.0f;
      const std::vector<float> y = round_trip(type, x);
      for (size_t i = 0; i < 256; ++i)
        ASSERT_NEAR(y[i], x[i], 0.04) << info(type).name << " place " << place << " at " << i;
    }
}

TEST(Format, KScalesPackAllValues) {
  for (int value = 0; value < 64; ++value) {
    uint8_t packed[12] = {};
    for (int g = 0; g < 8; ++g)
      pack_k_scale(packed, g, {(value + 7 * g) % 64, (value + 11 * g) % 64});
    for (int g = 0; g < 8; ++g) {
      EXPECT_EQ(unpack_k_scale(packed, g).scale, (value + 7 * g) % 64);
      EXPECT_EQ(unpack_k_scale(packed, g).minimum, (value + 11 * g) % 64);
    }
  }
}

}  // namespace
}  // namespace sllm
