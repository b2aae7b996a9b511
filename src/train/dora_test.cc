// DoRA and LoRA+ on a tiny model: gains, losses of PyTorch and PEFT, resumed runs, the way to an
// adapter and back.
#include "train/dora.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "models/dora.h"
#include "support/tuning.h"
#include "train/lora.h"

namespace sllm {
namespace {

using testing::golden_samples;
using testing::numbers;

class Dora : public testing::TuningTest {
 protected:
  TuneOptions dora_options(const std::string& run) const {
    TuneOptions o = options(run);
    o.dora = true;
    return o;
  }
  // {loss, gradient norm} of each step.
  void expect_steps(const TuneOptions& o, const double (&golden)[10][2]) {
    const TuneResult result = run(o).value();
    const auto metrics = read_metrics(o.run).value();
    ASSERT_EQ(metrics.size(), 10u);
    for (int i = 0; i < 10; ++i) {
      EXPECT_NEAR(result.loss[i], golden[i][0], 5e-6 * golden[i][0]) << i;
      EXPECT_NEAR(metrics[i].grad_norm, golden[i][1], 1e-4 * golden[i][1]) << i;
    }
  }
};

// Torch 2.13 and PEFT 0.21 in float64, by tests/golden/make_train_golden.py.
TEST_F(Dora, FollowsPeftStepByStep) {
  TuneOptions o = dora_options("run");
  o.init_adapter = golden_adapter();
  const double golden[10][2] = {
      {5.50954299482363, 3.2675679016426784},   {4.907186522376934, 3.3333753434311},
      {5.0508528179112755, 2.744897031798},     {3.88761470914424, 2.6598033736250404},
      {3.5924705091880247, 3.0272624438550992}, {2.8800955785476408, 2.3894297531360174},
      {2.681314874639302, 2.9408874086011965},  {2.4299505868853113, 3.0709517778279767},
      {2.1595614991540164, 2.263589027686582},  {2.2165600132235634, 2.0369290278674215},
  };
  expect_steps(o, golden);
}

TEST_F(Dora, LoraPlusFollowsPeftStepByStep) {
  TuneOptions o = options("run");
  o.init_adapter = golden_adapter();
  o.lora_plus = 4, o.lr = 0.005;
  const double golden[10][2] = {
      {5.509543093834343, 3.1533984072477046},  {4.907186531627868, 3.24209247840858},
      {5.096572084284786, 2.683186198435798},   {3.9690678094807, 2.5844764769943245},
      {3.848283774978321, 2.841699556631971},   {3.1065858253845526, 1.9326020751657953},
      {3.1047113582075783, 2.6168581141459937}, {2.7261488130106777, 2.763478167332899},
      {2.6965583596768226, 2.4093647667581592}, {2.564236210817266, 1.833570080139257},
  };
  expect_steps(o, golden);
}

TEST_F(Dora, BothTogetherFollowPeftStepByStep) {
  TuneOptions o = dora_options("run");
  o.init_adapter = golden_adapter();
  o.lora_plus = 4, o.lr = 0.005;
  const double golden[10][2] = {
      {5.50954299482363, 3.2675679016426784},  {4.907186522376934, 3.3333753434311},
      {5.050592496771479, 2.7466187753081},    {3.9009544740098625, 2.5941854923470413},
      {3.7208932422934553, 2.7406736033551},   {3.0221001088724075, 1.911716114575179},
      {2.9409847797545865, 2.614391521792014}, {2.6054852167601705, 2.183199176755917},
      {2.519221165640398, 2.194859689870893},  {2.4382131862971788, 1.6633216961879094},
  };
  expect_steps(o, golden);
}

// The lengths from products of the adapter's own size are those of the rows themselves.
TEST_F(Dora, GainsAreThoseOfInference) {
  for (const DType type : {DType::kF32, DType::kQ4_1}) {
    const Weight w(numbers("w", {48, 96}, 0.5f).to(type));
    Lora lora{Weight(numbers("A", {4, 96}, 0.5f)), Weight(numbers("B", {48, 4}, 0.5f)), 2};
    Tensor magnitude = numbers("m", {48}, 1);
    DoraMagnitude trained(w, lora, magnitude);
    std::vector<Tensor> gains;
    for (const int threads : {1, 2}) {
      trained.derive(*make_cpu_backend(threads));
      gains.push_back(lora.gain.clone());
    }
    const Tensor expected = dora_gain(w.tensor(), lora, magnitude);
    for (int64_t n = 0; n < 48; ++n) {
      const float e = expected.data<float>()[n];
      EXPECT_NEAR(gains[0].data<float>()[n], e, 1e-6f * std::abs(e)) << n;
      EXPECT_EQ(gains[0].data<float>()[n], gains[1].data<float>()[n]) << n;
    }
  }
}

TEST_F(Dora, ChangesNothingBeforeTheFirstStep) {
  TuneOptions plain = options("plain"), dora = dora_options("dora");
  plain.steps = dora.steps = 1;
  EXPECT_EQ(run(plain).value().loss, run(dora).value().loss);
}

TEST_F(Dora, ResumesBitForBitAfterASignal) {
  TuneOptions whole = dora_options("whole"), cut = dora_options("cut");
  const std::string expected = weights(run(whole).value());
  cut.save_every = 100;
  progress_ = [](const Progress& p) {
    if (p.label == "tune" && p.detail.starts_with("step 4/")) request_stop(15);
  };
  ASSERT_EQ(run(cut).error().code, ErrorCode::kTerminated);
  clear_stop();
  progress_ = {};
  cut.resume = true;
  const TuneResult resumed = run(cut).value();
  EXPECT_EQ(resumed.resumed_from, 4);
  EXPECT_EQ(weights(resumed), expected);
}

TEST_F(Dora, ThreadsDoNotChangeTheResult) {
  for (const Numerics mode : {Numerics::kExact, Numerics::kBf16}) {
    std::vector<std::string> results;
    for (const int threads : {1, 2}) {
      backend_ = make_cpu_backend(threads);
      TuneOptions o = dora_options(fmt::format("{}-{}", name(mode), threads));
      o.mode = mode;
      results.push_back(weights(run(o).value()));
    }
    EXPECT_EQ(results[0], results[1]) << name(mode);
  }
}

// Five steps, and five more from their adapter, whose magnitudes have moved, without its moments.
TEST_F(Dora, GoesOnFromAnAdapterWithMagnitudes) {
  TuneOptions o = dora_options("first");
  o.steps = 5;
  const TuneResult first = run(o).value();
  const LoraAdapter made = read_peft_adapter(first.adapter).value();
  for (const auto& [module, pair] : made.modules) ASSERT_TRUE(pair.magnitude.defined()) << module;
  o.run = folder_ / "second", o.init_adapter = first.adapter, o.dora = false;
  const TuneResult second = run(o).value();
  EXPECT_LT(second.loss.front(), 0.9 * first.loss.front());
  auto lora = TrainableLora::from(*model_, made, o).value();
  EXPECT_EQ(lora.parameters().size(), 3 * made.modules.size());
  EXPECT_EQ(lora.parameters()[2].name, "model.layers.0.self_attn.q_proj.lora_magnitude_vector");
}

}  // namespace
}  // namespace sllm
