// Models written and read again: both formats, both directions, with the same tensors,
// configuration and tokenizer.
#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "io/gguf.h"
#include "io/gguf_rope.h"
#include "io/hf_config.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"
#include "support/written.h"

namespace sllm {
namespace {

using testing::tiny_config;
using testing::tiny_tokenizer;
using testing::TinyModel;

constexpr const char* kTemplate = "{% for m in messages %}{{ m['content'] }}{% endfor %}";

ModelToWrite tiny(ModelConfig config = tiny_config(), DType type = DType::kF32) {
  config.bos_id = 1;
  config.eos_ids = {2, 0};
  ModelToWrite model = as_written(std::make_shared<TinyModel>(config, type));
  model.tokenizer.gguf = tiny_tokenizer();
  model.chat_template = kTemplate;
  model.description = {{"license", "apache-2.0"}, {"sllm.lineage", "a parent"}};
  return model;
}

void expect_same(const ModelToWrite& written, const ModelSource& read) {
  ASSERT_EQ(read.tensors().size(), written.tensors.size());
  for (const TensorInfo& t : written.tensors) {
    const Tensor expected = written.tensor(t).value(), got = read.tensor(t.name).value();
    ASSERT_EQ(got.shape(), expected.shape()) << t.name;
    ASSERT_EQ(got.dtype(), expected.dtype()) << t.name;
    EXPECT_EQ(std::memcmp(got.raw(), expected.raw(), static_cast<size_t>(got.bytes())), 0)
        << t.name;
  }
}

class ModelSourceTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder;
};

TEST(ModelName, KeepsTheDotsOfAVersion) {
  EXPECT_EQ(model_name("qwen2.5-coder-0.5b"), "qwen2.5-coder-0.5b");
  EXPECT_EQ(model_name("m/smollm2.Q4_1.gguf"), "smollm2.Q4_1");
  EXPECT_EQ(model_name("models/qwen2.5-0.5b/"), "qwen2.5-0.5b");
}

TEST_F(ModelSourceTest, GgufKeepsEverything) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ5_1}) {
    const ModelToWrite model = tiny(tiny_config(), type);
    write_gguf(folder / "m.gguf", model).value();
    const auto source = open_model(folder / "m.gguf").value();
    expect_same(model, *source);
    const ModelConfig& c = source->config();
    EXPECT_EQ(c.architecture->model_type, "llama");
    EXPECT_EQ(c.Dh, 16);
    EXPECT_EQ(c.norm_eps, model.config.norm_eps);
    EXPECT_TRUE(c.tied_embeddings);
    EXPECT_THAT(c.eos_ids, ::testing::ElementsAre(2, 0));
    EXPECT_EQ(source->chat_template(), kTemplate);
    EXPECT_EQ(source->tokenizer().gguf->tokens, model.tokenizer.gguf->tokens);
    EXPECT_EQ(source->tokenizer().gguf->merges, model.tokenizer.gguf->merges);
    EXPECT_EQ(source->description().at("license"), "apache-2.0");
    EXPECT_EQ(source->description().at("sllm.lineage"), "a parent");
  }
}

TEST_F(ModelSourceTest, Qwen2KeepsBiasesAndRowOrderInGguf) {
  ModelConfig config = tiny_config();
  config.architecture = find_architecture("qwen2");
  config.qkv_bias = true;
  config.tied_embeddings = false;
  const ModelToWrite model = tiny(config);
  write_gguf(folder / "m.gguf", model).value();
  expect_same(model, *open_model(folder / "m.gguf").value());
  const auto file = GgufFile::open(folder / "m.gguf").value();
  const Tensor q = model.tensor({"model.layers.0.self_attn.q_proj.weight", {}, {}}).value();
  const auto stored = std::ranges::find(file.tensors(), "blk.0.attn_q.weight", &GgufTensor::name);
  ASSERT_NE(stored, file.tensors().end());
  EXPECT_EQ(std::memcmp(stored->data.data(), q.raw(), stored->data.size()), 0);
}

TEST_F(ModelSourceTest, LlamaQueryRowsArePermutedInTheFile) {
  const ModelToWrite model = tiny();
  write_gguf(folder / "m.gguf", model).value();
  const auto file = GgufFile::open(folder / "m.gguf").value();
  const Tensor k = model.tensor({"model.layers.1.self_attn.k_proj.weight", {}, {}}).value();
  const auto stored = std::ranges::find(file.tensors(), "blk.1.attn_k.weight", &GgufTensor::name);
  ASSERT_NE(stored, file.tensors().end());
  // Head width 16: row 3 of ggml's head 1 is rotated with row 2, so it is row 8 + 1 of the head.
  const size_t row = 64 * sizeof(float);
  EXPECT_EQ(std::memcmp(stored->data.data() + (16 + 3) * row, k.row(16 + 9), row), 0);
}

TEST_F(ModelSourceTest, FolderKeepsEverything) {
  for (DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    const ModelToWrite model = tiny(tiny_config(), type);
    testing::to_folder(folder / "hf", model).value();
    const auto source = open_model(folder / "hf").value();
    expect_same(model, *source);
    EXPECT_EQ(source->chat_template(), kTemplate);
    EXPECT_EQ(source->config().rope.theta, model.config.rope.theta);
    EXPECT_EQ(source->config().norm_eps, model.config.norm_eps);
    EXPECT_THAT(source->config().eos_ids, ::testing::ElementsAre(2, 0));
    EXPECT_EQ(source->description().at("sllm.lineage"), "a parent");
  }
}

TEST_F(ModelSourceTest, TokenizerSurvivesTheWayThroughAFolder) {
  for (const char* pre : {"smollm", "gpt-2", "qwen2", "llama-bpe"}) {
    ModelToWrite model = tiny();
    model.tokenizer.gguf->pre = pre;
    model.tokenizer.gguf->add_bos = std::string(pre) == "llama-bpe";
    model.tokenizer.gguf->types[0] = 4;  // an added token that is not special
    model.tokenizer.gguf->tokens[0] = "<tool>";
    testing::to_folder(folder / "hf", model).value();
    const auto source = open_model(folder / "hf").value();
    const auto back = *tokenizer_for_gguf(source->tokenizer(), source->config()).value().gguf;
    const auto& t = *model.tokenizer.gguf;
    EXPECT_EQ(back.pre, pre);
    EXPECT_EQ(back.tokens, t.tokens);
    EXPECT_EQ(back.types, t.types);
    EXPECT_EQ(back.merges, t.merges);
    EXPECT_EQ(back.add_bos, t.add_bos);
    EXPECT_EQ(std::tuple(back.bos_id, back.eos_id, back.unknown_id, back.padding_id),
              std::tuple(t.bos_id, t.eos_id, t.unknown_id, t.padding_id));
  }
}

TEST_F(ModelSourceTest, OtherNamesOfLlama3sPatternHaveAFolderToo) {
  for (const auto& [pre, written] :
       {std::pair("smaug-bpe", "dbrx"), {"smollm3", "llama-bpe"}, {"lfm2", "llama-bpe"}}) {
    ModelToWrite model = tiny();
    model.tokenizer.gguf->pre = pre;
    testing::to_folder(folder / "hf", model).value();
    const auto source = open_model(folder / "hf").value();
    EXPECT_EQ(tokenizer_for_gguf(source->tokenizer(), source->config()).value().gguf->pre, written);
  }
}

TEST_F(ModelSourceTest, YarnsMultipliersAreThoseOfLlamaCpp) {
  ModelToWrite model = tiny();
  model.config.rope.type = "yarn";
  model.config.rope.factor = 4;
  model.config.rope.original_context = 64;
  model.config.rope.mscale = model.config.rope.mscale_all_dim = 1;
  const fs::path file = write_gguf(folder / "yarn.gguf", model).value();
  const auto gguf = GgufFile::open(file).value();
  EXPECT_EQ(gguf.number("llama.rope.scaling.yarn_log_multiplier").value(), 1);
  EXPECT_FALSE(gguf.has("llama.rope.scaling.yarn_mscale"));  // which llama.cpp takes to be 1
  const auto source = open_model(file).value();
  EXPECT_EQ(source->config().rope.mscale, 1);
  EXPECT_EQ(source->config().rope.mscale_all_dim, 1);
}

TEST_F(ModelSourceTest, ReadsShards) {
  const ModelToWrite model = tiny();
  testing::to_folder(folder / "hf", model).value();
  const fs::path hf = folder / "hf";
  auto all = read_safetensors(hf / "model.safetensors").value();
  nlohmann::json map;
  std::map<std::string, Tensor> parts[2];
  int i = 0;
  for (const auto& [name, tensor] : all.tensors) {
    parts[i % 2][name] = tensor;
    map[name] = i++ % 2 ? "b.safetensors" : "a.safetensors";
  }
  write_safetensors(hf / "a.safetensors", parts[0]).value();
  write_safetensors(hf / "b.safetensors", parts[1]).value();
  std::ofstream(hf / "model.safetensors.index.json") << nlohmann::json{{"weight_map", map}};
  all.tensors.clear();
  fs::remove(hf / "model.safetensors");
  expect_same(model, *open_model(hf).value());
}

TEST_F(ModelSourceTest, ReadsTheTextPartOfAModelThatSees) {
  const ModelToWrite model = tiny();
  const fs::path hf = folder / "hf";
  testing::to_folder(hf, model).value();
  const auto text = nlohmann::json::parse(read_file(hf / "config.json").value());
  std::ofstream(hf / "config.json")
      << nlohmann::json{{"model_type", "seeing"}, {"text_config", text}, {"vision_config", {}}};
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, tensor] : read_safetensors(hf / "model.safetensors").value().tensors)
    tensors["model.language_model." + name.substr(std::strlen("model."))] = tensor.clone();
  tensors["model.vision_tower.patch.weight"] = Tensor::zeros(DType::kF32, {4, 4});
  write_safetensors(hf / "model.safetensors", tensors).value();
  expect_same(model, *open_model(hf).value());
}

TEST_F(ModelSourceTest, Llama3ScalingSurvivesGgufAndFolder) {
  ModelConfig config = tiny_config();
  config.Dh = 64;
  config.rope = {.theta = 500000, .type = "llama3", .factor = 32, .original_context = 8192};
  const ModelToWrite model = tiny(config);
  write_gguf(folder / "m.gguf", model).value();
  testing::to_folder(folder / "hf", model).value();
  for (const char* name : {"m.gguf", "hf"}) {
    const Rope r = open_model(folder / name).value()->config().rope;
    EXPECT_EQ(r.type, "llama3") << name;
    EXPECT_EQ(r.factor, 32);
    EXPECT_EQ(r.low_freq_factor, 1);
    EXPECT_EQ(r.high_freq_factor, 4);
    EXPECT_EQ(r.original_context, 8192);
  }
}

TEST_F(ModelSourceTest, UnequalDivisorsAreNotALlama3Scaling) {
  ModelConfig config = tiny_config();
  EXPECT_EQ(llama3_from_divisors(config, std::vector<float>{1, 8, 1, 8, 1, 8, 1, 8}), std::nullopt);
}

TEST(HfConfig, ReadsTransformers4And5Spellings) {
  const std::string common =
      R"("model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
      "intermediate_size":96,"vocab_size":320,"max_position_embeddings":512)";
  const auto four = parse_hf_config(
      "{" + common + R"(,"rope_theta":5e5,"rope_scaling":{"type":"linear","factor":2}})",
      R"({"eos_token_id":[3,4]})", "config.json", architectures());
  const auto five = parse_hf_config(
      "{" + common + R"(,"rope_parameters":{"rope_theta":5e5,"rope_type":"linear","factor":2}})",
      "", "config.json", architectures());
  EXPECT_THAT(four.value().eos_ids, ::testing::ElementsAre(3, 4));
  for (const auto* c : {&four.value(), &five.value()}) {
    EXPECT_EQ(c->rope.theta, 5e5f);
    EXPECT_EQ(c->rope.type, "linear");
    EXPECT_EQ(c->rope.factor, 2);
    EXPECT_EQ(c->Hk, 4);
    EXPECT_EQ(c->Dh, 16);
  }
}

TEST(HfConfig, QwenHasBiasesAndNoWindowUnlessUsed) {
  const auto c = parse_hf_config(
      R"({"model_type":"qwen2","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
      "intermediate_size":96,"vocab_size":320,"max_position_embeddings":512,
      "sliding_window":128,"use_sliding_window":false})",
      "", "config.json", architectures());
  EXPECT_TRUE(c.value().qkv_bias);
  EXPECT_FALSE(c.value().o_bias);
  EXPECT_EQ(c.value().sliding_window, 0);
}

}  // namespace
}  // namespace sllm
