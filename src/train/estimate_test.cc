// The arithmetic of the estimate, and the shapes that it stands on. No timing is asserted.
#include "train/estimate.h"

#include <gmock/gmock.h>

#include "train/blank_model.h"
#include "train/fit.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

DType bf16(const TensorInfo&) { return DType::kBF16; }

TEST(ShapeOfSize, HasAsManyParametersAsTheModel) {
  for (const double millions : {134.5, 494.0, 1544.0, 3086.0, 7616.0})
    EXPECT_NEAR(static_cast<double>(bytes_of_shape(shape_of_size(millions), bf16)) / 2e6, millions,
                millions / 100);
}

TEST(TuneEstimate, CountsLayersForEveryTokenAndTheHeadForLearnedOnes) {
  ModelConfig c = shape_of_size(134.5);
  TuningWork work;
  work.tokens = 1000, work.supervised = 100, work.longest = 50;
  TuneOptions options;
  EXPECT_DOUBLE_EQ(estimate_tune(c, work, options, {1e-4, 0}).seconds, 1000 * 30 * 1e-4);
  EXPECT_DOUBLE_EQ(estimate_tune(c, work, options, {0, 1e-2}).seconds, 100 * 1e-2);
}

// 1067 MB were measured for SmolLM2-135M on 2 x 512 tokens from bf16 weights, 2085 MB for
// Qwen2.5-0.5B on rows of 1300 tokens from 491 MB of Q4_K weights.
TEST(TuneEstimate, MemoryIsNearWhatWasMeasured) {
  TuneOptions options;
  TuningWork small;
  small.tokens = 6144, small.longest = 512, small.bytes_of_weights = 269'000'000;
  const double a =
      static_cast<double>(estimate_tune(shape_of_size(134.5), small, options, {}).memory);
  EXPECT_NEAR(a / 1e6, 1067, 0.2 * 1067);
  TuningWork large;
  large.tokens = 7806, large.longest = 1301, large.bytes_of_weights = 491'000'000;
  const double b =
      static_cast<double>(estimate_tune(shape_of_size(494), large, options, {}).memory);
  EXPECT_NEAR(b / 1e6, 2085, 0.2 * 2085);
}

TEST(Fit, OffersWhatChangesLeastFirst) {
  const ModelConfig c = shape_of_size(494);
  TuningWork work;
  work.tokens = 100'000, work.steps = 50, work.longest = 200, work.bytes_of_weights = 988'000'000;
  TuneOptions options;
  options.method = "full", options.mode = Numerics::kExact;
  const auto runs = smaller_runs(c, work, options, 278'000'000);
  ASSERT_EQ(runs.size(), 6u);
  EXPECT_EQ(runs[0].change, "--micro-tokens 512");
  EXPECT_EQ(runs[1].change, "--micro-tokens 256");  // the longest row has 200
  EXPECT_EQ(runs[2].change, "--micro-tokens 256 --mode bf16");
  EXPECT_EQ(runs[3].change, "--micro-tokens 256 --optimizer adamw8bit");
  EXPECT_EQ(runs[4].change, "--micro-tokens 256 without --full: an adapter");
  EXPECT_EQ(runs[5].change, "--micro-tokens 256 an adapter on the base in q4_k (sllm quantize)");
  TuneOptions changed = options;
  changed.micro_tokens = 256, changed.mode = Numerics::kBf16;
  EXPECT_EQ(runs[2].memory, estimate_tune(c, work, changed, {}).memory);
  for (size_t i = 1; i < runs.size(); ++i) EXPECT_LT(runs[i].memory, runs[i - 1].memory);
}

TEST(Fit, SaysWhatIsShort) {
  TuneEstimate e;
  e.memory = 9'000'000'000, e.disk = 3'000'000'000, e.disk_of_two = 1'000'000'000;
  e.smaller = {{"--micro-tokens 512", 7'000'000'000}, {"an adapter", 2'000'000'000}};
  EXPECT_TRUE(fit_advice(e, {e.memory, e.disk}).empty());
  EXPECT_THAT(fit_advice(e, {8'000'000'000, e.disk}),
              ElementsAre("Only 8.0 GB of memory are free.",
                          "This would fit: --micro-tokens 512 (7.0 GB)"));
  EXPECT_THAT(fit_advice(e, {4'000'000'000, e.disk})[1], HasSubstr("fit: an adapter (2.0 GB)"));
  EXPECT_THAT(fit_advice(e, {1'000'000'000, e.disk})[1], HasSubstr("Even an adapter needs 2.0 GB"));
  EXPECT_THAT(fit_advice(e, {e.memory, 2'000'000'000}),
              ElementsAre(HasSubstr("Only 2.00 GB of disk are free where the run is to lie")));
  EXPECT_THAT(fit_advice(e, {e.memory, 2'000'000'000})[0], HasSubstr("--keep 2: 1.00 GB"));
}

TEST(TuningSpeed, IsMeasuredOnAnyShape) {
  ModelConfig c = shape_of_size(134.5);
  c.D = 64, c.F = 96, c.H = 4, c.Hk = 2, c.Dh = 16, c.V = 320, c.L = 1;
  TuningWork work;
  work.tokens = 100, work.longest = work.typical = 20;
  const auto speed = measure_tuning_speed(c, bf16, work, {});
  ASSERT_TRUE(speed.ok()) << speed.error().to_string();
  EXPECT_GT(speed->layer, 0);
  EXPECT_GT(speed->head, 0);
  TuneOptions wrong;
  wrong.targets = "x_proj";
  EXPECT_EQ(measure_tuning_speed(c, bf16, work, wrong).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace sllm
