// Encoding by importance: smaller weighted errors, and nothing strange where all importance is
// zero.
#include "quant/weighted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/rng.h"
#include "quant/search.h"

namespace sllm {
namespace {

constexpr int64_t kColumns = 1024;

std::vector<float> normal_numbers(uint64_t seed, float deviation) {
  Rng rng(seed);
  std::vector<float> x(kColumns);
  for (float& v : x) v = deviation * rng.normal();
  return x;
}
// Mean squares of inputs as models have them: a few columns of a block far above the others.
std::vector<float> importance() {
  std::vector<float> columns = normal_numbers(5, 2);
  for (float& v : columns) v = std::exp(2 * v);
  return columns;
}
std::vector<DType> searched() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypeCount; ++i)
    if (weighted_encode(static_cast<DType>(i))) types.push_back(static_cast<DType>(i));
  return types;
}
std::vector<float> decoded(DType type, const std::vector<char>& bytes) {
  std::vector<float> y(kColumns);
  info(type).decode(bytes.data(), y.data(), kColumns);
  return y;
}
std::vector<float> round_trip(DType type, const std::vector<float>& x,
                              const std::vector<float>* columns) {
  std::vector<char> bytes(static_cast<size_t>(bytes_of(type, kColumns)));
  if (columns)
    weighted_encode(type)(x.data(), columns->data(), bytes.data(), kColumns);
  else
    info(type).encode(x.data(), bytes.data(), kColumns);
  return decoded(type, bytes);
}
double weighted_error(const std::vector<float>& x, const std::vector<float>& y,
                      const std::vector<float>& columns) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += columns[i] * std::pow(double{x[i]} - y[i], 2);
  return sum;
}

TEST(Weighted, TheTypesWithASearchHaveOne) {
  using enum DType;
  EXPECT_THAT(searched(), ::testing::UnorderedElementsAre(kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ2_K, kQ3_K,
                                                          kQ4_K, kQ5_K, kQ6_K, kIQ4_NL, kIQ4_XS));
}

// What an error costs is the importance of its column. By that measure the encoders that know it
// lose at most 0.9 of what those lose that do not; they reach 0.2 to 0.8.
TEST(Weighted, ImportanceLowersTheErrorThatItMeasures) {
  const std::vector<float> x = normal_numbers(7, 0.02f), columns = importance();
  for (const DType type : searched()) {
    const double with = weighted_error(x, round_trip(type, x, &columns), columns),
                 without = weighted_error(x, round_trip(type, x, nullptr), columns);
    EXPECT_LT(with, 0.9 * without) << info(type).name;
    RecordProperty(std::string(info(type).name), std::to_string(with / without));
  }
}

// A column that no input reaches may become anything, but something: the other columns of the block
// keep their errors, and without any importance the plain grid remains.
TEST(Weighted, ColumnsWithoutImportanceDoNoHarm) {
  const std::vector<float> x = normal_numbers(7, 0.02f), none(kColumns, 0.0f);
  std::vector<float> half = none;
  for (size_t i = 0; i < half.size(); i += 2) half[i] = 1;
  for (const DType type : searched()) {
    for (const float v : round_trip(type, x, &none))
      ASSERT_LE(std::fabs(v), 0.2f) << info(type).name;
    EXPECT_LE(weighted_error(x, round_trip(type, x, &half), half),
              weighted_error(x, round_trip(type, x, nullptr), half))
        << info(type).name;
  }
}

TEST(Weighted, ZeroAndTinyRowsStayZero) {
  const std::vector<float> columns = importance();
  for (const DType type : searched())
    for (const float value : {0.0f, 1e-42f})
      for (const float y : round_trip(type, std::vector<float>(kColumns, value), &columns))
        ASSERT_NEAR(y, 0, 1e-41) << info(type).name;
}

// A lone large number must survive in every position: catches swapped nibbles and bit planes.
TEST(Weighted, EveryPositionDecodesToItsOwnPlace) {
  const std::vector<float> columns(kColumns, 1.0f);
  for (const DType type : searched())
    for (size_t place = 0; place < 256; ++place) {
      std::vector<float> x(kColumns, 0.0f);
      x[place] = -1.0f;
      const std::vector<float> y = round_trip(type, x, &columns);
      for (size_t i = 0; i < 256; ++i)
        ASSERT_NEAR(y[i], x[i], 0.04) << info(type).name << " place " << place << " at " << i;
    }
}

// Scales that lie on a grid of one step are found again, also when they start at another.
TEST(Weighted, PositiveNumbersOnAGridAreFitExactly) {
  const float step = 0.013f;
  const uint8_t wanted[8] = {63, 0, 17, 40, 5, 62, 1, 33};
  float x[8], weight[8];
  for (int i = 0; i < 8; ++i) x[i] = step * static_cast<float>(wanted[i]), weight[i] = 1.0f + i;
  uint8_t levels[8];
  EXPECT_NEAR(fit_positive<8>(x, weight, 63, levels), step, 1e-8);
  EXPECT_THAT(levels, ::testing::ElementsAreArray(wanted));
}

}  // namespace
}  // namespace sllm
