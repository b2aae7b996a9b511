// Which tensor gets which type, and that conversion keeps, refuses and repeats what it should.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "compress/convert.h"
#include "compress/merge.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using testing::TinyModel;

ModelConfig config_of(int64_t layers, bool tied) {
  ModelConfig c = testing::tiny_config();
  c.L = layers;
  c.tied_embeddings = tied;
  return c;
}
DType type_of(const char* recipe, const char* tensor, Shape shape, bool tied = true,
              int64_t layers = 32) {
  return type_for(find_recipe(recipe).value(), config_of(layers, tied),
                  {tensor, DType::kF32, std::move(shape)});
}

TEST(Recipe, NamesAreFoundInAnyCaseAndByAlias) {
  EXPECT_EQ(find_recipe("q4_k").value().name, "Q4_K_M");
  EXPECT_EQ(find_recipe("Q8_0").value().type, DType::kQ8_0);
  EXPECT_EQ(find_recipe("q4").error().code, ErrorCode::kUsage);
  EXPECT_THAT(find_recipe("").error().message, ::testing::HasSubstr("Q4_K_M"));
}

TEST(Recipe, NormsAndBiasesStayF32) {
  EXPECT_EQ(type_of("q4_0", "model.norm.weight", {256}), DType::kF32);
  EXPECT_EQ(type_of("bf16", "model.layers.0.self_attn.q_proj.bias", {256}), DType::kF32);
}

TEST(Recipe, TheOutputMatrixGetsMoreBits) {
  const char *head = "lm_head.weight", *embedding = "model.embed_tokens.weight";
  EXPECT_EQ(type_of("q4_0", embedding, {320, 256}, true), DType::kQ6_K);
  EXPECT_EQ(type_of("q4_0", embedding, {320, 256}, false), DType::kQ4_0);
  EXPECT_EQ(type_of("q4_0", head, {320, 256}, false), DType::kQ6_K);
  EXPECT_EQ(type_of("q4_0", head, {320, 576}, false), DType::kQ8_0);
  EXPECT_EQ(type_of("q4_k", head, {320, 576}, false), DType::kQ8_0);
  EXPECT_EQ(type_of("q8_0", head, {320, 256}, false), DType::kQ8_0);
  EXPECT_EQ(type_of("q2_k", head, {320, 256}, false), DType::kQ6_K);
  EXPECT_EQ(type_of("iq4_xs", head, {320, 576}, false), DType::kQ8_0);
  EXPECT_EQ(type_of("iq4_nl", embedding, {320, 256}, true), DType::kQ6_K);
  EXPECT_EQ(type_of("mxfp4", embedding, {320, 256}, true), DType::kQ8_0);
}

TEST(Recipe, RowsThatDoNotFillSuperBlocksFallBack) {
  const char* up = "model.layers.9.mlp.up_proj.weight";
  EXPECT_EQ(type_of("q4_k", up, {64, 576}), DType::kQ5_0);
  EXPECT_EQ(type_of("q5_k", up, {64, 576}), DType::kQ5_1);
  EXPECT_EQ(type_of("q6_k", up, {64, 576}), DType::kQ8_0);
  EXPECT_EQ(type_of("q2_k", up, {64, 576}), DType::kQ4_0);
  EXPECT_EQ(type_of("q3_k_m", up, {64, 576}), DType::kQ4_0);
  EXPECT_EQ(type_of("iq4_xs", up, {64, 576}), DType::kIQ4_NL);
  EXPECT_EQ(type_of("q6_k", up, {64, 48}), DType::kF16);
  EXPECT_EQ(type_of("mxfp4", up, {64, 48}), DType::kF16);
  EXPECT_EQ(type_of("q4_0", up, {64, 48}), DType::kF16);
}

TEST(Recipe, MixesSpendBitsOnValuesAndDownProjections) {
  const auto value = [](const char* recipe, int layer) {
    return type_of(recipe, fmt::format("model.layers.{}.self_attn.v_proj.weight", layer).c_str(),
                   {64, 256});
  };
  const auto down = [](const char* recipe, int layer) {
    return type_of(recipe, fmt::format("model.layers.{}.mlp.down_proj.weight", layer).c_str(),
                   {64, 256});
  };
  EXPECT_EQ(value("q4_k_m", 0), DType::kQ6_K);
  EXPECT_EQ(value("q4_k_m", 4), DType::kQ4_K);
  EXPECT_EQ(down("q4_k_m", 6), DType::kQ6_K);
  EXPECT_EQ(down("q5_k_m", 31), DType::kQ6_K);
  EXPECT_EQ(value("q4_k_s", 3), DType::kQ5_K);
  EXPECT_EQ(value("q4_k_s", 4), DType::kQ4_K);
  EXPECT_EQ(down("q4_k_s", 3), DType::kQ5_K);
  EXPECT_EQ(down("q4_k_s", 4), DType::kQ4_K);
  EXPECT_EQ(value("q5_k_s", 0), DType::kQ5_K);
}

// Expectations: llama-quantize (llama.cpp of llama-cpp-python 0.3.36) on models of 32 layers.
TEST(Recipe, TheSmallestTypesSpendBitsOnThreeKindsOfMatrices) {
  const auto type = [](const char* recipe, const char* matrix, int layer) {
    const std::string name = fmt::format("model.layers.{}.{}.weight", layer, matrix);
    return type_of(recipe, name.c_str(), {64, 256});
  };
  const char *value = "self_attn.v_proj", *out = "self_attn.o_proj", *down = "mlp.down_proj",
             *up = "mlp.up_proj";
  EXPECT_EQ(type("q3_k", value, 1), DType::kQ5_K);
  EXPECT_EQ(type("q3_k_m", value, 2), DType::kQ4_K);
  EXPECT_EQ(type("q3_k_m", out, 2), DType::kQ4_K);
  EXPECT_EQ(type("q3_k_m", down, 1), DType::kQ5_K);
  EXPECT_EQ(type("q3_k_m", down, 2), DType::kQ4_K);
  EXPECT_EQ(type("q3_k_m", up, 0), DType::kQ3_K);
  for (const char* matrix : {value, out, down}) {
    EXPECT_EQ(type("q3_k_l", matrix, 20), DType::kQ5_K) << matrix;
    EXPECT_EQ(type("q3_k_s", matrix, 0), DType::kQ3_K) << matrix;
    EXPECT_EQ(type("q2_k", matrix, 0), DType::kQ3_K) << matrix;
  }
  EXPECT_EQ(type("q2_k", up, 0), DType::kQ2_K);
  EXPECT_EQ(type("iq4_nl", down, 3), DType::kQ5_K);
  EXPECT_EQ(type("iq4_xs", down, 4), DType::kIQ4_XS);
  EXPECT_EQ(type("iq4_xs", value, 0), DType::kIQ4_XS);
  EXPECT_EQ(type("mxfp4", down, 0), DType::kMXFP4);
}

TEST(Recipe, ValuesThatManyHeadsShareGetMoreBits) {
  ModelConfig config = config_of(32, true);
  config.H = 4 * config.Hk;
  const TensorInfo value{"model.layers.9.self_attn.v_proj.weight", DType::kF32, {64, 256}};
  EXPECT_EQ(type_for(find_recipe("q2_k").value(), config, value), DType::kQ4_K);
  EXPECT_EQ(type_for(find_recipe("iq4_xs").value(), config, value), DType::kQ5_K);
  EXPECT_EQ(type_for(find_recipe("iq4_nl").value(), config, value), DType::kQ5_K);
}

TEST(Convert, ThreadsDoNotChangeTheBytes) {
  const Tensor x = TinyModel().tensor("model.embed_tokens.weight").value();
  ThreadPool one(1), three(3);
  const Tensor a = convert_tensor(x, DType::kQ5_1, one, "x").value(),
               b = convert_tensor(x, DType::kQ5_1, three, "x").value();
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0);
}

TEST(Convert, NumbersThatAreNotFiniteAreNamed) {
  Tensor x = Tensor::zeros(DType::kF32, {8, 32});
  ThreadPool pool(2);
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    x.data<float>()[5 * 32 + 7] = bad;
    const auto result = convert_tensor(x, DType::kQ8_0, pool, "blk");
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, ::testing::HasSubstr("\"blk\", row 5"));
  }
  auto model = std::make_shared<TinyModel>();
  EXPECT_TRUE(check_values(*model, pool).ok());
  Tensor norm = model->tensor("model.norm.weight").value().clone();
  norm.data<float>()[3] = NAN;
  model->replace("model.norm.weight", norm);
  EXPECT_THAT(check_values(*model, pool).error().message, ::testing::HasSubstr("model.norm"));
}

class WriteModelTest : public ::testing::Test {
 protected:
  ModelToWrite tiny(DType type = DType::kF32) {
    ModelToWrite m = as_written(std::make_shared<TinyModel>(testing::tiny_config(), type));
    m.tokenizer.gguf = testing::tiny_tokenizer();
    return m;
  }
  testing::TemporaryFolder folder;
  ThreadPool pool{2};
};

TEST_F(WriteModelTest, QuantisedFilesHoldTheTypesTheyAnnounce) {
  ModelToWrite model = tiny();
  apply_recipe(model, find_recipe("q4_k").value(), false);
  const WrittenModel written = write_model(folder / "q.gguf", std::move(model), pool).value();
  EXPECT_EQ(written.tensors_by_type.at(DType::kQ5_0), 12);  // rows of 64 and 96: no super-blocks
  EXPECT_EQ(written.tensors_by_type.at(DType::kQ8_0), 3);   // the mix's Q6_K, and the embedding
  const auto source = open_model(folder / "q.gguf").value();
  EXPECT_EQ(source->tensor("model.layers.0.mlp.gate_proj.weight")->dtype(), DType::kQ5_0);
  EXPECT_EQ(count_types(source->tensors()).bytes, written.bytes);
}

TEST_F(WriteModelTest, AFolderThatWentThroughGgufIsTheSameFile) {
  ModelToWrite model = tiny();
  keep_floats(model, DType::kBF16);
  write_model(folder / "hf", std::move(model), pool).value();
  const auto through = [&](const fs::path& from, const fs::path& to) {
    ModelToWrite m = as_written(open_model(from).value());
    keep_floats(m, std::nullopt);
    if (from.extension() == ".gguf") restore_vector_types(m).value();
    write_model(to, std::move(m), pool).value();
  };
  through(folder / "hf", folder / "m.gguf");
  EXPECT_EQ(open_model(folder / "m.gguf").value()->tensor("model.norm.weight")->dtype(),
            DType::kF32);
  through(folder / "m.gguf", folder / "back");
  EXPECT_EQ(read_file(folder / "back" / "model.safetensors").value(),
            read_file(folder / "hf" / "model.safetensors").value());
}

TEST_F(WriteModelTest, VectorsThatBf16CannotHoldStayF32) {
  ModelToWrite model = tiny(DType::kBF16);
  const auto read = std::move(model.tensor);
  model.tensor = [&](const TensorInfo& t) -> Result<Tensor> {
    SLLM_TRY(Tensor tensor, read(t));
    if (t.shape.size() == 2) return tensor;
    tensor = tensor.to_f32().clone();
    std::fill_n(tensor.data<float>(), tensor.size(),
                t.name == "model.norm.weight" ? 1 / 3.f : 0.5f);
    return tensor;
  };
  for (TensorInfo& t : model.tensors)
    if (t.shape.size() != 2) t.dtype = DType::kF32;
  restore_vector_types(model).value();
  for (const TensorInfo& t : model.tensors)
    EXPECT_EQ(t.dtype, t.name == "model.norm.weight" ? DType::kF32 : DType::kBF16) << t.name;
}

TEST_F(WriteModelTest, AStopRequestLeavesNothingBehind) {
  request_stop(2);
  const auto result = write_model(folder / "q.gguf", tiny(), pool);
  clear_stop();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

LoraAdapter adapter_for(const std::string& module, int64_t out, int64_t in) {
  LoraAdapter adapter;
  adapter.rank = 2;
  adapter.alpha = 6;
  Rng rng(3);
  std::vector<float> a(static_cast<size_t>(2 * in)), b(static_cast<size_t>(out * 2));
  for (float& v : a) v = rng.normal();
  for (float& v : b) v = rng.normal();
  adapter.modules[module] = {Tensor::from(a, {2, in}), Tensor::from(b, {out, 2})};
  return adapter;
}

TEST_F(WriteModelTest, MergingAddsTheScaledProduct) {
  const std::string module = "model.layers.1.self_attn.q_proj";
  for (DType type : {DType::kF32, DType::kQ4_1}) {
    auto base = std::make_shared<TinyModel>(testing::tiny_config(), type);
    const LoraAdapter adapter = adapter_for(module, 64, 64);
    const ModelToWrite merged = merge_adapter(base, adapter, pool).value();
    const Tensor before = base->tensor(module + ".weight").value().to_f32(),
                 after = merged.tensor({module + ".weight", {}, {}}).value();
    const Tensor &A = adapter.modules.at(module).A, &B = adapter.modules.at(module).B;
    for (int64_t i = 0; i < 64; ++i)
      for (int64_t j = 0; j < 64; ++j) {
        const double product = B.data<float>()[2 * i] * A.data<float>()[j] +
                               B.data<float>()[2 * i + 1] * A.data<float>()[64 + j];
        ASSERT_NEAR(after.data<float>()[64 * i + j], before.data<float>()[64 * i + j] + 3 * product,
                    1e-5);
      }
    const auto written = std::ranges::find(merged.tensors, module + ".weight", &TensorInfo::name);
    EXPECT_EQ(written->dtype, type == DType::kF32 ? DType::kF32 : DType::kBF16);
    const Tensor other = merged.tensor({"model.layers.0.self_attn.q_proj.weight", {}, {}}).value();
    EXPECT_EQ(other.id(), base->tensor("model.layers.0.self_attn.q_proj.weight").value().id());
  }
}

TEST_F(WriteModelTest, MergingDoraGivesRowsTheirMagnitude) {
  const std::string module = "model.layers.1.self_attn.q_proj";
  auto base = std::make_shared<TinyModel>();
  LoraAdapter adapter = adapter_for(module, 64, 64);
  const Tensor plain =
      merge_adapter(base, adapter, pool)->tensor({module + ".weight", {}, {}}).value();
  std::vector<float> lengths(64);
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = 0.5f + static_cast<float>(i);
  adapter.modules[module].magnitude = Tensor::from(lengths, {64});
  const Tensor merged =
      merge_adapter(base, adapter, pool)->tensor({module + ".weight", {}, {}}).value();
  for (int64_t i = 0; i < 64; ++i) {
    double norm = 0;
    for (int64_t j = 0; j < 64; ++j) norm += std::pow(plain.data<float>()[64 * i + j], 2.0);
    const double gain = lengths[static_cast<size_t>(i)] / std::sqrt(norm);
    for (int64_t j = 0; j < 64; ++j) {
      const double wanted = plain.data<float>()[64 * i + j] * gain;
      ASSERT_NEAR(merged.data<float>()[64 * i + j], wanted, 1e-6 * std::abs(wanted) + 1e-7);
    }
  }
}

TEST_F(WriteModelTest, MergingRefusesWhatIsNotFinite) {
  const std::string module = "model.layers.1.self_attn.q_proj";
  LoraAdapter adapter = adapter_for(module, 64, 64);
  for (const Tensor& t : {adapter.modules[module].A, adapter.modules[module].B})
    std::fill_n(Tensor(t).data<float>(), t.size(), 3e38f);  // finite; their product is not
  const auto merged = merge_adapter(std::make_shared<TinyModel>(), adapter, pool)
                          ->tensor({module + ".weight", {}, {}});
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(merged.error().message, ::testing::HasSubstr(module));
}

TEST_F(WriteModelTest, AdaptersThatDoNotFitAreRefused) {
  auto base = std::make_shared<TinyModel>();
  const auto missing = merge_adapter(base, adapter_for("model.layers.7.mlp.up_proj", 96, 64), pool);
  EXPECT_THAT(missing.error().message, ::testing::HasSubstr("model.layers.7.mlp.up_proj"));
  const auto misshapen =
      merge_adapter(base, adapter_for("model.layers.1.mlp.up_proj", 96, 32), pool);
  EXPECT_THAT(misshapen.error().message, ::testing::HasSubstr("[96, 32]"));
}

}  // namespace
}  // namespace sllm
