// Full tuning of a tiny model with tied embeddings: losses of PyTorch, resumed runs, gradients used
// at once, the model that is written.
#include "train/full.h"

#include <gmock/gmock.h>

#include <cstring>
#include <fstream>

#include "cpu/cpu_backend.h"
#include "io/safetensors.h"
#include "support/tiny_tokenizer.h"
#include "support/tuning.h"
#include "support/written.h"

namespace sllm {
namespace {

using testing::golden_samples;
using ::testing::HasSubstr;

class Full : public testing::TuningTest {
 protected:
  static ModelConfig config() {
    ModelConfig c = testing::golden_config();
    c.V = 320, c.tied_embeddings = true;
    return c;
  }
  std::shared_ptr<testing::TinyModel> source() const {
    auto source = testing::golden_source(config());
    source->set_tokenizer({.gguf = testing::tiny_tokenizer()});
    return source;
  }
  TuneOptions full_options(const std::string& run) const {
    TuneOptions o = options(run);
    o.method = "full", o.lr = 0.005;
    return o;
  }
  // Every run begins with a model of its own, which it changes.
  Result<TuneResult> run_full(const TuneOptions& o, SampleSet train = golden_samples(),
                              SampleSet eval = {}) {
    const auto source = source_ ? source_ : this->source();
    model_ = Model::load(source).value();
    return tune({*model_, *backend_, std::move(train), std::move(eval), "base", "tiny", source}, o,
                progress_);
  }
  static std::string model_bytes(const TuneResult& result) {
    return read_file(result.model / "model.safetensors").value();
  }
  // Where one is given: instead of the golden one.
  std::shared_ptr<ModelSource> source_;
};

// Torch 2.13 in float64, by tests/golden/make_train_golden.py: {loss, gradient norm} of each step.
TEST_F(Full, FollowsTorchStepByStep) {
  const TuneOptions o = full_options("run");
  const TuneResult result = run_full(o).value();
  const double golden[10][2] = {
      {7.543036770688962, 8.32477315588258},   {7.471879441316604, 6.592604234867445},
      {6.868697012267191, 6.174078270795658},  {6.11723895301079, 5.194320210994372},
      {5.295727234085032, 5.09381505323197},   {4.8921228163037185, 4.174173146515675},
      {4.402164284645011, 4.877270418392972},  {4.2236552432506524, 3.4009912423711084},
      {3.8829973768465997, 4.523373775580814}, {3.961366075755986, 3.2876428629837267},
  };
  const auto metrics = read_metrics(o.run).value();
  ASSERT_EQ(metrics.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_NEAR(result.loss[i], golden[i][0], 5e-6 * golden[i][0]) << i;
    EXPECT_NEAR(metrics[i].grad_norm, golden[i][1], 1e-4 * golden[i][1]) << i;
  }
  int64_t numbers = 0;
  const auto whole = source();
  for (const TensorInfo& t : whole->tensors()) {
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    numbers += n;
  }
  EXPECT_EQ(result.trained_parameters, numbers);
}

TEST_F(Full, WritesAModelThatIsTheOneInMemory) {
  const TuneOptions o = full_options("run");
  const TuneResult result = run_full(o).value();
  EXPECT_TRUE(result.adapter.empty());
  EXPECT_EQ(read_run(o.run).value().state, "finished");
  // By its folder and by the run's.
  for (const fs::path& path : {result.model, o.run}) {
    const auto written = open_model(path).value();
    EXPECT_EQ(written->tensors().size(), source()->tensors().size());
    for (const auto& [name, weight] : model_->parameters()) {
      const Tensor stored = written->tensor(name).value();
      ASSERT_EQ(stored.to_string(), weight->tensor().to_string()) << name;
      EXPECT_EQ(
          std::memcmp(stored.raw(), weight->tensor().raw(), static_cast<size_t>(stored.bytes())), 0)
          << name;
    }
  }
}

TEST_F(Full, OfAQuantisedBaseWritesBf16) {
  auto quantised = std::make_shared<testing::TinyModel>(testing::tiny_config(), DType::kQ4_1);
  quantised->set_tokenizer({.gguf = testing::tiny_tokenizer()});
  source_ = quantised;
  TuneOptions o = full_options("run");
  o.mode = Numerics::kBf16;
  const TuneResult result = run_full(o).value();
  EXPECT_LT(result.loss.back(), 0.8 * result.loss.front());
  const auto written = open_model(result.model).value();
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const Tensor stored = written->tensor(name).value();
  ASSERT_EQ(stored.dtype(), DType::kBF16);
  for (const auto& [parameter, weight] : model_->parameters()) {
    if (parameter != name) continue;
    ASSERT_EQ(weight->tensor().dtype(), DType::kF32);
    for (int64_t i = 0; i < stored.size(); ++i)
      ASSERT_EQ(stored.data<bf16>()[i].bits, to_bf16(weight->tensor().data<float>()[i]).bits);
  }
}

TEST_F(Full, ResumesBitForBitAfterASignal) {
  for (const double clip : {0.5, 0.0}) {
    TuneOptions whole = full_options(fmt::format("whole-{}", clip)),
                cut = full_options(fmt::format("cut-{}", clip));
    whole.clip = cut.clip = clip;
    const std::string expected = model_bytes(run_full(whole).value());
    cut.save_every = 100;
    progress_ = [](const Progress& p) {
      if (p.label == "tune" && p.detail.starts_with("step 4/")) request_stop(15);
    };
    ASSERT_EQ(run_full(cut).error().code, ErrorCode::kTerminated);
    clear_stop();
    progress_ = {};
    cut.resume = true;
    const TuneResult resumed = run_full(cut).value();
    EXPECT_EQ(resumed.resumed_from, 4);
    EXPECT_EQ(model_bytes(resumed), expected);
  }
}

TEST_F(Full, ThreadsDoNotChangeTheResult) {
  for (const Numerics mode : {Numerics::kExact, Numerics::kBf16}) {
    std::vector<std::string> results;
    for (const int threads : {1, 2}) {
      backend_ = make_cpu_backend(threads);
      TuneOptions o = full_options(fmt::format("{}-{}", name(mode), threads));
      o.mode = mode;
      results.push_back(model_bytes(run_full(o).value()));
    }
    EXPECT_EQ(results[0], results[1]) << name(mode);
  }
}

// Without clipping each gradient is used as soon as it is complete, also where a step has several
// forwards; a clip that nothing reaches waits for all of them.
TEST_F(Full, UsingGradientsAtOnceChangesNothing) {
  TuneOptions at_once = full_options("at-once"), together = full_options("together");
  at_once.clip = 0, together.clip = 1e9;
  at_once.micro_tokens = together.micro_tokens = 16;
  const TuneResult a = run_full(at_once).value(), b = run_full(together).value();
  EXPECT_EQ(model_bytes(a), model_bytes(b));
  const auto metrics = read_metrics(at_once.run).value(),
             others = read_metrics(together.run).value();
  for (size_t i = 0; i < metrics.size(); ++i)
    EXPECT_EQ(metrics[i].grad_norm, others[i].grad_norm) << i;
}

TEST_F(Full, KeepsTheBest) {
  TuneOptions o = full_options("run");
  o.lr = 0.1, o.clip = 0, o.steps = 40, o.eval_every = 1, o.patience = 2, o.warmup = 0;
  const TuneResult result = run_full(o, golden_samples(3), golden_samples(6)).value();
  ASSERT_LT(result.best_step, result.steps);
  const auto best =
      read_safetensors(checkpoint_path(o.run, result.best_step) / "masters.safetensors").value();
  const auto written = open_model(result.model).value();
  for (const auto& [name, tensor] : best.tensors)
    EXPECT_EQ(std::memcmp(written->tensor(name).value().raw(), tensor.raw(),
                          static_cast<size_t>(tensor.bytes())),
              0)
        << name;
}

TEST_F(Full, PassesOverADamagedCheckpoint) {
  TuneOptions o = full_options("run");
  o.save_every = 2;
  const std::string expected = model_bytes(run_full(o).value());
  fs::remove_all(model_path(o.run));
  std::fstream file(checkpoint_path(o.run, 10) / "masters.safetensors",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x55');
  file.close();
  o.resume = true;
  const TuneResult resumed = run_full(o).value();
  EXPECT_EQ(resumed.resumed_from, 8);
  EXPECT_EQ(model_bytes(resumed), expected);
}

TEST_F(Full, RefusesWhatIsForAdapters) {
  TuneOptions o = full_options("run");
  o.dora = true;
  EXPECT_THAT(validate(o).error().message, HasSubstr("dora must be left out"));
  o.dora = false, o.mode = Numerics::kFast;
  EXPECT_THAT(validate(o).error().message, HasSubstr("mode must be exact or bf16"));
  o.method = "all";
  EXPECT_THAT(validate(o).error().message, HasSubstr("method must be lora or full"));
}

}  // namespace
}  // namespace sllm
