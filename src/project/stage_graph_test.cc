#include "project/stage_graph.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace sllm::project {
namespace {

class StageGraphTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("sllm-stages-{}", getpid());
    fs::remove_all(root_);
  }
  void TearDown() override {
    clear_stop();
    fs::remove_all(root_);
  }
  // a -> b -> d, c alone; each body notes its name.
  StageGraph graph(int a = 1, int b = 1, int c = 1) {
    StageGraph g(root_);
    g.add({"a", {}, {{"p", a}}, note("a")});
    g.add({"b", {"a"}, {{"p", b}}, note("b")});
    g.add({"c", {}, {{"p", c}}, note("c")});
    g.add({"d", {"b"}, {{"p", 1}}, note("d")});
    return g;
  }
  std::function<Status(const StageContext&)> note(const std::string& name) {
    return [this, name](const StageContext& context) -> Status {
      ran_ += name;
      if (name == fail_) return bad_input("broken");
      return write_file_atomically(context.folder / "out", name);
    };
  }
  std::string run(StageGraph g) {
    ran_.clear();
    const auto result = g.run({});
    return result.ok() ? ran_ : ran_ + "!" + result.error().message;
  }
  fs::path root_;
  std::string ran_, fail_;
};

TEST_F(StageGraphTest, TheSecondRunDoesNothing) {
  EXPECT_EQ(run(graph()), "abcd");
  EXPECT_EQ(run(graph()), "");
}

TEST_F(StageGraphTest, AChangedRecipeRunsOnlyWhatDependsOnIt) {
  run(graph());
  EXPECT_EQ(run(graph(1, 2)), "bd");
  EXPECT_EQ(run(graph(1, 2, 2)), "c");
  EXPECT_EQ(run(graph(2, 2, 2)), "abd");
  EXPECT_EQ(run(graph()), "");  // the first one's folders are still there
}

TEST_F(StageGraphTest, AFailedStageIsTriedAgainAndFinishedOnesAreNot) {
  fail_ = "b";
  EXPECT_EQ(run(graph()), "ab!b: broken");
  fail_.clear();
  EXPECT_EQ(run(graph()), "bcd");
}

TEST_F(StageGraphTest, OnlyAResumingStageKeepsWhatAKilledTryLeft) {
  for (const bool resumes : {false, true}) {
    bool found = false;
    const auto make = [&](bool die) {
      StageGraph g(root_ / (resumes ? "yes" : "no"));
      g.add({"tune",
             {},
             {},
             [&, die](const StageContext& context) -> Status {
               found = fs::exists(context.folder / "checkpoint");
               SLLM_OK(write_file_atomically(context.folder / "checkpoint", "x"));
               return die ? bad_input("killed") : ok();
             },
             resumes});
      return g;
    };
    EXPECT_FALSE(make(true).run({}).ok());
    EXPECT_TRUE(make(false).run({}).ok());
    EXPECT_EQ(found, resumes);
  }
}

TEST_F(StageGraphTest, AStopLeavesTheStageUnfinished) {
  StageGraph g(root_);
  g.add({"a", {}, {}, [](const StageContext&) {
           request_stop(15);
           return ok();
         }});
  const auto result = g.run({});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kTerminated);
  EXPECT_FALSE(g.plan()[0].done);
}

TEST_F(StageGraphTest, TwoRunsDoNotShareARoot) {
  StageGraph g(root_);
  g.add({"a", {}, {}, [&](const StageContext&) -> Status {
           StageGraph second(root_);
           const auto result = second.run({});
           EXPECT_EQ(result.error().code, ErrorCode::kLocked);
           return ok();
         }});
  EXPECT_TRUE(g.run({}).ok());
}

}  // namespace
}  // namespace sllm::project
