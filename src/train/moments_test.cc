// 8-bit moments: the table of the paper, what a number loses, and what a run learns with them.
#include "train/moments.h"

#include <gmock/gmock.h>

#include <cmath>

#include "cpu/cpu_backend.h"
#include "support/tuning.h"
#include "train/optimizer.h"

namespace sllm {
namespace {

using testing::golden_samples;

TEST(MomentCodes, AreThePapersDynamicTree) {
  const auto& with_sign = moment_codes(true);
  const auto& without = moment_codes(false);
  EXPECT_TRUE(std::ranges::is_sorted(with_sign));
  EXPECT_EQ(with_sign[255], 1);
  EXPECT_EQ(without[0], 0);
  EXPECT_EQ(without[255], 1);
  // The tables of bitsandbytes (create_dynamic_map), second value from the end and the first ones.
  EXPECT_NEAR(with_sign[254], 0.99296875, 1e-7);
  EXPECT_NEAR(with_sign[0], -0.99296875, 1e-7);
  EXPECT_NEAR(without[254], 0.996484375, 1e-7);
  EXPECT_NEAR(without[1], 3.25e-7, 1e-13);
  EXPECT_NEAR(without[2], 7.75e-7, 1e-13);
  EXPECT_EQ(std::ranges::count(with_sign, 0.0f), 1);
}

TEST(Moments, LoseLittleAndNeverTheSign) {
  constexpr int64_t n = 1000;  // the last block is not whole
  for (const bool is_signed : {true, false}) {
    std::vector<float> x(n), y(n);
    for (int64_t i = 0; i < n; ++i) {
      const float size = std::pow(10.0f, -static_cast<float>(i % 7));
      x[i] = size * (0.2f + 0.7f * static_cast<float>(i % 11) / 11) * (is_signed && i % 2 ? -1 : 1);
    }
    std::vector<std::string> bytes;
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      Moment m = Moment::zeros_in_8_bits(n, is_signed);
      m.read(y.data(), 0, n, pool);
      EXPECT_THAT(y, ::testing::Each(0.0f));
      m.write(x.data(), 0, 512, pool);
      m.write(x.data() + 512, 512, n, pool);
      m.read(y.data(), 0, n, pool);
      bytes.emplace_back(static_cast<const char*>(m.values.raw()), n);
    }
    EXPECT_EQ(bytes[0], bytes[1]);
    for (int64_t i = 0; i < n; ++i) {
      // Level L of seven has 2^L (or twice as many) values for nine tenths of a decade.
      const double parts = std::pow(2, 6 - i % 7 + !is_signed);
      const double spacing = 0.9 / parts * std::pow(10, -(i % 7));
      EXPECT_NEAR(y[i], x[i], 0.51 * spacing + 1e-7) << i;
      if (y[i] == 0) continue;
      EXPECT_EQ(std::signbit(y[i]), std::signbit(x[i])) << i;
    }
  }
}

TEST(Moments, ASecondMomentAboveZeroStaysAboveIt) {
  ThreadPool pool(1);
  Moment m = Moment::zeros_in_8_bits(2, false);
  const float x[] = {1, 1e-12f};
  float y[2];
  m.write(x, 0, 2, pool);
  m.read(y, 0, 2, pool);
  EXPECT_GT(y[1], 0);
}

class EightBits : public testing::TuningTest {};

TEST_F(EightBits, LearnAsWellAsThirtyTwo) {
  // A model whose linears are large enough for 8 bits: 96 x 64 and 64 x 96.
  ModelConfig c = testing::golden_config();
  c.D = 64, c.F = 96, c.Dh = 16;
  std::vector<std::vector<double>> losses;
  std::vector<std::string> written;
  for (const char* name : {"adamw", "adamw8bit", "again"}) {
    const auto source = testing::golden_source(c);
    model_ = Model::load(source).value();
    TuneOptions o = options(name);
    o.method = "full", o.lr = 0.005, o.steps = 30;
    o.optimizer = name == std::string("adamw") ? "adamw" : "adamw8bit";
    TuneInput input{*model_, *backend_, golden_samples(), {}, "base", "tiny", source};
    if (name == std::string("again")) {  // stopped and resumed
      progress_ = [](const Progress& p) {
        if (p.label == "tune" && p.detail.starts_with("step 11/")) request_stop(2);
      };
      ASSERT_EQ(tune(input, o, progress_).error().code, ErrorCode::kInterrupted);
      clear_stop();
      o.resume = true;
      model_ = Model::load(source).value();
      const TuneResult resumed =
          tune({*model_, *backend_, golden_samples(), {}, "base", "tiny", source}, o).value();
      losses.push_back(resumed.loss);
      continue;
    }
    losses.push_back(tune(std::move(input), o).value().loss);
  }
  EXPECT_NEAR(losses[1].back(), losses[0].back(), 0.05 * losses[0].front());
  EXPECT_LT(losses[1].back(), 0.5 * losses[1].front());
  EXPECT_NE(losses[1], losses[0]);
  EXPECT_EQ(losses[2], losses[1]);
}

}  // namespace
}  // namespace sllm
