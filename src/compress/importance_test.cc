// What is collected is what the matrices were given; what is quantised by it loses less.
#include "compress/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compress/convert.h"
#include "models/model.h"
#include "models/registry.h"
#include "support/goldens.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

using Windows = std::vector<std::vector<int32_t>>;
Windows windows(int64_t V, int count = 3) {
  Windows all;
  for (int w = 0; w < count; ++w) {
    all.emplace_back();
    for (int i = 0; i < 24; ++i) all.back().push_back(static_cast<int32_t>((w * 101 + i * i) % V));
  }
  return all;
}
ImportanceMatrix collect(std::shared_ptr<ModelSource> source, const Windows& texts, int threads = 1,
                         bool output = false) {
  return collect_importance(std::move(source), texts, {Numerics::kExact, threads, output, {}})
      .value();
}

// The reference arithmetic of src/ops, which notes what every weight is multiplied by.
class NotingBackend : public Backend {
 public:
  void linear(float* y, Operand& x, const Weight& w, Numerics numerics, bool accumulate) override {
    std::vector<double>& sums = squares[&w];
    sums.resize(static_cast<size_t>(x.K()));
    for (int64_t i = 0; i < x.f32().size(); ++i)
      sums[static_cast<size_t>(i % x.K())] += std::pow(double{x.f32().data<float>()[i]}, 2);
    Backend::linear(y, x, w, numerics, accumulate);
  }
  std::map<const Weight*, std::vector<double>> squares;
};

class EveryDecoder : public ::testing::TestWithParam<std::string> {};

// Directly: each text whole, without states, by the reference arithmetic. Both compute in f32 and
// round in another order: on these models the sums differ by 2e-6 of themselves at most.
TEST_P(EveryDecoder, SumsAreThoseOfADirectComputation) {
  const auto source = open_model(testing::golden_folder() / GetParam()).value();
  if (!source->config().causal)
    GTEST_SKIP() << "an encoder says no next token, so sllm imatrix refuses it";
  const Windows texts = windows(source->config().V);
  const ImportanceMatrix matrix = collect(source, texts, 1, /*output=*/true);
  EXPECT_EQ(matrix.chunks, 3);
  EXPECT_EQ(matrix.chunk_size, 24);

  NotingBackend backend;
  Context context{backend, Numerics::kExact, nullptr};
  const auto model = Model::load(source).value();
  for (const auto& text : texts)
    model->logits(context, model->forward(context, Batch::single(text)));
  std::map<std::string, const Weight*> weights;
  for (const auto& [module, weight] : model->linears()) weights[module + ".weight"] = weight;
  size_t compared = 0;
  for (const TensorSpec& spec : expected_tensors(source->config())) {
    const bool output = spec.gguf == "output.weight";
    if (!output && !weights.contains(spec.hf)) continue;
    ASSERT_EQ(matrix.entries.contains(spec.gguf), output || spec.gguf.starts_with("blk."))
        << spec.gguf;
    if (!matrix.entries.contains(spec.gguf)) continue;
    const ImportanceEntry& entry = matrix.entries.at(spec.gguf);
    EXPECT_THAT(entry.counts, ::testing::ElementsAre(3 * 24)) << spec.gguf;
    std::vector<float> sums = entry.sums;
    if (spec.form.columns > 0) {  // GGUF's order of columns, undone
      const Tensor hf = spec.form.from_gguf(Tensor::from(sums, {1, std::ssize(sums)}), spec.form.n);
      sums.assign(hf.data<float>(), hf.data<float>() + hf.size());
    }
    const std::vector<double>& direct =
        backend.squares.at(output ? &model->head() : weights.at(spec.hf));
    ASSERT_EQ(sums.size(), direct.size());
    for (size_t i = 0; i < sums.size(); ++i)
      ASSERT_NEAR(sums[i], direct[i], 2e-5 * direct[i] + 1e-9) << spec.gguf << " column " << i;
    ++compared;
  }
  EXPECT_EQ(compared, matrix.entries.size());
}

// And the same matrix is made of the same model as a GGUF file.
TEST_P(EveryDecoder, AGgufFileGivesTheSameSums) {
  const auto source = open_model(testing::golden_folder() / GetParam()).value();
  if (!source->config().causal)
    GTEST_SKIP() << "an encoder says no next token, so sllm imatrix refuses it";
  testing::TemporaryFolder folder;
  ThreadPool pool(1);
  write_model(folder / "m.gguf", as_written(source), pool).value();
  const Windows texts = windows(source->config().V, 1);
  const ImportanceMatrix a = collect(source, texts),
                         b = collect(open_model(folder / "m.gguf").value(), texts);
  ASSERT_EQ(a.entries.size(), b.entries.size());
  for (const auto& [name, entry] : a.entries)
    for (size_t i = 0; i < entry.sums.size(); ++i)
      ASSERT_NEAR(entry.sums[i], b.entries.at(name).sums[i], 2e-5 * entry.sums[i] + 1e-9) << name;
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryDecoder, ::testing::ValuesIn(testing::golden_names()),
                         [](const auto& param) { return param.param; });

TEST(Importance, ThreadsDoNotChangeABit) {
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    const auto collect = [&](int threads) {
      return collect_importance(std::make_shared<TinyModel>(testing::tiny_config(), DType::kQ8_0),
                                windows(320), {numerics, threads, false, {}})
          .value();
    };
    const ImportanceMatrix one = collect(1), two = collect(2);
    ASSERT_EQ(one.entries.size(), 14u);
    for (const auto& [name, entry] : one.entries)
      EXPECT_EQ(entry.sums, two.entries.at(name).sums) << name;
  }
}

// Chunks are texts of their own: the sums of two are those of the one and of the other.
TEST(Importance, ChunksAddUp) {
  const auto model = std::make_shared<TinyModel>();
  const Windows texts = windows(320, 2);
  const ImportanceMatrix both = collect(model, texts), first = collect(model, {texts[0]}),
                         second = collect(model, {texts[1]});
  for (const auto& [name, entry] : both.entries) {
    EXPECT_EQ(entry.counts[0], 48);
    for (size_t i = 0; i < entry.sums.size(); ++i)
      EXPECT_FLOAT_EQ(entry.sums[i],
                      first.entries.at(name).sums[i] + second.entries.at(name).sums[i])
          << name;
  }
}

TEST(Importance, AStopRequestIsHeard) {
  request_stop(2);
  const auto result = collect_importance(std::make_shared<TinyModel>(), windows(320));
  clear_stop();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
}

TEST(Importance, AMatrixOfAnotherModelIsRefused) {
  const ImportanceMatrix matrix = collect(std::make_shared<TinyModel>(), windows(320));
  EXPECT_EQ(column_importance(matrix, testing::tiny_config(), "m")->size(), 14u);
  ModelConfig fewer = testing::tiny_config(), wider = fewer;
  fewer.L = 1, wider.F = 128;
  const auto names = column_importance(matrix, fewer, "m"),
             columns = column_importance(matrix, wider, "m");
  ASSERT_FALSE(names.ok());
  EXPECT_THAT(
      names.error().message,
      HasSubstr("m: \"blk.1.attn_k.weight\" is not a matrix of this llama model with 1 lay"));
  EXPECT_THAT(names.error().hint, HasSubstr("sllm imatrix"));
  ASSERT_FALSE(columns.ok());
  EXPECT_THAT(columns.error().message,
              HasSubstr("\"blk.0.ffn_down.weight\" has 96 columns, and 128 in the model"));
}

TEST(Importance, TheOutputMatrixOfATiedModelIsPassedOver) {
  ImportanceMatrix matrix;
  matrix.entries["output.weight"] = {std::vector<float>(64, 1.0f), {1}};
  EXPECT_TRUE(column_importance(matrix, testing::tiny_config(), "m")->empty());
  ModelConfig untied = testing::tiny_config();
  untied.tied_embeddings = false;
  EXPECT_EQ(column_importance(matrix, untied, "m")->count("lm_head.weight"), 1u);
}

TEST(Importance, RecipesDifferALittleWithIt) {
  ModelConfig config = testing::tiny_config();
  config.L = 16;
  const auto type = [&](const char* recipe, const char* matrix, bool weighted) {
    return type_for(find_recipe(recipe).value(), config,
                    {fmt::format("model.layers.1.{}.weight", matrix), DType::kF32, {64, 256}},
                    false, weighted);
  };
  // Expectations: llama-quantize --imatrix (llama.cpp of llama-cpp-python 0.3.36).
  EXPECT_EQ(type("q4_0", "mlp.down_proj", true), DType::kQ4_1);
  EXPECT_EQ(type("q4_0", "mlp.down_proj", false), DType::kQ4_0);
  EXPECT_EQ(type("q4_0", "mlp.up_proj", true), DType::kQ4_0);
  EXPECT_EQ(type("q5_0", "mlp.down_proj", true), DType::kQ5_1);
  EXPECT_EQ(type("iq4_xs", "mlp.down_proj", true), DType::kIQ4_XS);
  EXPECT_EQ(type("iq4_xs", "mlp.down_proj", false), DType::kQ5_K);
  EXPECT_EQ(type("q4_k_s", "mlp.down_proj", true), DType::kQ5_K);
}

// The mean squared error of the products on the inputs that were measured is what importance is
// for: sum over columns of mean square times squared error, were the columns independent.
TEST(Importance, WrittenFilesLoseLessOnWhatWasMeasured) {
  testing::TemporaryFolder folder;
  ThreadPool pool(2);
  const auto source = std::make_shared<TinyModel>();
  ImportanceMatrix matrix = collect(source, windows(320));
  // Norms of a trained model make some columns far more important than others.
  for (auto& [name, entry] : matrix.entries)
    for (size_t i = 0; i < entry.sums.size(); i += 7) entry.sums[i] *= 100;
  const ColumnImportance importance = column_importance(matrix, source->config(), "m").value();
  const auto error = [&](const ColumnImportance& by, const char* name) {
    ModelToWrite model = as_written(source);
    model.tokenizer.gguf = testing::tiny_tokenizer();
    apply_recipe(model, find_recipe("q4_1").value(), true);
    write_model(folder / name, std::move(model), pool, {}, by).value();
    const auto written = open_model(folder / name).value();
    double sum = 0;
    for (const auto& [tensor, columns] : importance) {
      const Tensor a = source->tensor(tensor).value(), b = written->tensor(tensor)->to_f32();
      for (int64_t i = 0; i < a.size(); ++i)
        sum += columns[static_cast<size_t>(i % a.cols())] *
               std::pow(double{a.data<float>()[i]} - b.data<float>()[i], 2);
    }
    return sum;
  };
  EXPECT_LT(error(importance, "with.gguf"), 0.7 * error({}, "without.gguf"));
}

}  // namespace
}  // namespace sllm
