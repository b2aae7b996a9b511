// What a model that answers from documents is tuned on.
#include "ground/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sllm {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class GroundTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    write("backup.md", "# Backup\n\nBackups run every night at 02:30 and are kept for 14 days.\n");
    write("restore.md", "# Restore\n\nRestored backups are put into the folder restored.\n");
    write("vpn.md", "# Network\n\nThe gateway of the office network is called berlin-3.\n");
    write("백업.md", "# 백업\n\n백업은 매일 밤 2시 30분에 합니다.\n");
    EXPECT_TRUE(Index::update(root_ / "index", root_ / "docs").ok());
    index_ = Index::open(root_ / "index").value();
    options_.shuffled = 0;
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, std::string_view text) {
    fs::create_directories(root_ / "docs");
    ASSERT_TRUE(write_file_atomically(root_ / "docs" / name, text).ok());
  }
  static Example row(std::string question, std::string answer,
                     nlohmann::ordered_json extra = nullptr) {
    Example e;
    e.messages = {{"user", std::move(question), {}}, {"assistant", std::move(answer), {}}};
    e.extra = std::move(extra);
    e.source = "train.jsonl:1";
    return e;
  }
  std::vector<Example> ground(const std::vector<Example>& rows) {
    return grounded_examples(*index_, rows, options_, summary_).value();
  }

  fs::path root_;
  std::shared_ptr<Index> index_;
  GroundTrainingOptions options_;
  GroundTrainingSummary summary_;
};

const char* kQuote = "kept for 14 days";

// The number behind the answer must be that of the passage with the quote.
void expect_cites(const Example& example, const std::string& quote) {
  const std::string number(example.answer().substr(example.answer().find('['), 3));
  const std::string& prompt = example.messages[1].content;
  const size_t passage = prompt.find(number + " ");
  ASSERT_NE(passage, std::string::npos);
  EXPECT_LT(passage, prompt.find(quote));
  EXPECT_THAT(prompt.substr(passage + 3, prompt.find(quote) - passage - 3), Not(HasSubstr("[")));
}

TEST_F(GroundTrainingTest, CitesThePassageWithTheQuoteInAsksOwnPrompt) {
  const auto examples =
      ground({row("How long are backups kept?", "For 14 days.", {{"quote", kQuote}})});
  ASSERT_EQ(examples.size(), 1u);
  const GroundedPrompt asked = ground_question(*index_, "How long are backups kept?").value();
  EXPECT_EQ(examples[0].messages[0].content, asked.messages[0].content);
  EXPECT_EQ(examples[0].messages[1].content, asked.messages[1].content);
  expect_cites(examples[0], kQuote);
  EXPECT_EQ(summary_.cited, 1u);
}

TEST_F(GroundTrainingTest, CitesRightlyInAnyOrder) {
  options_.shuffled = 1;
  for (options_.seed = 0; options_.seed < 10; ++options_.seed)
    expect_cites(
        ground({row("How long are backups kept?", "For 14 days.", {{"quote", kQuote}})}).at(0),
        kQuote);
}

TEST_F(GroundTrainingTest, PutsInASourceThatRetrievalMissed) {
  options_.ground.passages = 1;
  const auto examples =
      ground({row("What is the office network like?", "14 days.", {{"quote", kQuote}})});
  ASSERT_EQ(examples.size(), 1u);
  EXPECT_EQ(summary_.placed, 1u);
  expect_cites(examples[0], kQuote);
}

TEST_F(GroundTrainingTest, WithoutAQuoteCitesWhatSupportsTheAnswer) {
  const auto examples = ground({row("When do backups run?", "Every night at 02:30."),
                                row("When do backups run?", "On Sundays in Tokyo.")});
  ASSERT_EQ(examples.size(), 1u);
  expect_cites(examples[0], "02:30");
  ASSERT_EQ(summary_.dropped.size(), 1u);
  EXPECT_EQ(summary_.dropped[0].reason, "no passage supports the answer");
}

TEST_F(GroundTrainingTest, RefusesUnanswerableQuestionsInTheirLanguage) {
  const auto examples =
      ground({row("What do backups cost?", "Nobody knows", {{"answerable", false}}),
              row("백업은 얼마입니까?", "모르겠습니다.")});
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].answer(), "I don't know.");
  EXPECT_THAT(examples[0].messages[1].content, HasSubstr("[1] "));
  EXPECT_EQ(examples[1].answer(), "모르겠습니다.");
  EXPECT_EQ(summary_.refused, 2u);
}

TEST_F(GroundTrainingTest, AsksEachRowOnceAndSeveralOverTheSamePassages) {
  options_.refused = 0;
  const auto examples =
      ground({row("How long are backups kept?", "For 14 days.", {{"quote", kQuote}}),
              row("When do backups run?", "Every night at 02:30.", {{"quote", "at 02:30"}}),
              row("What is the gateway called?", "berlin-3.", {{"quote", "called berlin-3"}})});
  EXPECT_EQ(summary_.cited, 3u);
  EXPECT_EQ(summary_.conversations, examples.size());
  size_t answers = 0;
  for (const Example& example : examples) {
    ASSERT_EQ(example.messages.size() % 2, 1u);  // the system message and pairs
    for (size_t i = 3; i < example.messages.size(); i += 2) {
      EXPECT_TRUE(example.messages[i].content.starts_with("Question: "));
      EXPECT_THAT(example.messages[i].content, Not(HasSubstr("[1]")));
    }
    for (const Message& m : example.messages) answers += m.role == "assistant";
  }
  EXPECT_EQ(answers, 3u);
  EXPECT_LT(examples.size(), 3u);  // both questions about backups stand over the same page
}

TEST_F(GroundTrainingTest, RefusesFurtherQuestionsThatThesePassagesDoNotAnswer) {
  options_.refused = 1;
  options_.ground.passages = 1;
  const auto examples =
      ground({row("How long are backups kept?", "For 14 days.", {{"quote", kQuote}}),
              row("When do backups run?", "Every night at 02:30.", {{"quote", "at 02:30"}}),
              row("What is the gateway called?", "berlin-3.", {{"quote", "called berlin-3"}})});
  EXPECT_GT(summary_.withheld, 0u);
  for (const Example& example : examples)
    for (size_t i = 4; i < example.messages.size(); i += 2) {
      EXPECT_EQ(example.messages[i].content, "I don't know.");
      const bool network = example.messages[1].content.find("berlin-3") != std::string::npos;
      EXPECT_EQ(example.messages[i - 1].content.find("gateway") == std::string::npos, network);
    }
}

TEST_F(GroundTrainingTest, RewritesImportedDataAndSaysWhatItDropped) {
  const fs::path data = root_ / "data";
  fs::create_directories(data);
  ASSERT_TRUE(
      write_examples(data / "train.jsonl",
                     {row("How long are backups kept?", "For 14 days.", {{"quote", kQuote}}),
                      row("And who?", "Nobody.", {{"quote", "not in any document"}})})
          .ok());
  const auto summary = ground_data(*index_, data, options_).value();
  EXPECT_EQ(summary.cited, 1u);
  const auto rows = read_examples(data / "train.jsonl").value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].messages.size(), 3u);
  EXPECT_THAT(read_file(data / "dropped.jsonl").value(), HasSubstr("no passage holds the quote"));
}

TEST_F(GroundTrainingTest, RowsAreKnownQuestionsThatTheirOwnGroundingDoesNotSee) {
  const char* question = "For what time does the office network keep copies?";
  const std::vector<Example> rows = {
      row(question, "Two weeks.", {{"quote", kQuote}}),
      row("What is the gateway called?", "The gateway of the office network is called berlin-3."),
      row("Who is the boss?", "I don't know.", {{"answerable", false}})};
  const auto known = known_questions(rows);
  ASSERT_EQ(known.size(), 2u);
  EXPECT_EQ(known[0].evidence, kQuote);
  EXPECT_EQ(known[1].evidence, rows[1].answer());
  const auto before = ground(rows);
  ASSERT_EQ(Index::learn_questions(root_ / "index", known).value().learned, 2u);
  EXPECT_THAT(index_->search(question, 1).value()[0].chunk.text, HasSubstr(kQuote));
  const auto after = ground(rows);
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].key(), before[i].key());
  EXPECT_THAT(before[0].key() + before[1].key(), HasSubstr("[1] Network"));  // as retrieval finds
}

}  // namespace
}  // namespace sllm
