// LoRA adapters in PEFT's, mlx-lm's and GGUF's formats: what is read, and that the way there and
// back changes nothing.
#include "io/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/rng.h"
#include "io/gguf_lora.h"
#include "io/gguf_writer.h"
#include "io/json.h"
#include "io/peft_parse.h"
#include "io/safetensors.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using testing::tiny_config;

constexpr const char* kQ = "model.layers.0.self_attn.q_proj";
constexpr const char* kUp = "model.layers.1.mlp.up_proj";

Tensor random(Shape shape, uint64_t seed, DType type = DType::kF32) {
  Tensor t = Tensor::empty(DType::kF32, std::move(shape));
  Rng rng(seed);
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = rng.normal();
  return t.to(type);
}

// On q, k, v and up of both layers.
LoraAdapter tiny_adapter(DType type = DType::kF32) {
  LoraAdapter adapter;
  adapter.rank = 4, adapter.alpha = 6, adapter.base_model = "org/tiny";
  uint64_t seed = 1;
  for (const char* layer : {"model.layers.0.", "model.layers.1."})
    for (const auto& [name, rows] : {std::pair("self_attn.q_proj", 64),
                                     {"self_attn.k_proj", 32},
                                     {"self_attn.v_proj", 32},
                                     {"mlp.up_proj", 96}})
      adapter.modules[layer + std::string(name)] = {random({4, 64}, ++seed, type),
                                                    random({rows, 4}, ++seed, type)};
  return adapter;
}

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.to_string(), b.to_string()) << what;
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0) << what;
}

void expect_equal(const LoraAdapter& a, const LoraAdapter& b) {
  EXPECT_EQ(a.rank, b.rank);
  EXPECT_EQ(a.alpha, b.alpha);
  EXPECT_EQ(a.rslora, b.rslora);
  EXPECT_EQ(a.base_model, b.base_model);
  ASSERT_EQ(a.modules.size(), b.modules.size());
  for (const auto& [module, pair] : a.modules) {
    ASSERT_TRUE(b.modules.contains(module)) << module;
    const LoraAdapter::Pair& other = b.modules.at(module);
    expect_equal(pair.A, other.A, module + " A");
    expect_equal(pair.B, other.B, module + " B");
    expect_equal(pair.magnitude, other.magnitude, module + " magnitude");
    EXPECT_EQ(a.scale(pair), b.scale(other)) << module;
  }
}

class AdapterTest : public ::testing::Test {
 protected:
  void spill(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  testing::TemporaryFolder folder;
  const ModelConfig config = tiny_config();
};

TEST_F(AdapterTest, PeftKeepsRanksAlphasTypesAndMagnitudes) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    LoraAdapter adapter = tiny_adapter(type);
    adapter.rslora = true;
    adapter.modules[kUp] = {random({2, 64}, 90, type), random({96, 2}, 91, type), {}, 9.0f};
    for (auto& [module, pair] : adapter.modules) pair.magnitude = random({pair.B.rows()}, 7);
    write_peft_adapter(folder / "a", adapter).value();
    expect_equal(adapter, read_peft_adapter(folder / "a").value());
  }
}

TEST_F(AdapterTest, ToGgufAndBackIsTheSameFile) {
  for (DType type : {DType::kF32, DType::kF16, DType::kBF16})
    for (bool rslora : {false, true}) {
      LoraAdapter adapter = tiny_adapter(type);
      adapter.rslora = rslora;
      // Another rank is the format's own business as long as alpha / rank is the scale.
      if (!rslora) adapter.modules[kUp] = {random({2, 64}, 90, type), random({96, 2}, 91, type)};
      write_adapter(folder / "a", adapter, config).value();
      write_adapter(folder / "a.gguf", adapter, config).value();
      const LoraAdapter back = read_adapter(folder / "a.gguf", config).value();
      expect_equal(adapter, back);
      write_adapter(folder / "b", back, config).value();
      for (const char* name : {"adapter_model.safetensors", "adapter_config.json"})
        EXPECT_EQ(read_file(folder / "a" / name).value(), read_file(folder / "b" / name).value());
    }
}

TEST_F(AdapterTest, GgufIsWhatLlamaCppExpects) {
  LoraAdapter adapter = tiny_adapter();
  adapter.rslora = true;
  write_adapter(folder / "a.gguf", adapter, config).value();
  const auto file = GgufFile::open(folder / "a.gguf").value();
  EXPECT_EQ(file.string("general.type").value(), "adapter");
  EXPECT_EQ(file.string("general.architecture").value(), "llama");
  EXPECT_EQ(file.string("adapter.type").value(), "lora");
  // llama.cpp divides by the rank: 6 sqrt(4) / 4 = 6 / sqrt(4).
  EXPECT_EQ(file.number("adapter.lora.alpha").value(), 12);
  const auto find = [&](const char* name) {
    const auto at = std::ranges::find(file.tensors(), name, &GgufTensor::name);
    SLLM_CHECK(at != file.tensors().end(), "no {}", name);
    return Tensor::borrow(at->dtype, at->shape, at->data.data(), nullptr);
  };
  expect_equal(find("blk.0.attn_q.weight.lora_a"), adapter.modules[kQ].A, "A");
  // Head width 16: ggml's row 3 of head 1 is row 8 + 1 of it.
  EXPECT_EQ(std::memcmp(find("blk.0.attn_q.weight.lora_b").row(16 + 3),
                        adapter.modules[kQ].B.row(16 + 9), 4 * sizeof(float)),
            0);
  expect_equal(find("blk.1.ffn_up.weight.lora_b"), adapter.modules[kUp].B, "B");
}

TEST_F(AdapterTest, Qwen2RowsStayInGguf) {
  ModelConfig qwen = config;
  qwen.architecture = find_architecture("qwen2");
  const LoraAdapter adapter = tiny_adapter();
  write_adapter(folder / "a.gguf", adapter, qwen).value();
  const auto file = GgufFile::open(folder / "a.gguf").value();
  const auto at =
      std::ranges::find(file.tensors(), "blk.0.attn_q.weight.lora_b", &GgufTensor::name);
  ASSERT_NE(at, file.tensors().end());
  EXPECT_EQ(std::memcmp(at->data.data(), adapter.modules.at(kQ).B.raw(), at->data.size()), 0);
  expect_equal(adapter, read_adapter(folder / "a.gguf", qwen).value());
  const auto other = read_adapter(folder / "a.gguf", config);
  EXPECT_THAT(other.error().message, HasSubstr("is for a qwen2 model, but the base is a llama"));
}

TEST_F(AdapterTest, AModulesOwnAlphaGoesIntoItsBInGguf) {
  LoraAdapter adapter = tiny_adapter();
  adapter.modules[kUp].alpha = 24.0f;  // 4 times the adapter's: exact in binary
  write_adapter(folder / "a.gguf", adapter, config).value();
  const LoraAdapter back = read_adapter(folder / "a.gguf", config).value();
  const LoraAdapter::Pair &was = adapter.modules[kUp], &is = back.modules.at(kUp);
  EXPECT_EQ(back.scale(is), 1.5f);
  for (int64_t i = 0; i < was.B.size(); ++i)
    EXPECT_EQ(is.B.data<float>()[i] * back.scale(is), was.B.data<float>()[i] * adapter.scale(was));
  expect_equal(adapter.modules[kQ].B, back.modules.at(kQ).B, "others stay");
}

TEST_F(AdapterTest, GgufWithoutAlphaIsNotScaled) {
  GgufWriter out;
  out.add("general.architecture", "llama");
  out.add("general.type", "adapter");
  out.add("adapter.type", "lora");
  out.add_tensor("blk.0.ffn_up.weight.lora_a", DType::kF32, {4, 64});
  out.add_tensor("blk.0.ffn_up.weight.lora_b", DType::kF32, {96, 4});
  out.write(folder / "a.gguf",
            [](size_t i) -> Result<Tensor> {
              return i == 0 ? random({4, 64}, 1) : random({96, 4}, 2);
            })
      .value();
  const LoraAdapter adapter = read_adapter(folder / "a.gguf", config).value();
  EXPECT_EQ(adapter.scale(adapter.modules.at("model.layers.0.mlp.up_proj")), 1);
}

TEST_F(AdapterTest, MlxIsTransposedAndScaled) {
  const Tensor a = random({64, 4}, 1), b = random({4, 96}, 2);
  fs::create_directories(folder / "mlx");
  write_safetensors(folder / "mlx" / "adapters.safetensors",
                    {{std::string(kUp) + ".lora_a", a}, {std::string(kUp) + ".lora_b", b}})
      .value();
  spill(folder / "mlx" / "adapter_config.json",
        R"({"fine_tune_type":"lora","num_layers":16,"model":"org/tiny","batch_size":4,
            "lora_parameters":{"rank":4,"dropout":0.0,"scale":20.0,"keys":["mlp.up_proj"]}})");
  ASSERT_EQ(find_adapter(folder / "mlx")->format, AdapterFormat::kMlx);
  const LoraAdapter adapter = read_adapter(folder / "mlx", config).value();
  const LoraAdapter::Pair& pair = adapter.modules.at(kUp);
  EXPECT_EQ(adapter.scale(pair), 20);
  EXPECT_EQ(adapter.base_model, "org/tiny");
  ASSERT_EQ(pair.A.shape(), (Shape{4, 64}));
  ASSERT_EQ(pair.B.shape(), (Shape{96, 4}));
  for (int64_t i = 0; i < 64; ++i)
    for (int64_t r = 0; r < 4; ++r)
      ASSERT_EQ(pair.A.data<float>()[r * 64 + i], a.data<float>()[i * 4 + r]);
  for (int64_t o = 0; o < 96; ++o)
    for (int64_t r = 0; r < 4; ++r)
      ASSERT_EQ(pair.B.data<float>()[o * 4 + r], b.data<float>()[r * 96 + o]);
  // As PEFT it names its only module in full: layer 0 has none.
  write_adapter(folder / "peft", adapter, config).value();
  const auto written =
      parse_json(read_file(folder / "peft/adapter_config.json").value(), "").value();
  EXPECT_EQ(written["target_modules"], nlohmann::json::array({kUp}));
  expect_equal(adapter, read_adapter(folder / "peft", config).value());
}

TEST_F(AdapterTest, MlxWritesNullForNoMetadata) {
  const std::string header =
      R"({"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const uint64_t length = header.size();
  spill(folder / "m.safetensors",
        std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(4, '\0'));
  EXPECT_EQ(read_safetensors(folder / "m.safetensors").value().tensors.size(), 1u);
}

TEST_F(AdapterTest, WhatPeftWritesBesideTheNumbersIsPassedOver) {
  for (const char* fields :
       {R"("target_modules":"all-linear")", R"("target_modules":["q_proj"])",
        R"("target_modules":".*layers\\.[01]\\.self_attn\\.(q|k)_proj")",
        R"("target_modules":["q_proj"],"layers_to_transform":[0,1],"layers_pattern":"layers")",
        R"("fan_in_fan_out":true)", R"("init_lora_weights":"gaussian")",
        R"("init_lora_weights":true)", R"("modules_to_save":[])", R"("modules_to_save":null)",
        R"("rank_pattern":{},"alpha_pattern":{})", R"("lora_bias":false,"use_dora":false)"}) {
    const auto config =
        parse_peft_config(fmt::format(R"({{"r":4,"lora_alpha":6,{}}})", fields), "c");
    ASSERT_TRUE(config.ok()) << fields << config.error().message;
    EXPECT_EQ(config->adapter.scale(), 1.5f);
  }
}

TEST_F(AdapterTest, PatternsFitWholeNamesAndTheirEnds) {
  const auto rank_of = [](const char* pattern) {
    auto config = parse_peft_config(
        fmt::format(
            R"({{"r":4,"lora_alpha":8,"rank_pattern":{{"{}":2}},"alpha_pattern":{{"{}":3}}}})",
            pattern, pattern),
        "c");
    const std::string module = "base_model.model." + std::string(kUp);
    auto adapter =
        bind_peft_tensors({{module + ".lora_A.weight", Tensor::zeros(DType::kF32, {2, 64})},
                           {module + ".lora_B.weight", Tensor::zeros(DType::kF32, {96, 2})}},
                          "f", std::move(config).value());
    return adapter.ok() ? adapter->scale(adapter->modules.at(kUp)) : -1;
  };
  EXPECT_EQ(rank_of("up_proj"), 1.5f);
  EXPECT_EQ(rank_of("layers.1.mlp.up_proj"), 1.5f);
  EXPECT_EQ(rank_of("^model.layers.1.mlp.up_proj"), 1.5f);
  EXPECT_EQ(rank_of(R"(1\\.mlp\\.up_proj$)"), 1.5f);
  EXPECT_EQ(rank_of("p_proj"), -1);  // not at a dot
  EXPECT_EQ(rank_of("^mlp.up_proj"), -1);
  EXPECT_EQ(rank_of("model.layers.0.mlp.up_proj"), -1);
}

TEST_F(AdapterTest, FindsAdaptersInRunsAndNothingElse) {
  write_peft_adapter(folder / "run/adapter", tiny_adapter()).value();
  const auto found = find_adapter(folder / "run");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, folder / "run/adapter");
  EXPECT_EQ(found->format, AdapterFormat::kPeft);
  EXPECT_FALSE(find_adapter(folder.path()));
  EXPECT_FALSE(find_adapter(folder / "missing.gguf"));
  ModelToWrite model = as_written(std::make_shared<testing::TinyModel>());
  model.tokenizer.gguf = testing::tiny_tokenizer();
  write_gguf(folder / "m.gguf", model).value();
  EXPECT_FALSE(find_adapter(folder / "m.gguf"));
  const auto as_adapter = read_adapter(folder / "m.gguf", config);
  EXPECT_THAT(as_adapter.error().message, HasSubstr("is not a LoRA adapter"));
  write_adapter(folder / "a.gguf", tiny_adapter(), config).value();
  for (const fs::path& path : {folder / "a.gguf", folder / "run"})
    EXPECT_THAT(open_model(path).error().message, HasSubstr("is a LoRA adapter, not a model"));
}

TEST_F(AdapterTest, DoraCannotBeGguf) {
  LoraAdapter adapter = tiny_adapter();
  adapter.modules[kQ].magnitude = random({64}, 1);
  EXPECT_THAT(write_adapter(folder / "a.gguf", adapter, config).error().to_string(),
              HasSubstr("cannot hold DoRA's magnitudes. Merge the adapter into its base"));
}

}  // namespace
}  // namespace sllm
