// Where the stages of a project go.
#include "project/stages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "ground/index.h"
#include "project/stage_bodies.h"

namespace sllm::project {
namespace {

TEST(Stages, TwoPurposeFilesOfOneFolderKeepTheirRunsApart) {
  Project usual, other;
  usual.folder = other.folder = "home";
  usual.file = "home/sllm.toml", other.file = "home/small.toml";
  EXPECT_EQ(latest_folder(usual), "home/runs/latest");
  EXPECT_EQ(stages_folder(usual), "home/runs/stages");
  EXPECT_EQ(latest_folder(other), "home/runs/small/latest");
  EXPECT_EQ(stages_folder(other), "home/runs/small/stages");
}

// A project that answers from documents, in a folder of its own.
class GroundedStages : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("sllm-stages-test-{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "docs");
    put("docs/mill.md", "# Mill\n\nThe red lever opens the water gate.\n");
    put("test.jsonl", R"({"question": "Which handle lets water in?", "answer": "The red one."})");
    put("train.jsonl",
        R"({"question": "What opens the gate?", "answer": "The red lever opens it."})");
    put("more.jsonl",
        R"({"question": "Which handle lets water in ?", "answer": "It.", "quote": "red lever"}
{"question": "How do I let water in?", "answer": "By the lever.", "quote": "The red lever opens"}
{"question": "What is on the roof?", "answer": "Tiles.", "quote": "tiles"})");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(folder_ / name, text).ok());
  }
  Project project(const std::string& index) {
    auto p = parse_project(
        "[purpose]\ngoal = \"g\"\n[base]\nmodel = \"smollm2-135m-instruct\"\n[data]\n"
        "train = [\"train.jsonl\"]\ntest = \"test.jsonl\"\n[evaluate]\ngrounded = true\n"
        "[index]\ndocuments = \"docs\"\n" +
            index,
        folder_ / "sllm.toml");
    EXPECT_TRUE(p.ok()) << p.error().to_string();
    return *p;
  }
  std::map<std::string, std::string> hashes(const Project& p) {
    const auto graph = build_stages(p, {});
    EXPECT_TRUE(graph.ok()) << graph.error().to_string();
    std::map<std::string, std::string> hashes;
    for (const PlannedStage& stage : graph->plan()) hashes[stage.name] = stage.hash;
    return hashes;
  }
  fs::path folder_;
};

TEST_F(GroundedStages, KnownQuestionsChangeTheEvaluationAndNotTheTuning) {
  auto without = hashes(project("")), with = hashes(project("questions = [\"more.jsonl\"]\n"));
  EXPECT_FALSE(without.contains("questions"));
  EXPECT_TRUE(with.contains("questions"));
  for (const char* same : {"index", "data", "tune", "merge"}) EXPECT_EQ(with[same], without[same]);
  for (const char* other : {"evaluate-base", "evaluate-tuned", "report"})
    EXPECT_NE(with[other], without[other]) << other;
  put("more.jsonl", R"({"question": "Who turns the lever?", "answer": "The miller."})");
  EXPECT_NE(hashes(project("questions = [\"more.jsonl\"]\n"))["questions"], with["questions"]);
}

TEST_F(GroundedStages, KnownQuestionsThatAHeldOutRowResemblesAreLeftOut) {
  const Project p = project("questions = [\"more.jsonl\"]\n");
  StageContext plain{folder_ / "index", {}, {}}, context{folder_ / "questions", {}, {}};
  fs::create_directories(plain.folder), fs::create_directories(context.folder);
  ASSERT_TRUE(index_documents(folder_ / "docs", plain).ok());
  context.inputs["index"] = plain.folder;
  const Status learned = learn_questions(p, context);
  ASSERT_TRUE(learned.ok()) << learned.error().to_string();
  EXPECT_NE(read_file(context.folder / "rows" / "dropped.jsonl")->find("more.jsonl:1"),
            std::string::npos);
  const auto ask = [&](const fs::path& folder, const char* question) {
    return Index::open(folder / "index.db").value()->search(question, 1).value();
  };
  EXPECT_FALSE(ask(context.folder, "How do I let any in?").empty());
  EXPECT_TRUE(ask(plain.folder, "How do I let any in?").empty());
  EXPECT_TRUE(ask(context.folder, "handle").empty());
}

TEST(Stages, APurposeFileThatWasChangedBackIsPublishedAgain) {
  Project p;
  p.folder = fs::temp_directory_path() / fmt::format("sllm-published-{}", getpid());
  p.file = p.folder / "sllm.toml";
  const fs::path first = stages_folder(p) / "report-1", second = stages_folder(p) / "report-2";
  for (const fs::path& folder : {first, second, latest_folder(p)}) {
    fs::create_directories(folder);
    ASSERT_TRUE(write_file_atomically(folder / "lineage.json", folder.filename().string()).ok());
  }
  EXPECT_FALSE(is_published(p, first));
  fs::copy_file(second / "lineage.json", latest_folder(p) / "lineage.json",
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(is_published(p, second));
  EXPECT_FALSE(is_published(p, first));
  fs::remove_all(p.folder);
}

}  // namespace
}  // namespace sllm::project
