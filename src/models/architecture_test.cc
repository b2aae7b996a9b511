// Every architecture against transformers in float32 (tests/golden/make_architecture_goldens.py):
// logits, gradients and ten losses; and the one forward in all its cuts, bit for bit.
//
// Tolerances. Logits: 1e-5 of their range, some 80 units in the last place of float32, where sums
// of at most 48 terms in another order move by a few. Gradients: 1e-4 of each tensor's norm, for
// they pass through all layers twice. Losses: 5e-6, twenty times what float32 moves them by (2.4e-7
// relative, measured between two orders of summation).
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>

#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "models/pooler.h"
#include "models/registry.h"
#include "support/goldens.h"
#include "support/tiny_tokenizer.h"
#include "support/written.h"

namespace sllm {
namespace {

using testing::golden_folder;

bool is_encoder(const std::string& name) {
  return read_safetensors(golden_folder() / name / "golden.safetensors")
      .value()
      .tensors.contains("pooled");
}

std::vector<std::string> decoder_names() {
  std::vector<std::string> found = testing::golden_names();
  std::erase_if(found, is_encoder);
  return found;
}
std::vector<std::string> encoder_names() {
  std::vector<std::string> found = testing::golden_names();
  std::erase_if(found, std::not_fn(is_encoder));
  return found;
}

double norm(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.size(); ++i) sum += double{t.data<float>()[i]} * t.data<float>()[i];
  return std::sqrt(sum);
}

double distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double d = double{a.data<float>()[i]} - b.data<float>()[i];
    sum += d * d;
  }
  return std::sqrt(sum);
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0);
}

class ArchitectureTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path folder = golden_folder() / GetParam();
    golden_ = read_safetensors(folder / "golden.safetensors").value().tensors;
    source_ = open_model(folder).value();
    model_ = Model::load(source_).value();
    const Tensor ids = golden_.at("ids");
    ids_.assign(ids.data<int32_t>(), ids.data<int32_t>() + ids.size());
  }
  bool encodes() const { return !model_->config().causal; }
  // An encoder reads a text in one piece, and keeps no state of it.
  Tensor run(SequenceState& state, std::span<const int32_t> ids) {
    if (encodes()) return model_->forward(ctx_, Batch::single({ids.begin(), ids.end()}));
    state.reserve(std::ssize(ids)).value();
    return model_->forward(ctx_, part_of_text(ids, state));
  }
  // Rows of the golden text, or of another as long: phi3_long turns by its length.
  Batch part_of_text(std::span<const int32_t> ids, SequenceState& state) const {
    Batch batch = Batch::single({ids.begin(), ids.end()}, &state, state.length());
    batch.segments[0].text_length = std::ssize(ids_);
    return batch;
  }
  // The mean next-token loss of the golden ids; gradients go to the tape.
  double loss(Context& ctx, const BoundAdapter* adapter = nullptr) {
    Batch batch = Batch::single(ids_);
    batch.segments[0].adapter = adapter;
    const Tensor hidden = model_->forward(ctx, batch);
    std::vector<int32_t> targets(ids_.begin() + 1, ids_.end());
    targets.push_back(0);
    std::vector<float> weights(ids_.size(), 1.0f / static_cast<float>(ids_.size() - 1));
    weights.back() = 0;
    return model_->loss(ctx, hidden, targets, weights);
  }
  Tensor golden(const std::string& name) const {
    const auto found = golden_.find(name);
    EXPECT_NE(found, golden_.end()) << name;
    return found->second;
  }

  std::map<std::string, Tensor> golden_;
  std::shared_ptr<ModelSource> source_;
  std::shared_ptr<Model> model_;
  std::vector<int32_t> ids_;
  Backend backend_;
  Context ctx_{backend_};
};

// Models that write, and so keep a state of their text.
class DecoderTest : public ArchitectureTest {};
// Models that read a text in one piece and make a vector of it.
class EncoderTest : public ArchitectureTest {};
// A folder of fresh goldens may hold one kind alone.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DecoderTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EncoderTest);

TEST_P(ArchitectureTest, LogitsAreThoseOfTransformers) {
  StatePool pool(model_->config(), DType::kF32, 1024);
  SequenceState state(pool);
  const Tensor logits = model_->logits(ctx_, run(state, ids_)), expected = golden("logits");
  ASSERT_EQ(logits.size(), expected.size());
  float low = expected.data<float>()[0], high = low, worst = 0;
  for (int64_t i = 0; i < logits.size(); ++i) {
    const float e = expected.data<float>()[i];
    low = std::min(low, e), high = std::max(high, e);
    worst = std::max(worst, std::abs(logits.data<float>()[i] - e));
  }
  EXPECT_LE(worst, 1e-5 * (high - low)) << "of a range of " << high - low;
}

// cls, mean and two linear layers: as torch pools transformers' hidden states.
TEST_P(EncoderTest, PooledVectorsAreThoseOfTransformers) {
  ASSERT_TRUE(model_->config().pooling);
  const Pooler pooler = Pooler::load(*source_).value();
  const Tensor hidden = model_->forward(ctx_, Batch::single(ids_));
  const auto n = std::ssize(ids_);
  const AttentionSegment parts[] = {{0, n, 0, {}}};
  const Tensor got = pooler.forward(ctx_, hidden, parts), expected = golden("pooled");
  ASSERT_EQ(got.size(), expected.size());
  const auto [low, high] =
      std::ranges::minmax(std::span(expected.data<float>(), static_cast<size_t>(expected.size())));
  for (int64_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got.data<float>()[i], expected.data<float>()[i], 1e-5 * (high - low)) << i;
}

TEST_P(DecoderTest, EveryCutOfTheSequenceGivesTheSameBits) {
  StatePool pool(model_->config(), DType::kF32, 4096);
  SequenceState whole(pool), steps(pool), parent(pool);
  const Tensor expected = run(whole, ids_);
  expect_same_bits(model_->forward(ctx_, Batch::single(ids_)), expected);  // the training form
  for (size_t i = 0; i < ids_.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    expect_same_bits(run(steps, std::span(ids_).subspan(i, 1)), expected.slice_rows(at, at + 1));
  }
  run(parent, std::span(ids_).first(13));
  SequenceState fork = parent.fork();
  run(fork, std::vector<int32_t>{3, 1, 4, 1, 5});  // must not disturb its parent
  const auto n = static_cast<int64_t>(ids_.size());
  expect_same_bits(run(parent, std::span(ids_).subspan(13)), expected.slice_rows(13, n));
}

// GGUF cannot say that other layers than every fourth do not rotate: readers would compute another
// model.
TEST(SmolLm3, IsRefusedForGgufWhereItsLayersRotateOtherwise) {
  testing::TemporaryFolder folder;
  const fs::path other = folder / "other";
  fs::copy(golden_folder() / "smollm3", other);
  auto config = parse_json(read_file(other / "config.json").value(), "").value();
  config["no_rope_layers"] = {1, 0, 1, 1};
  std::ofstream(other / "config.json") << config;
  const auto refused =
      testing::to_gguf_file(folder / "m.gguf", as_written(open_model(other).value()));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("no_rope_layers"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "m.gguf"));
}

// Texts of more than 24 tokens turn by other factors from their first token on, and shorter ones in
// the same batch do not.
TEST(LongRope, GoesByTheTextsLength) {
  const auto source = open_model(golden_folder() / "phi3_long").value();
  const auto model = Model::load(source).value();
  Backend backend;
  Context ctx{backend};
  std::vector<int32_t> ids(50);
  std::iota(ids.begin(), ids.begin() + 25, 0);
  std::iota(ids.begin() + 25, ids.end(), 0);
  Batch both;
  both.tokens = {ids.begin(), ids.begin() + 49};
  both.segments = {{0, 25}, {25, 24}};
  const Tensor rows = model->forward(ctx, both);
  const Tensor longer = model->forward(ctx, Batch::single({ids.begin(), ids.begin() + 25}));
  const Tensor shorter = model->forward(ctx, Batch::single({ids.begin(), ids.begin() + 24}));
  expect_same_bits(rows.slice_rows(0, 25), longer);
  expect_same_bits(rows.slice_rows(25, 49), shorter);
  EXPECT_GT(distance(longer.slice_rows(0, 24), shorter), 1e-2 * norm(shorter));
}

// llama.cpp does not know the formula of longrope's scale: its files hold the number. It is the
// formula's again where config.json is made of the file.
TEST(LongRope, TellsGgufItsScale) {
  testing::TemporaryFolder folder;
  const auto source = open_model(golden_folder() / "phi3_long").value();
  testing::to_gguf_file(folder / "m.gguf", as_written(source)).value();
  const auto file = GgufFile::open(folder / "m.gguf").value();
  const auto scale = file.number("phi3.rope.scaling.attn_factor").value();
  ASSERT_TRUE(scale);
  EXPECT_FLOAT_EQ(*scale, std::sqrt(1 + std::log(64.0 / 24) / std::log(24.0)));
  EXPECT_EQ(open_model(folder / "m.gguf").value()->config().rope, source->config().rope);
}

TEST_P(DecoderTest, ASnapshotContinuesWithTheSameBits) {
  StatePool pool(model_->config(), DType::kF32, 4096);
  SequenceState whole(pool), state(pool);
  const Tensor expected = run(whole, ids_);
  run(state, std::span(ids_).first(11));
  const SequenceState::Snapshot early = state.snapshot();
  run(state, std::span(ids_).subspan(11, 6));
  const SequenceState::Snapshot late = state.snapshot();
  run(state, std::vector<int32_t>{3, 1, 4, 1, 5});
  state.restore(late);
  const auto n = static_cast<int64_t>(ids_.size());
  expect_same_bits(run(state, std::span(ids_).subspan(17)), expected.slice_rows(17, n));
  state.restore(early);
  EXPECT_EQ(state.length(), 11);
  expect_same_bits(run(state, std::span(ids_).subspan(11)), expected.slice_rows(11, n));
  state.truncate(0);
  expect_same_bits(run(state, ids_), expected);
}

// Counts norms, and asks for the interruption at one of them: the layer that it is in still ends,
// and its state has moved on.
struct InterruptingBackend : Backend {
  std::atomic<bool> interrupt = false;
  int64_t norms = 0, at = 0;
  void count() { interrupt = interrupt || ++norms == at; }
  void rms_norm(float* y, float* r, const float* x, const float* w, int64_t N, int64_t D,
                float eps) override {
    count();
    Backend::rms_norm(y, r, x, w, N, D, eps);
  }
  void layer_norm(float* y, float* stats, const float* x, const float* w, const float* b, int64_t N,
                  int64_t D, float eps) override {
    count();
    Backend::layer_norm(y, stats, x, w, b, N, D, eps);
  }
};

TEST_P(DecoderTest, AnInterruptedForwardCanBeRunAgain) {
  StatePool pool(model_->config(), DType::kF32, 4096);
  SequenceState whole(pool), state(pool);
  InterruptingBackend backend;
  Context ctx{backend};
  whole.reserve(std::ssize(ids_)).value();
  const Tensor expected = model_->forward(ctx, Batch::single(ids_, &whole));
  run(state, std::span(ids_).first(11));
  state.reserve(std::ssize(ids_) - 11).value();
  Batch batch = part_of_text(std::span(ids_).subspan(11), state);
  batch.interrupt = &backend.interrupt;
  for (const int64_t at : {1, 2}) {  // both in the first layer: the last has no check behind it
    backend.norms = 0, backend.at = at;
    EXPECT_THROW(model_->forward(ctx, batch), Interrupted) << at;
    EXPECT_EQ(state.length(), 11);
    backend.interrupt = false;
  }
  backend.at = 0;
  expect_same_bits(model_->forward(ctx, batch), expected.slice_rows(11, std::ssize(ids_)));
}

TEST_P(ArchitectureTest, RaggedBatchGivesTheSameBits) {
  StatePool pool(model_->config(), DType::kF32, 4096);
  std::vector<SequenceState> states;
  std::vector<std::vector<int32_t>> prompts;
  Batch batch;
  for (size_t i = 0; i < 4; ++i) {
    prompts.emplace_back(ids_.begin() + static_cast<int64_t>(i),
                         ids_.begin() + 2 + 11 * (i + 1) % 38);
    if (prompts.back().empty()) prompts.back() = {7};
    states.emplace_back(pool);
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto rows = std::ssize(prompts[i]);
    states[i].reserve(rows).value();
    SequenceState* const state = encodes() ? nullptr : &states[i];
    batch.segments.push_back(
        {std::ssize(batch.tokens), rows, 0, state, nullptr, encodes() ? 0 : std::ssize(ids_)});
    batch.tokens.insert(batch.tokens.end(), prompts[i].begin(), prompts[i].end());
  }
  const Tensor together = model_->forward(ctx_, batch);
  for (size_t i = 0; i < prompts.size(); ++i) {
    SequenceState alone(pool);
    const Segment& s = batch.segments[i];
    expect_same_bits(run(alone, prompts[i]),
                     together.slice_rows(s.first_row, s.first_row + s.rows));
  }
}

// Folder -> GGUF -> folder. Norms that GGUF keeps with a 1 added lose the bits below 2^-24 of it,
// half a last place of numbers from 1 to 2.
TEST_P(ArchitectureTest, SurvivesGgufAndBack) {
  testing::TemporaryFolder folder;
  testing::to_gguf_file(folder / "m.gguf", as_written(source_)).value();
  const auto gguf = open_model(folder / "m.gguf").value();
  testing::to_folder(folder / "hf", as_written(gguf)).value();
  const auto back = open_model(folder / "hf").value();
  for (const auto& other : {gguf, back}) {
    ASSERT_EQ(other->tensors().size(), source_->tensors().size());
    EXPECT_EQ(other->config().pooling, source_->config().pooling);
    for (const TensorInfo& t : source_->tensors()) {
      const Tensor expected = source_->tensor(t.name).value(), got = other->tensor(t.name).value();
      const bool shifted = source_->config().norms_around_one && t.shape.size() == 1;
      if (shifted)
        EXPECT_LE(distance(got, expected), 0x1p-24 * std::sqrt(t.shape[0])) << t.name;
      else
        expect_same_bits(got, expected);
    }
    StatePool pool(model_->config(), DType::kF32, 256);
    SequenceState a(pool), b(pool);
    const Tensor expected = run(a, ids_);
    b.reserve(std::ssize(ids_)).value();
    const Tensor got =
        Model::load(other).value()->forward(ctx_, Batch::single(ids_, encodes() ? nullptr : &b));
    if (source_->config().norms_around_one)
      EXPECT_LE(distance(got, expected), 1e-5 * norm(expected));
    else
      expect_same_bits(got, expected);
  }
}

TEST_P(ArchitectureTest, GradientsOfAllWeightsAreThoseOfTorch) {
  Tape tape;
  Context ctx{backend_, Numerics::kExact, &tape};
  for (auto& [name, weight] : model_->parameters()) {
    weight->tensor() = weight->tensor().to_f32();  // owned, with an identity of its own
    tape.watch(weight->tensor());
  }
  loss(ctx);
  tape.backward();
  for (auto& [name, weight] : model_->parameters()) {
    const Tensor expected = golden("grad." + name);
    const Tensor got = tape.take_grad(weight->tensor().id());
    ASSERT_TRUE(got.defined()) << name;
    // Without rotation a key's bias moves all scores of a query alike, which softmax does not see:
    // its gradient is rounding, to be small beside the query's.
    const size_t key = name.find("attention.self.key.bias");
    const double scale =
        key == name.npos
            ? norm(expected)
            : norm(golden("grad." + name.substr(0, key) + "attention.self.query.bias"));
    EXPECT_LE(distance(got, expected), 1e-4 * scale) << name;
  }
}

TEST_P(ArchitectureTest, GradientsOfLoraAreThoseOfTorch) {
  LoraAdapter adapter;
  adapter.rank = 4, adapter.alpha = 8;  // scale 2
  for (const auto& [module, weight] : model_->linears())
    adapter.modules[module] = {golden("lora." + module + ".A"), golden("lora." + module + ".B")};
  const BoundAdapter bound = model_->bind(adapter).value();
  Tape tape;
  Context ctx{backend_, Numerics::kExact, &tape};
  for (const auto& [module, lora] : bound.modules) {
    tape.watch(lora.A.tensor());
    tape.watch(lora.B.tensor());
  }
  EXPECT_NEAR(loss(ctx, &bound), golden("lora_loss").data<float>()[0], 5e-6);
  tape.backward();
  for (const auto& [module, lora] : bound.modules)
    for (const auto& [part, weight] : {std::pair("A", &lora.A), std::pair("B", &lora.B)}) {
      const Tensor expected = golden("lora_grad." + module + "." + part);
      const Tensor got = tape.take_grad(weight->tensor().id());
      ASSERT_TRUE(got.defined()) << module;
      EXPECT_LE(distance(got, expected), 1e-4 * norm(expected)) << module << "." << part;
    }
}

TEST_P(ArchitectureTest, TenStepsOfAdamWHaveTorchsLosses) {
  struct Moments {
    std::vector<float> m, v;
  };
  std::map<std::string, Moments> moments;
  Tape tape;
  Context ctx{backend_, Numerics::kExact, &tape};
  for (auto& [name, weight] : model_->parameters()) {
    weight->tensor() = weight->tensor().to_f32().clone();
    tape.watch(weight->tensor());
    const auto n = static_cast<size_t>(weight->tensor().size());
    moments[name] = {std::vector<float>(n), std::vector<float>(n)};
  }
  const Tensor expected = golden("losses");
  for (int64_t step = 1; step <= expected.size(); ++step) {
    EXPECT_NEAR(loss(ctx) / expected.data<float>()[step - 1], 1, 5e-6) << "step " << step;
    tape.backward();
    for (auto& [name, weight] : model_->parameters()) {
      const Tensor gradient = tape.take_grad(weight->tensor().id());
      Moments& s = moments[name];
      backend_.adamw(weight->tensor().data<float>(), gradient.data<float>(), s.m.data(), s.v.data(),
                     gradient.size(), {1e-3, 0.9, 0.999, 1e-8, 0.1, 1.0f, step});
    }
    tape.clear();
  }
}

const auto by_name = [](const auto& test) { return test.param; };
INSTANTIATE_TEST_SUITE_P(Goldens, ArchitectureTest, ::testing::ValuesIn(testing::golden_names()),
                         by_name);
INSTANTIATE_TEST_SUITE_P(Goldens, DecoderTest, ::testing::ValuesIn(decoder_names()), by_name);
INSTANTIATE_TEST_SUITE_P(Goldens, EncoderTest, ::testing::ValuesIn(encoder_names()), by_name);

}  // namespace
}  // namespace sllm
