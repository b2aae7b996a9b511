// Task files: what is read, and the sentence for each way in which one can be broken.
#include "eval/task_config.h"

#include <gtest/gtest.h>

namespace sllm::eval {
namespace {

constexpr const char* kGood = R"(
task: demo
dataset_path: json
dataset_kwargs:
  data_files: {test: demo.jsonl, train: [a.jsonl, b.jsonl]}
output_type: multiple_choice
test_split: test
training_split: train
doc_to_text: "Q: {{q}}\nA:"
doc_to_target: label
doc_to_choice: ["no", "yes"]
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - metric: f1
    aggregation: !function utils.macro_f1_score
    average: macro
    hf_evaluate: true
metadata: {version: 1.0}
)";

TEST(TaskConfig, ReadsAMultipleChoiceTask) {
  const auto config = parse_task_config(kGood, "demo.yaml");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->task, "demo");
  EXPECT_EQ(config->output_type, OutputType::kMultipleChoice);
  EXPECT_EQ(config->data_files.at("train").size(), 2u);
  EXPECT_EQ(config->doc_to_text.text, "Q: {{q}}\nA:");
  EXPECT_EQ(config->doc_to_choice.value, Json::array({"no", "yes"}));
  EXPECT_EQ(config->metrics[1].aggregation.text, "utils.macro_f1_score");
  EXPECT_EQ(config->target_delimiter, " ");
}

struct Broken {
  const char* what;
  std::string yaml, sentence;
};

std::string with(std::string from, std::string to) {
  std::string yaml = kGood;
  yaml.replace(yaml.find(from), from.size(), to);
  return yaml;
}

TEST(TaskConfig, EachBrokenFileGetsItsSentence) {
  const Broken broken[] = {
      {"open bracket", with("[\"no\", \"yes\"]", "[\"no\""), "bad.yaml:12: not YAML"},
      {"not keys", "- a\n- b\n", "expected keys and values"},
      {"no task", with("task: demo", "tag: demo"), "task: expected the task's name"},
      {"unknown key", with("test_split: test", "tset_split: test"),
       "bad.yaml:7: unknown key tset_split"},
      {"unknown output", with("multiple_choice", "rolling"),
       "bad.yaml:6: output_type rolling is not supported"},
      {"remote data", with("dataset_path: json", "dataset_path: Rowan/hellaswag"),
       "bad.yaml:3: dataset_path Rowan/hellaswag is not a local format"},
      {"no files", with("data_files", "data_dir"), "dataset_kwargs needs data_files"},
      {"no choices", with("doc_to_choice", "doc_to_decontamination_query"),
       "multiple_choice needs doc_to_choice"},
      {"unknown tag", with("!function", "!include"), "the YAML tag !include is not known"},
      {"metric without name", with("{metric: acc,", "{name: acc,"), "needs a metric: by name"},
      {"text for number", with("metadata: {version: 1.0}", "num_fewshot: many"),
       "num_fewshot: expected a number"},
      {"twice", with("test_split: test", "test_split: test\ntest_split: test"), "occurs twice"},
      {"missing include", with("metadata: {version: 1.0}", "include: nothing.yaml"),
       "bad.yaml:18: include"},
      {"deep", "task: " + std::string(5000, '['), "nested too deeply"},
  };
  for (const Broken& b : broken) {
    const auto config = parse_task_config(b.yaml, "bad.yaml");
    ASSERT_FALSE(config.ok()) << b.what;
    EXPECT_EQ(config.error().code, ErrorCode::kUsage) << b.what;
    EXPECT_NE(config.error().message.find(b.sentence), std::string::npos)
        << b.what << ": " << config.error().message;
  }
}

TEST(TaskConfig, ReadsScalarsAsYaml11) {
  const auto config =
      parse_task_config(with("[\"no\", \"yes\"]", "[no, 1, 1.5, ~, 'no']"), "demo.yaml");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->doc_to_choice.value.dump(), "[false,1,1.5,null,\"no\"]");
}

}  // namespace
}  // namespace sllm::eval
