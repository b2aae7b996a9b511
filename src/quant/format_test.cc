// Block formats: sizes, round trips within each format's step, and edge values.
#include "quant/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "quant/iq4_search.h"
#include "quant/k_scales.h"
#include "quant/q3_k.h"

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

std::vector<DType> block_formats() {
  std::vector<DType> all;
  for (int i = 0; i < kDTypeCount; ++i)
    if (is_block_format(static_cast<DType>(i))) all.push_back(static_cast<DType>(i));
  return all;
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
  EXPECT_EQ(dtype_from_name("mxfp4"), DType::kMXFP4);
  EXPECT_EQ(dtype_from_ggml(4), std::nullopt);  // Q4_2, removed from ggml
}

TEST(Format, TypesThatAreNotSupportedHaveNames) {
  EXPECT_EQ(ggml_type_name(16), "IQ2_XXS");
  EXPECT_EQ(ggml_type_name(34), "TQ1_0");
  EXPECT_EQ(ggml_type_name(23), "IQ4_XS");
  EXPECT_EQ(ggml_type_name(99), "");
  EXPECT_EQ(dtype_from_ggml(16), std::nullopt);
}

// Upper bounds on the relative error of normally distributed weights, 5 % above what the formats
// reach; a wrong bit, scale or search is far outside.
TEST(Format, RoundTripsLoseOnlyWhatTheFormatMustLose) {
  const std::vector<float> x = normal_numbers(64 * 256);
  const std::pair<DType, double> bounds[] = {
      {DType::kF32, 0},        {DType::kF16, 3e-4},    {DType::kBF16, 2.4e-3},
      {DType::kQ8_0, 0.0060},  {DType::kQ4_0, 0.092},  {DType::kQ4_1, 0.084},
      {DType::kQ5_0, 0.046},   {DType::kQ5_1, 0.040},  {DType::kQ4_K, 0.076},
      {DType::kQ5_K, 0.038},   {DType::kQ6_K, 0.019},  {DType::kIQ4_NL, 0.081},
      {DType::kIQ4_XS, 0.082}, {DType::kMXFP4, 0.120}, {DType::kQ2_K, 0.313},
      {DType::kQ3_K, 0.159},
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
  for (DType type : block_formats())
    for (float value : {0.5f, -0.5f}) {
      const std::vector<float> x(256, value);
      EXPECT_LE(relative_error(x, round_trip(type, x)), 0.01) << info(type).name << ' ' << value;
    }
}

// A lone large number must survive in every position: catches swapped nibbles and bit planes.
TEST(Format, EveryPositionDecodesToItsOwnPlace) {
  for (DType type : block_formats())
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

TEST(Format, Q3ScalesPackAllValues) {
  for (int value = 0; value < 64; ++value) {
    uint8_t packed[12] = {};
    for (int g = 0; g < 16; ++g) pack_q3_scale(packed, g, (value + 5 * g) % 64);
    for (int g = 0; g < 16; ++g) EXPECT_EQ(unpack_q3_scale(packed, g), (value + 5 * g) % 64);
  }
}

// By the definition: the nearest of the sixteen, the upper one of two.
TEST(Format, Iq4ValuesAreTheNearest) {
  for (float x = -140; x < 140; x += 0.25f) {
    float numbers[32], values[32], best = kIq4Values[0];
    std::fill(numbers, numbers + 32, x);
    for (const float v : kIq4Values)
      if (std::fabs(v - x) <= std::fabs(best - x)) best = v;
    nearest_iq4(numbers, 1, values);
    EXPECT_EQ(values[31], best) << x;
  }
}

// Microscaling Formats 1.0: the shared exponent is that of the largest number less two, what is
// above 6 of its units of 2 is cut off, ties go to the smaller level.
TEST(Format, Mxfp4FollowsItsSpecification) {
  std::vector<float> x(32, 0.0f), expected(32, 0.0f);
  const std::pair<float, float> cases[] = {{7, 6},      {-7.9f, -6},   {5, 4},          {5.1f, 6},
                                           {0.25f, 0},  {0.26f, 0.5f}, {-0.75f, -0.5f}, {2.5f, 2},
                                           {-3.5f, -3}, {1.25f, 1},    {1.75f, 1.5f},   {-0.2f, 0}};
  for (size_t i = 0; i < std::size(cases); ++i) std::tie(x[i], expected[i]) = cases[i];
  EXPECT_EQ(round_trip(DType::kMXFP4, x), expected);
}

}  // namespace
}  // namespace sllm
