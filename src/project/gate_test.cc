// A model that is served is the model in its file, and another one is found out.
#include "project/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "infer/engine.h"
#include "serve/server.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tiny_tokenizer.h"

namespace sllm::project {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

class GateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string row =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Lamp on\"}, "
        "{\"role\": \"assistant\", \"content\": \"on\"}]}\n";
    ASSERT_TRUE(write_file_atomically(folder_ / "test.jsonl", row).ok());
    auto p = parse_project(
        "[purpose]\ngoal = \"g\"\n[base]\nmodel = \"m.gguf\"\n[data]\ntest = \"test.jsonl\"\n"
        "[tune]\nmethod = \"none\"\n[evaluate]\nmode = \"exact\"\n[deploy]\ncontext = 512\n",
        folder_ / "sllm.toml");
    ASSERT_TRUE(p.ok()) << p.error().to_string();
    project_ = *p;
    project_.threads = 1;
  }
  fs::path write(const std::string& name, uint64_t seed, const std::string& chat_template) {
    ModelConfig config = testing::tiny_config();
    config.max_context = 1024;
    config.bos_id = 1, config.eos_ids = {2};
    ModelToWrite model =
        as_written(std::make_shared<testing::TinyModel>(config, DType::kF32, seed));
    model.tokenizer.gguf = testing::tiny_tokenizer();
    model.chat_template = chat_template;
    return write_gguf(folder_ / name, model).value();
  }
  StageContext context(const std::string& name) {
    fs::create_directories(folder_ / name);
    return {folder_ / name, {}, {}};
  }
  Project project_;
  testing::TemporaryFolder folder_;
};

TEST_F(GateTest, AServerSaysWhatItsFileSays) {
  const StageContext stage = context("served");
  const Status passed = gate_server(project_, write("m.gguf", 1, kTemplate), stage);
  ASSERT_TRUE(passed.ok()) << passed.error().to_string();
  const auto result = read_gate(stage.folder);
  ASSERT_TRUE(result.ok()) << result.error().to_string();
  EXPECT_EQ(result->border, "serve");
  const eval::Sameness& s = result->sameness;
  EXPECT_EQ(s.mode, "exact");  // the server's
  EXPECT_EQ(s.bound.kind, "f32");
  EXPECT_EQ(s.conversations_equal, 4);
  EXPECT_GT(s.positions, 100);
  EXPECT_EQ(s.answers_equal, kGateAnswers);
}

TEST_F(GateTest, AnotherModelBehindTheServerIsFound) {
  const fs::path file = write("m.gguf", 1, kTemplate), other = write("o.gguf", 2, kTemplate);
  EngineOptions engine_options;
  engine_options.numerics = Numerics::kExact, engine_options.threads = 1;
  auto engine = Engine::open(other, engine_options);
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  ServerOptions options;
  options.port = 0, options.service.model_name = "other";
  auto server = Server::open(options, *engine);
  ASSERT_TRUE(server.ok()) << server.error().to_string();
  std::thread thread([&] { EXPECT_TRUE((*server)->run().ok()); });
  eval::SamenessOptions few;
  few.counted = 2, few.prompts = 2, few.answers = 2, few.answer_tokens = 8, few.threads = 1;
  const auto s = eval::compare_artefacts({file.string(), {}, {}}, {(*server)->url(), {}, {}}, few);
  (*server)->stop();
  thread.join();
  ASSERT_TRUE(s.ok()) << s.error().to_string();
  EXPECT_FALSE(s->same());
  EXPECT_THAT(s->sentence(), HasSubstr("logits: KLD"));
}

TEST_F(GateTest, AFailedGateIsAThresholdWithASentence) {
  std::string changed = kTemplate;
  changed.replace(changed.find("assistant\\n"), 9, "bot");
  const StageContext stage = context("gate");
  const Status status =
      gate_files(project_, "q8_0", {write("m.gguf", 1, kTemplate).string(), {}, {}},
                 {write("o.gguf", 1, changed).string(), {}, {}}, stage);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kThreshold);
  EXPECT_THAT(status.error().message, HasSubstr("not the same model: tokens: 100 of 200"));
}

}  // namespace
}  // namespace sllm::project
