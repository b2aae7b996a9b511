// import_data: what is dropped and why, and that the split is fixed, complete and does not leak.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/sha256.h"
#include "data/clean.h"
#include "data/dataset.h"
#include "data/minhash.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

class ImportData : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path file(const std::string& name, std::string_view text) {
    EXPECT_TRUE(write_file_atomically(folder_ / name, text).ok());
    return folder_ / name;
  }
  static std::string row(std::string_view q, std::string_view a) {
    return nlohmann::json{{"question", q}, {"answer", a}}.dump() + "\n";
  }
  std::vector<Example> examples(const std::string& name) {
    return read_examples(folder_ / "out" / name).value();
  }
  std::string contents(const std::string& name) {
    return read_file(folder_ / "out" / name).value();
  }
  fs::path folder_;
};

// Text that shares no 5-gram with another number's, so that only rows meant to be alike are.
std::string unlike(int i) { return sha256_hex(std::to_string(i)); }

TEST_F(ImportData, SaysWhyEveryRowWasDropped) {
  const fs::path in = file("in.jsonl", row("What is the capital of France?", "Paris") +
                                           row("What is the capital of France?", "Paris") +
                                           row("What is the capital of France??", "Paris") +
                                           row("  ", "x") + row("y", "\u200b") +
                                           row("How high is the mountain?", std::string(50, 'a')) +
                                           R"({"messages":[{"role":"user","content":"only me"}]})"
                                           "\n");
  ImportOptions options;
  options.max_characters = 60;
  const auto summary = import_data({in}, folder_ / "out", options).value();
  EXPECT_EQ(summary.read, 7u);
  EXPECT_EQ(summary.kept, 1u);
  EXPECT_EQ(summary.dropped.at("exact duplicate"), 1u);
  EXPECT_EQ(summary.dropped.at("near duplicate"), 1u);
  EXPECT_EQ(summary.dropped.at("empty user message"), 1u);
  EXPECT_EQ(summary.dropped.at("empty assistant message"), 1u);
  EXPECT_EQ(summary.dropped.at("too long"), 1u);
  EXPECT_EQ(summary.dropped.at("no assistant turn"), 1u);
  const std::string dropped = contents("dropped.jsonl");
  EXPECT_EQ(std::ranges::count(dropped, '\n'), 6);
  EXPECT_THAT(dropped, HasSubstr("in.jsonl:3"));
  EXPECT_THAT(dropped, HasSubstr("of " + in.string() + ":1"));
}

TEST_F(ImportData, SplitsTheSameWayWhateverTheOrderOfInputs) {
  std::string first, second;
  for (int i = 0; i < 100; ++i) (i % 2 ? first : second) += row(unlike(i), unlike(i + 1000));
  const fs::path a = file("a.jsonl", first), b = file("b.jsonl", second);
  const auto one = import_data({a, b}, folder_ / "out").value();
  const auto two = import_data({b, a}, folder_ / "again").value();
  EXPECT_EQ(one.fingerprint, two.fingerprint);
  EXPECT_EQ(one.train, 80u);
  EXPECT_EQ(one.eval, 10u);
  EXPECT_EQ(one.test, 10u);
  std::set<std::string> all;
  for (const char* name : {"train.jsonl", "eval.jsonl", "test.jsonl"})
    for (const Example& e : examples(name)) all.insert(e.key());
  EXPECT_EQ(all.size(), 100u);
  ImportOptions other;
  other.seed = 1;
  EXPECT_NE(import_data({a, b}, folder_ / "again", other).value().fingerprint, one.fingerprint);
}

TEST_F(ImportData, KeepsAlikeQuestionsInOneSplit) {
  ImportOptions options;
  options.near_duplicate = 0.9;
  // Answers differ enough for the rows to stay.
  std::string differing;
  for (int i = 0; i < 40; ++i)
    for (int k = 0; k < 3; ++k) differing += row(unlike(i) + "?!."[k], unlike(1000 + i * 3 + k));
  const auto summary = import_data({file("in.jsonl", differing)}, folder_ / "out", options).value();
  EXPECT_EQ(summary.kept, 120u);
  EXPECT_EQ(summary.near_duplicate_groups, 40u);
  std::map<std::string, std::set<std::string>> splits_of;
  for (const char* name : {"train.jsonl", "eval.jsonl", "test.jsonl"})
    for (const Example& e : examples(name))
      splits_of[std::string(e.question().substr(0, 60))].insert(name);
  EXPECT_EQ(splits_of.size(), 40u);
  for (const auto& [question, splits] : splits_of) EXPECT_EQ(splits.size(), 1u) << question;
  EXPECT_EQ(summary.test, 12u);
}

TEST_F(ImportData, DropsWhatIsNearAHeldOutQuestion) {
  const fs::path held = file("held.jsonl", row("거실 조명을 조금만 어둡게 해 줄래", "x"));
  const fs::path in = file("in.jsonl", row("거실 조명을 조금만 어둡게 해줄래", "어둡게") +
                                           row("안방 난방을 이십 도로 맞춰 줘", "20"));
  ImportOptions options;
  options.held_out = {held};
  options.near_duplicate = 0.75;
  const auto summary = import_data({in}, folder_ / "out", options).value();
  EXPECT_EQ(summary.kept, 1u);
  EXPECT_EQ(summary.dropped.at("near a held-out question"), 1u);
  EXPECT_EQ(summary.languages.at("ko"), 1u);
}

TEST_F(ImportData, WritesOverItsOwnFolderButNeverOverAnotherOrItsInput) {
  const fs::path in = file("in.jsonl", row("Where is it?", "Here.") + row("Who is there?", "Me."));
  EXPECT_TRUE(import_data({in}, folder_ / "out").ok());
  EXPECT_TRUE(import_data({in}, folder_ / "out").ok());
  for (const fs::path& out : {folder_, in}) {
    const auto refused = import_data({in}, out);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_TRUE(fs::is_regular_file(in));
  }
  const auto itself = import_data({folder_ / "out" / "train.jsonl"}, folder_ / "out");
  ASSERT_FALSE(itself.ok());
  EXPECT_EQ(itself.error().code, ErrorCode::kUsage);
}

TEST_F(ImportData, RefusesWithCountsWhenNothingIsUsable) {
  const auto result =
      import_data({file("in.jsonl", row("", "a") + row("b", " "))}, folder_ / "out");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(result.error().message, HasSubstr("none of 2 rows"));
  EXPECT_THAT(result.error().message, HasSubstr("1 empty user message"));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST(CleanText, RemovesWhatCannotBeSeenAndKeepsCode) {
  EXPECT_EQ(clean_text("\x01 a\u200b  b \t\n\n"), " a  b");
  EXPECT_EQ(clean_text("if x:\n    y\n"), "if x:\n    y");
  // Decomposed Hangul, as macOS writes it, is composed.
  EXPECT_EQ(clean_text("\u1100\u1161"), "가");
  std::string marks = "e";  // in time that grows with their number, not with its square
  for (int i = 0; i < 500'000; ++i) marks += "\u0301\u0323";
  EXPECT_TRUE(clean_text(marks).starts_with("\u1eb9\u0323\u0323"));
  EXPECT_FALSE(shingles(marks).empty());
}

TEST(NearDuplicates, TellsCommandsApartAndFindsParticleChanges) {
  const auto similar = [](std::string_view a, std::string_view b) {
    return jaccard(shingles(a), shingles(b));
  };
  EXPECT_LT(similar("거실 불 켜줘", "거실 불 꺼줘"), 0.6);
  EXPECT_LT(similar("set the bedroom to 20 degrees", "set the bedroom to 21 degrees"), 0.85);
  EXPECT_GT(similar("휴가 신청은 어떻게 하나요?", "휴가 신청을 어떻게 하나요?"), 0.65);
  EXPECT_EQ(similar("Hello  World", "hello world"), 1);
  EXPECT_EQ(similar("", ""), 1);
}

TEST(NearDuplicates, FindsEveryPairAtTheThresholdThatBruteForceFinds) {
  std::vector<std::string> a, b;
  for (int i = 0; i < 60; ++i) {
    std::string s;
    for (int k = 0; k < 4; ++k) s += unlike(i * 10 + k);
    a.push_back(s);
    for (int k = 0; k <= i % 8; ++k) s[static_cast<size_t>(k * 29)] = '#';
    b.push_back(s);
  }
  size_t expected = 0;
  for (const auto& x : a)
    for (const auto& y : b) expected += jaccard(shingles(x), shingles(y)) >= 0.8;
  EXPECT_GT(expected, 20u);
  EXPECT_EQ(near_duplicates(a, b, 0.8).size(), expected);
}

}  // namespace
}  // namespace sllm
