// What the plan counts. No timing is asserted.
#include "project/plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "project/workload.h"

namespace sllm::project {
namespace {

const std::string kFact = "The red lever opens the water gate of the northern mill. ";

// A grounded project whose base is only known from the catalogue.
class PlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("sllm-plan-test-{}", getpid());
    fs::remove_all(folder_);
    ::setenv("HF_HOME", (folder_ / "cache").c_str(), 1);
    fs::create_directories(folder_ / "docs");
    std::string page = "# Mill\n\n";
    for (int i = 0; i < 12; ++i) page += kFact;
    put("docs/mill.md", page);
    std::string train, test;
    for (int i = 0; i < 20; ++i)
      train += row(fmt::format("Which lever opens the water gate {}?", i), "The red lever.");
    for (int i = 0; i < 3; ++i) test += row(fmt::format("What opens gate {}?", i), "The lever.");
    put("train.jsonl", train), put("test.jsonl", test);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(folder_ / name, text).ok());
  }
  static std::string row(const std::string& question, const std::string& answer) {
    return fmt::format(
        "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{}\"}}, "
        "{{\"role\": \"assistant\", \"content\": \"{}\"}}]}}\n",
        question, answer);
  }
  Project project(const std::string& more) {
    auto p = parse_project(
        "[purpose]\ngoal = \"g\"\n[base]\nmodel = \"smollm2-135m-instruct\"\n[data]\n"
        "train = [\"train.jsonl\"]\ntest = \"test.jsonl\"\nvalidation = 0.1\n" +
            more,
        folder_ / "sllm.toml");
    EXPECT_TRUE(p.ok()) << p.error().to_string();
    return *p;
  }
  fs::path folder_;
};

TEST_F(PlanTest, EveryStageIsPlannedBeforeAnythingIsHere) {
  const auto lines = plan_project(
      project("[index]\ndocuments = \"docs\"\n[evaluate]\ngrounded = true\nmax_tokens = 40\n"), {});
  ASSERT_TRUE(lines.ok()) << lines.error().to_string();
  std::map<std::string, PlanLine> by_name;
  for (const PlanLine& line : *lines) by_name[line.stage.name] = line;
  EXPECT_EQ(by_name["pull"].note, "98 MB to fetch");
  EXPECT_EQ(by_name["index"].note, "1 documents, 0.0 MB");
  EXPECT_EQ(by_name["data"].note, "3 conversations to learn from, 3 held out");  // 18 rows
  EXPECT_GT(by_name["tune"].memory, 0);
  for (const char* name :
       {"tune", "merge", "quantize-q4_k", "evaluate-base", "evaluate-tuned", "evaluate-q8_0",
        "gate-merge", "gate-q8_0", "gate-serve", "report", "deploy-check"})
    EXPECT_GT(by_name[name].seconds, 0) << name;
  // Each model by its own size: bf16, 8 and 4 bits.
  EXPECT_GT(by_name["evaluate-tuned"].memory, by_name["evaluate-q8_0"].memory);
  EXPECT_GT(by_name["evaluate-q8_0"].memory, by_name["evaluate-q4_k"].memory);
  // The base writes on to max_tokens, the tuned one as much as is expected.
  EXPECT_NE(by_name["evaluate-base"].note.find("answers of 40"), std::string::npos);
  EXPECT_NE(by_name["evaluate-tuned"].note.find("answers of 4"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "runs"));
}

TEST_F(PlanTest, GroundedRowsAreCountedWithTheirPassages) {
  const Project p = project("[index]\ndocuments = \"docs\"\n[evaluate]\ngrounded = true\n");
  const auto sample = index_sample(p.path("docs"), folder_ / "scratch");
  ASSERT_TRUE(sample.ok()) << sample.error().to_string();
  const auto bare = tuning_rows(p, nullptr, folder_);
  const auto grounded = tuning_rows(p, sample->index.get(), folder_);
  ASSERT_TRUE(grounded.ok()) << grounded.error().to_string();
  EXPECT_EQ(bare->size(), 18u);      // a tenth is for the evaluation loss
  EXPECT_LT(grounded->size(), 18u);  // several are asked over the same passages
  EXPECT_NE(grounded->front().key().find(kFact), std::string::npos);
  const auto model = known_model("smollm2-135m-instruct");
  ASSERT_TRUE(model.ok());
  const auto of = [&](const auto& rows) {
    return tuning_work(rows, p.tune.options, *model).tokens;
  };
  const auto conversations = static_cast<int64_t>(grounded->size());
  EXPECT_GT(of(*grounded), conversations * 12 * static_cast<int64_t>(kFact.size()) / 4);
}

TEST_F(PlanTest, ManyDocumentsAreSampledAndCountedWhole) {
  put("docs/other.md", "# Other\n\nA page more.\n");
  const auto sample = index_sample(folder_ / "docs", folder_ / "scratch", 1);
  ASSERT_TRUE(sample.ok());
  EXPECT_EQ(sample->documents, 2);
  EXPECT_EQ(sample->index->stats()->documents, 1u);
}

TEST(AnswerWork, CountsExamplesOnceAndTheLongestAnswer) {
  KnownModel model;  // four bytes a token
  const std::vector<Conversation> prompts = {{{"user", std::string(400, 'x'), {}}},
                                             {{"user", std::string(400, 'y'), {}}}};
  eval::TestRow row;
  row.expected = std::string(40, 'x');
  const std::vector<eval::TestRow> rows(2, row);
  const Conversation examples = {{"user", std::string(800, 'x'), {}},
                                 {"assistant", std::string(40, 'x'), {}}};
  const AnswerWork plain = answer_work(prompts, rows, {}, false, 64, model);
  const AnswerWork with = answer_work(prompts, rows, examples, false, 64, model);
  const AnswerWork tuned = answer_work(prompts, rows, {}, true, 64, model);
  EXPECT_EQ(plain.rows, 2);
  EXPECT_NEAR(plain.prompt_tokens, 100, 10);
  EXPECT_NEAR(with.prompt_tokens, 100 + 210 / 2, 20);
  EXPECT_EQ(plain.answer_tokens, 64);
  EXPECT_NEAR(tuned.answer_tokens, 11, 2);
  EXPECT_DOUBLE_EQ((AnswerSpeed{0.5, 2}.seconds({3, 10, 4})), 3 * (10 * 0.5 + 4 * 2));
}

// A system message of 100 tokens before 20 others, eight rows to a forward.
TEST(TuningWork, ComputesWhatAllRowsBeginWithOnceForAForward) {
  KnownModel model;  // four bytes a token
  TuneOptions options;
  const auto rows_after = [](const std::string& system) {
    std::vector<Example> rows(16);
    for (size_t i = 0; i < rows.size(); ++i)
      rows[i].messages = {{"system", system, {}},
                          {"user", std::string(40, static_cast<char>('a' + i)), {}},
                          {"assistant", std::string(20, 'y'), {}}};
    return rows;
  };
  const TuningWork work = tuning_work(rows_after(std::string(400, 's')), options, model);
  EXPECT_NEAR(work.computed, 1 - 0.83 * 7 / 8, 0.08);
  EXPECT_GT(tuning_work(rows_after("s"), options, model).computed, 0.8);
}

TEST_F(PlanTest, ANewProjectIsPlannedForAssumedRowsOrThoseThatAreThere) {
  Project p = project("");
  const auto there = plan_new(p);
  ASSERT_TRUE(there.ok()) << there.error().to_string();
  EXPECT_FALSE(there->assumed);
  EXPECT_EQ(there->rows, 18);
  fs::remove(folder_ / "train.jsonl");
  const auto assumed = plan_new(p);
  ASSERT_TRUE(assumed.ok()) << assumed.error().to_string();
  EXPECT_TRUE(assumed->assumed);
  EXPECT_GT(assumed->seconds, 0);
  EXPECT_NE(assumed->to_string().find("500 rows of 120 tokens (assumed"), std::string::npos);
  p.base = "hf:org/unknown";
  EXPECT_EQ(plan_new(p).error().code, ErrorCode::kBadInput);
}

TEST(NewProject, KeepsThePlanAsAComment) {
  NewProject p;
  p.name = "n", p.goal = "g", p.base = "x.gguf";
  const std::string text = project_toml(p, "", "tuning takes about 3 min");
  EXPECT_NE(text.find("# tuning takes about 3 min.\n[tune]"), std::string::npos);
  EXPECT_TRUE(parse_project(text, "x/sllm.toml").ok());
}

}  // namespace
}  // namespace sllm::project
