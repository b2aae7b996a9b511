// What cannot be read or asked of encoders and of Gemma 4 gets a sentence; and which of two
// architectures with one model_type a folder is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/hf_config.h"
#include "io/pooling.h"
#include "models/registry.h"
#include "support/tiny_tokenizer.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

constexpr const char* kWidths =
    R"("hidden_size":16,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":24,
    "vocab_size":48,"max_position_embeddings":64)";

Result<ModelConfig> config(const std::string& type, const std::string& more) {
  return parse_hf_config(fmt::format(R"({{"model_type":"{}",{},{}}})", type, kWidths, more), "",
                         "config.json", architectures());
}

TEST(EncoderConfig, TheClassTellsEmbeddingGemmaFromGemma3) {
  const auto encoder = config("gemma3_text", R"("architectures":["Gemma3TextModel"],
                              "use_bidirectional_attention":true,"sliding_window":8)");
  EXPECT_EQ(encoder.value().architecture->gguf, "gemma-embedding");
  EXPECT_FALSE(encoder->causal);
  EXPECT_EQ(encoder->sliding_window, 5);  // the token and four on each side
  const auto decoder = config("gemma3_text", R"("architectures":["Gemma3ForCausalLM"])");
  EXPECT_EQ(decoder.value().architecture->gguf, "gemma3");
  EXPECT_TRUE(decoder->causal);
  const auto mixed = config("gemma3_text", R"("architectures":["Gemma3ForCausalLM"],
                            "use_bidirectional_attention":true)");
  EXPECT_THAT(mixed.error().message, HasSubstr("Gemma3TextModel"));
}

TEST(EncoderConfig, PositionsOfRobertaBeginBehindThePadding) {
  const auto c = config("xlm-roberta", R"("pad_token_id":1)");
  EXPECT_EQ(c.value().first_position, 2);
  EXPECT_EQ(c->max_context, 62);
  EXPECT_EQ(config("bert", R"("pad_token_id":0)").value().max_context, 64);
}

TEST(EncoderConfig, WhatIsNoEncoderIsRefused) {
  EXPECT_THAT(config("bert", R"("is_decoder":true)").error().message, HasSubstr("is_decoder"));
  EXPECT_THAT(config("bert", R"("position_embedding_type":"relative_key")").error().message,
              HasSubstr("relative_key"));
  EXPECT_THAT(config("bert", R"("type_vocab_size":0)").error().message,
              HasSubstr("type_vocab_size"));
  const Status asked = check_generates(config("bert", R"("pad_token_id":0)").value());
  EXPECT_EQ(asked.error().code, ErrorCode::kUsage);
  EXPECT_THAT(asked.error().message, HasSubstr("encoder"));
  EXPECT_TRUE(check_generates(config("qwen2", R"("use_sliding_window":false)").value()).ok());
}

TEST(Gemma4Config, WhatIsNotDenseTextIsRefused) {
  EXPECT_THAT(config("gemma4_text", R"("enable_moe_block":true)").error().message,
              HasSubstr("mixture-of-experts"));
  EXPECT_THAT(config("gemma4_text", R"("use_bidirectional_attention":"all")").error().message,
              HasSubstr("use_bidirectional_attention"));
  const std::string kinds = R"("layer_types":["sliding_attention","full_attention"],)";
  EXPECT_THAT(config("gemma4_text", kinds + R"("num_kv_shared_layers":1)").error().message,
              HasSubstr("share the keys and values"));
  EXPECT_THAT(
      config("gemma4_text", kinds + R"("per_layer_config":{"0":{"head_dim":8}})").error().message,
      HasSubstr("layer 0 slides"));
  EXPECT_THAT(config("gemma4_text", kinds + R"("per_layer_config":{"7":{}})").error().message,
              HasSubstr("\"7\""));
}

class PoolingModulesTest : public ::testing::Test {
 protected:
  Result<std::optional<PoolingModules>> read(const std::string& type, const std::string& path,
                                             const std::string& settings = "") {
    const std::string module = R"({"type":"sentence_transformers.models.)";
    write_file_atomically(
        folder / "modules.json",
        fmt::format(R"([{0}Transformer","path":""}},{0}{1}","path":"{2}"}}])", module, type, path))
        .value();
    if (!settings.empty()) {
      fs::create_directories(folder / path);
      write_file_atomically(folder / path / "config.json", settings).value();
    }
    return read_pooling_modules(folder.path());
  }
  testing::TemporaryFolder folder;
};

TEST_F(PoolingModulesTest, BothSpellingsOfTheModeAreRead) {
  EXPECT_EQ(read_pooling_modules(folder.path()).value(), std::nullopt);
  const auto flags = read("Pooling", "1_Pooling", R"({"pooling_mode_cls_token":true})");
  EXPECT_EQ(flags.value()->pooling.rows, Pooling::Rows::kFirst);
  EXPECT_FALSE(flags.value()->pooling.normalize);
  const auto mode = read("Pooling", "1_Pooling", R"({"pooling_mode":"lasttoken"})");
  EXPECT_EQ(mode.value()->pooling.rows, Pooling::Rows::kLast);
}

TEST_F(PoolingModulesTest, OtherModulesAreRefused) {
  const auto says = [&](const auto& result, const char* text) {
    EXPECT_THAT(result.error().message, HasSubstr(text));
  };
  says(read("Pooling", "1_Pooling", R"({"pooling_mode_max_tokens":true})"), "max_tokens");
  says(read("Pooling", "1_Pooling", R"({"pooling_mode":"weightedmean"})"), "one pooling mode");
  says(read("Pooling", "../elsewhere"), "not the name of a folder");
  says(read("LSTM", "1_LSTM"), "\"LSTM\" is not supported");
  says(read("Normalize", "2_Normalize"), "no Pooling module");
  says(read("Dense", "2_Dense", R"({"in_features":4,"out_features":4,"bias":true})"), "bias");
  says(read("Dense", "2_Dense",
            R"({"out_features":4,"bias":false,"activation_function":"torch.nn.Tanh"})"),
       "Tanh");
}

}  // namespace
}  // namespace sllm
