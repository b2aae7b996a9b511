// What the tests of tuning share: a tiny model and samples that tests/golden/make_train_golden.py
// makes too, and a folder for runs.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/events.h"
#include "io/peft.h"
#include "support/tiny_model.h"
#include "train/tune.h"

namespace sllm::testing {

// make_train_golden.py computes the same numbers: FNV-1a of the name, then a hash of each index;
// every value is exact in f32.
inline Tensor numbers(const std::string& name, Shape shape, float scale) {
  uint32_t seed = 2166136261u;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619u;
  Tensor t = Tensor::empty(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u + seed;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    t.data<float>()[i] = (static_cast<float>(h >> 8) * 0x1p-23f - 1) * scale;
  }
  return t;
}

inline ModelConfig golden_config() {
  ModelConfig c = tiny_config();
  c.D = 32, c.F = 48, c.Dh = 8, c.V = 64, c.max_context = 128;
  c.tied_embeddings = false;
  return c;
}

// `prefix`: of the names that the weights are computed from.
inline std::shared_ptr<TinyModel> golden_source(const ModelConfig& config = golden_config(),
                                                const std::string& prefix = "") {
  auto source = std::make_shared<TinyModel>(config);
  for (const TensorInfo& t : source->tensors()) {
    const bool norm = t.name.find("norm") != std::string::npos;
    Tensor values = numbers(prefix + t.name, t.shape, norm ? 0.25f : 0.5f);
    if (norm)
      for (int64_t i = 0; i < values.size(); ++i) values.data<float>()[i] += 1;
    source->replace(t.name, values);
  }
  return source;
}

inline Sample golden_sample(int i) {
  const int n = 5 + 7 * i % 11;
  Sample s;
  for (int k = 0; k < n; ++k) s.ids.push_back((13 * i + 5 * k + k * k) % 64);
  s.targets.assign(s.ids.size(), -1);
  for (int k = std::max(1, 1 + i % 3); k < n; ++k) s.targets[k - 1] = s.ids[k];
  return s;
}

inline SampleSet golden_samples(int count = 6) {
  SampleSet set;
  for (int i = 0; i < count; ++i) set.samples.push_back(golden_sample(i));
  return set;
}

class TuningTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("sllm-tune-{}-{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    clear_stop();
  }
  void TearDown() override {
    fs::remove_all(folder_);
    clear_stop();
  }

  // Ten steps of LoRA, as make_train_golden.py takes them.
  TuneOptions options(const std::string& run) const {
    TuneOptions o;
    o.model = "tiny", o.data = "memory", o.run = folder_ / run;
    o.rank = 4, o.alpha = 8, o.lr = 0.02, o.weight_decay = 0.1, o.clip = 0.5;
    o.batch = 3, o.steps = 10, o.warmup = 2, o.shuffle = false;
    o.mode = Numerics::kExact;
    return o;
  }

  Result<TuneResult> run(const TuneOptions& o, SampleSet train = golden_samples(),
                         SampleSet eval = {}) {
    return tune({*model_, *backend_, std::move(train), std::move(eval), "base", "tiny"}, o,
                progress_);
  }

  // Rank 4 on all linears: A of numbers(), B zero.
  fs::path golden_adapter() const {
    LoraAdapter first;
    first.rank = 4, first.alpha = 8;
    for (const auto& [module, weight] : model_->linears())
      first.modules[module] = {numbers(module + ".lora_A.weight", {4, weight->K()}, 0.25f),
                               Tensor::zeros(DType::kF32, {weight->N(), 4})};
    EXPECT_TRUE(write_peft_adapter(folder_ / "first", first).ok());
    return folder_ / "first";
  }

  // Bytes of the adapter that a run left.
  static std::string weights(const TuneResult& result) {
    return read_file(result.adapter / "adapter_model.safetensors").value();
  }

  fs::path folder_;
  std::shared_ptr<Model> model_ = Model::load(golden_source()).value();
  std::shared_ptr<Backend> backend_ = std::make_shared<Backend>();
  ProgressSink progress_;
};

}  // namespace sllm::testing
