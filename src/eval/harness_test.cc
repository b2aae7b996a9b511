// Prompts, requests and scores on tiny data with an engine that a test controls.
#include "eval/harness.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/fake_engine.h"

namespace sllm::eval {
namespace {

using testing::ByteTokenizer;
using testing::FakeEngine;

class Harness : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("sllm-harness-{}", getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  Result<Task> load(const std::string& rows, const std::string& yaml) {
    write_file_atomically(folder_ / "rows.jsonl", rows).value();
    auto config = parse_task_config(
        "task: " + name_ +
            "\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n" +
            "test_split: test\n" + yaml,
        folder_ / "task.yaml");
    if (!config.ok()) return std::move(config).error();
    return Task::load(*config);
  }
  double metric(const TaskResult& result, const std::string& name) {
    for (const MetricResult& m : result.metrics)
      if (m.metric == name) return m.value;
    ADD_FAILURE() << "no metric " << name;
    return -1;
  }
  fs::path folder_;
  std::string name_ = "demo";
};

TEST(EncodePair, MovesTrailingSpaceToTheContinuation) {
  const ByteTokenizer tokenizer;
  const auto request = encode_pair(tokenizer, "Q: why? ", " yes", 100);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(tokenizer.decode(request->context), "Q: why?");
  EXPECT_EQ(tokenizer.decode(request->continuation), "  yes");
}

TEST(EncodePair, CutsTheContextOnTheLeftAndKeepsBos) {
  const ByteTokenizer tokenizer(true);
  auto request = encode_pair(tokenizer, "abcdef", "gh", 100);
  EXPECT_EQ(tokenizer.decode(request->context), "<s>abcdef");
  request = encode_pair(tokenizer, "abcdef", "gh", 4);  // at most 5 tokens together
  EXPECT_EQ(tokenizer.decode(request->context), "def");
  EXPECT_EQ(encode_pair(tokenizer, "", "x", 100)->context, std::vector<TokenId>{256});
  EXPECT_FALSE(encode_pair(tokenizer, "abc", "", 100).ok());
}

TEST_F(Harness, ScoresChoicesByLogLikelihoodAndByLength) {
  auto task = load("{\"q\":\"one\",\"label\":0}\n{\"q\":\"two\",\"label\":1}\n",
                   "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: label\n"
                   "doc_to_choice: [\"short\", \"a long answer\"]\n");
  ASSERT_TRUE(task.ok()) << task.error().message;
  FakeEngine engine;
  engine.logprob = [](auto&, const std::string& continuation) {
    return continuation == " short" ? -2.0 : -3.0;  // per character the long one wins
  };
  const auto result = run_task(engine, *task, {});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(metric(*result, "acc"), 0.5);
  EXPECT_EQ(metric(*result, "acc_norm"), 0.5);
  EXPECT_EQ(engine.scored[1], (std::pair<std::string, std::string>("one", " a long answer")));
  EXPECT_EQ(result->samples[1].logprobs, (std::vector<double>{-2, -3}));
  EXPECT_NEAR(*result->metrics[0].standard_error, 0.5, 1e-12);
}

TEST_F(Harness, PutsWinograndeOptionsIntoTheContext) {
  name_ = "winogrande";
  auto task = load(
      R"({"sentence":"Ann met Eve so _ smiled.","option1":"Ann","option2":"Eve","answer":"2"})",
      "output_type: multiple_choice\n"
      "doc_to_text: !function preprocess_winogrande.doc_to_text\n"
      "doc_to_target: !function preprocess_winogrande.doc_to_target\n"
      "doc_to_choice: !function preprocess_winogrande.doc_to_choice\n"
      "metric_list: [{metric: acc}]\n");
  ASSERT_TRUE(task.ok()) << task.error().message;
  const auto item = task->prepare(0);
  ASSERT_TRUE(item.ok()) << item.error().message;
  EXPECT_EQ(item->pairs[1],
            (std::pair<std::string, std::string>("Ann met Eve so Eve", " smiled.")));
  EXPECT_EQ(item->gold, std::vector<int64_t>{1});
}

TEST_F(Harness, NamesAnUnknownPythonHelper) {
  const auto task = load("{\"q\":\"x\"}", "doc_to_text: !function utils.magic\ndoc_to_target: q\n");
  ASSERT_FALSE(task.ok());
  EXPECT_EQ(task.error().code, ErrorCode::kUsage);
  EXPECT_NE(task.error().message.find("utils.magic"), std::string::npos);
}

TEST_F(Harness, PutsExamplesBeforeTheQuestionAndLeavesTheDocumentOut) {
  auto task = load(
      "{\"q\":\"1+1\",\"a\":\"2\"}\n{\"q\":\"2+2\",\"a\":\"4\"}\n{\"q\":\"3+3\",\"a\":\"6\"}\n",
      "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\nnum_fewshot: 2\n"
      "fewshot_config: {sampler: first_n, split: test}\ndescription: \"Add.\\n\"\n");
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->prepare(0)->context, "Add.\n2+2 4\n\n3+3 6\n\n1+1");
  EXPECT_EQ(task->prepare(2)->context, "Add.\n1+1 2\n\n2+2 4\n\n3+3");
}

TEST_F(Harness, ExtractsTheAnswerByFilterBeforeMatching) {
  auto task = load("{\"q\":\"1+1\",\"a\":\"2\"}\n{\"q\":\"2+2\",\"a\":\"4\"}\n",
                   "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n"
                   "generation_kwargs: {until: [\"STOP\"], max_gen_toks: 8}\n"
                   "metric_list: [{metric: exact_match, ignore_case: true}]\nfilter_list:\n"
                   "  - name: strict\n    filter: [{function: take_first}]\n"
                   "  - name: number\n    filter:\n"
                   "      - {function: regex, regex_pattern: 'is (-?[0-9]+)', group_select: -1}\n"
                   "      - {function: take_first}\n");
  ASSERT_TRUE(task.ok()) << task.error().message;
  FakeEngine engine;
  engine.answer = [](const std::string& prompt) {
    return prompt == "1+1" ? "it is 3, no, it is 2 STOP 9" : "4";
  };
  const auto result = run_task(engine, *task, {});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->metrics[0].filter, "strict");
  EXPECT_EQ(result->metrics[0].value, 0.5);
  EXPECT_EQ(result->metrics[1].value, 0.5);  // "4" has no "is"
  EXPECT_EQ(result->samples[0].answers, (std::vector<std::string>{"it is 3, no, it is 2 ", "2"}));
  EXPECT_EQ(result->samples[1].answers[1], "[invalid]");
}

TEST_F(Harness, CleansHellaswagAsItsHelperDoes) {
  name_ = "hellaswag";
  auto task =
      load(R"({"activity_label":"Cooking","ctx_a":"A man [substeps] stirs.","ctx_b":"he TASTES",)"
           R"("endings":[" it [title] Then","no"],"label":"1"})",
           "output_type: multiple_choice\nprocess_docs: !function utils.process_docs\n"
           "doc_to_text: query\ndoc_to_target: \"{{gold}}\"\ndoc_to_choice: choices\n");
  ASSERT_TRUE(task.ok()) << task.error().message;
  const auto item = task->prepare(0);
  ASSERT_TRUE(item.ok()) << item.error().message;
  EXPECT_EQ(item->pairs[0].first, "Cooking: A man stirs. He tastes");
  EXPECT_EQ(item->choices[0], "it. Then");
  EXPECT_EQ(item->gold, std::vector<int64_t>{1});
}

}  // namespace
}  // namespace sllm::eval
