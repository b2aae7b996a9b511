// Named templates and generation settings from a folder through GGUF and back; shards of weights.
#include "io/model_extras.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/json.h"
#include "io/model_source.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"
#include "support/written.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelExtrasTest : public ::testing::Test {
 protected:
  ModelExtrasTest() {
    ModelConfig config = testing::tiny_config();
    config.eos_ids = {2};
    model = as_written(std::make_shared<testing::TinyModel>(config));
    model.tokenizer.gguf = testing::tiny_tokenizer();
    model.chat_template = "plain";
    testing::to_folder(folder / "hf", model).value();
  }
  void spill(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  nlohmann::json generation(const fs::path& in) {
    return parse_json(read_file(in / "generation_config.json").value(), "").value();
  }
  // The folder written as GGUF and that as a folder.
  std::shared_ptr<ModelSource> there_and_back() {
    testing::to_gguf_file(folder / "m.gguf", as_written(open_model(folder / "hf").value())).value();
    testing::to_folder(folder / "back", as_written(open_model(folder / "m.gguf").value())).value();
    return open_model(folder / "back").value();
  }
  testing::TemporaryFolder folder;
  ModelToWrite model;
};

TEST_F(ModelExtrasTest, TemplatesInFilesGoThereAndBack) {
  spill(folder / "hf/additional_chat_templates/tool_use.jinja", "tools");
  spill(folder / "hf/additional_chat_templates/rag.jinja", "documents");
  const auto back = there_and_back();
  EXPECT_EQ(back->chat_template(), "plain");
  EXPECT_EQ(back->extras().templates,
            (std::map<std::string, std::string>{{"rag", "documents"}, {"tool_use", "tools"}}));
  const auto gguf = GgufFile::open(folder / "m.gguf").value();
  EXPECT_EQ(gguf.string("tokenizer.chat_template").value(), "plain");
  EXPECT_EQ(gguf.string("tokenizer.chat_template.tool_use").value(), "tools");
  EXPECT_THAT(*gguf.strings("tokenizer.chat_templates").value(), ElementsAre("rag", "tool_use"));
  // A folder with them is still known as one of ours and may be written anew.
  EXPECT_TRUE(testing::to_folder(folder / "back", as_written(back)).ok());
}

TEST_F(ModelExtrasTest, TemplatesInTheTokenizersListGoThereAndBack) {
  fs::remove(folder / "hf/chat_template.jinja");
  auto settings = parse_json(read_file(folder / "hf/tokenizer_config.json").value(), "").value();
  settings["chat_template"] = {{{"name", "default"}, {"template", "plain"}},
                               {{"name", "tool_use"}, {"template", "tools"}}};
  spill(folder / "hf/tokenizer_config.json", settings.dump());
  const auto back = there_and_back();
  EXPECT_EQ(back->chat_template(), "plain");
  EXPECT_EQ(back->extras().templates, (std::map<std::string, std::string>{{"tool_use", "tools"}}));
  EXPECT_EQ(read_file(folder / "back/additional_chat_templates/tool_use.jinja").value(), "tools");
}

TEST_F(ModelExtrasTest, TemplateNamesThatNoFileCanHaveAreRefused) {
  model.extras.templates["../escape"] = "x";
  const auto written = testing::to_folder(folder / "bad", model);
  EXPECT_THAT(written.error().message, HasSubstr("\"../escape\" has a name that no file can have"));
  EXPECT_FALSE(fs::exists(folder / "escape.jinja"));
}

TEST_F(ModelExtrasTest, GenerationSettingsGoThereAndBack) {
  spill(folder / "hf/generation_config.json",
        R"({"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.8,"eos_token_id":[2,1],
            "repetition_penalty":1.05,"max_length":512})");
  there_and_back();
  const auto got = generation(folder / "back");
  EXPECT_EQ(got["temperature"], 0.7);
  EXPECT_EQ(got["top_k"], 20);
  EXPECT_EQ(got["max_length"], 512);
  EXPECT_EQ(got["do_sample"], true);
  EXPECT_EQ(got["eos_token_id"], nlohmann::json::array({2, 1}));
  const auto gguf = GgufFile::open(folder / "m.gguf").value();
  EXPECT_EQ(gguf.number("general.sampling.temp").value(), 0.7f);
  EXPECT_EQ(gguf.metadata().at("general.sampling.top_k").type, GgufType::kI32);
  EXPECT_EQ(gguf.number("general.sampling.penalty_repeat").value(), 1.05f);
}

TEST_F(ModelExtrasTest, AnotherProgramsSamplingKeysBecomeSettings) {
  GgufWriter out;
  out.add("general.sampling.temp", 0.7f);
  out.add("general.sampling.top_k", int32_t{20});
  const std::string bytes = out.header();
  const auto file =
      GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "m").value();
  const auto got = parse_json(read_gguf_extras(file).value().generation_config, "").value();
  EXPECT_EQ(got, (nlohmann::json{{"temperature", 0.7}, {"top_k", 20}, {"do_sample", true}}));
}

TEST_F(ModelExtrasTest, ListedTemplatesMustBeThere) {
  GgufWriter out;
  const std::vector<std::string> names = {"gone"};
  out.add("tokenizer.chat_templates", std::span<const std::string>(names));
  const std::string bytes = out.header();
  const auto file =
      GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "m").value();
  EXPECT_THAT(read_gguf_extras(file).error().message, HasSubstr("lists \"gone\""));
}

TEST_F(ModelExtrasTest, ShardsHoldTheWholeModel) {
  model.max_file_bytes = 60000;  // the embedding's 81920 bytes have a shard of their own
  testing::to_folder(folder / "shards", model).value();
  EXPECT_FALSE(fs::exists(folder / "shards/model.safetensors"));
  const auto index =
      parse_json(read_file(folder / "shards/model.safetensors.index.json").value(), "").value();
  EXPECT_EQ(index["weight_map"].size(), model.tensors.size());
  int64_t bytes = 0;
  for (const TensorInfo& t : model.tensors) bytes += model.tensor(t).value().bytes();
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  for (int i = 1; i <= 6; ++i)
    EXPECT_TRUE(fs::exists(folder / fmt::format("shards/model-{:05}-of-00006.safetensors", i)))
        << i;
  const auto read = open_model(folder / "shards").value();
  ASSERT_EQ(read->tensors().size(), model.tensors.size());
  for (const TensorInfo& t : model.tensors) {
    const Tensor wanted = model.tensor(t).value(), got = read->tensor(t.name).value();
    EXPECT_EQ(std::memcmp(got.raw(), wanted.raw(), static_cast<size_t>(wanted.bytes())), 0);
  }
  // Written anew as one file: the shards of before do not stay.
  model.max_file_bytes = 0;
  testing::to_folder(folder / "shards", model).value();
  EXPECT_FALSE(fs::exists(folder / "shards/model.safetensors.index.json"));
}

}  // namespace
}  // namespace sllm
