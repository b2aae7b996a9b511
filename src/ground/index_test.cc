// The index: what it finds, how it follows changes, and that no query or file can break it.
#include "ground/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ground/terms.h"

namespace sllm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class IndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(docs_ = root_ / "docs");
    file_ = root_ / "docs.index";
    write("휴가.md",
          "# 휴가 규정\n\n연차는 입사 후 1년이 지나면 15일이 주어집니다.\n\n## 병가\n\n"
          "병가는 진단서를 내면 60일까지 쓸 수 있습니다.\n");
    write("card.md",
          "# Company card\n\n법인카드는 팀장 승인 후 발급됩니다.\n\n## Limits\n\nThe monthly limit "
          "of a company card is 2,000,000 won. Cards are blocked after three wrong PINs.\n");
    write("net/vpn.html", "<title>VPN</title><h1>VPN</h1><p>Connect to vpn.example.com first.</p>");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, std::string_view text) {
    fs::create_directories((docs_ / name).parent_path());
    ASSERT_TRUE(write_file_atomically(docs_ / name, text).ok());
  }
  IndexUpdate update() { return Index::update(file_, docs_).value(); }
  std::vector<SearchHit> search(std::string_view query, size_t k = 5) {
    return Index::open(file_).value()->search(query, k).value();
  }
  std::string first(std::string_view query) {
    const auto hits = search(query);
    return hits.empty() ? "" : hits[0].chunk.text;
  }
  fs::path root_, docs_, file_;
};

TEST_F(IndexTest, FindsTwoSyllableKoreanWordsInsideLongerOnes) {
  update();
  EXPECT_THAT(first("연차"), HasSubstr("15일"));
  EXPECT_THAT(first("카드"), HasSubstr("법인카드"));
  EXPECT_THAT(first("병가"), HasSubstr("60일"));
  EXPECT_THAT(first("연차가 며칠인가요?"), HasSubstr("15일"));
  EXPECT_TRUE(search("급여").empty());
}

TEST_F(IndexTest, FindsEnglishWordsInOtherForms) {
  update();
  EXPECT_THAT(first("blocking a card after wrong PIN"), HasSubstr("three wrong PINs"));
  EXPECT_THAT(first("connecting the VPN"), HasSubstr("vpn.example.com"));
  const auto hits = search("What is the limit of a company card?");
  ASSERT_FALSE(hits.empty());
  EXPECT_EQ(hits[0].chunk.document, "card.md");
  EXPECT_EQ(hits[0].chunk.heading, "Company card > Limits");
  EXPECT_GT(hits[0].coverage, 0.9);
  EXPECT_LT(search("limit of a spaceship").at(0).coverage, 0.6);
}

TEST_F(IndexTest, FollowsChangedAndDeletedDocuments) {
  EXPECT_EQ(update().added, 3u);
  const IndexUpdate same = update();
  EXPECT_EQ(same.unchanged, 3u);
  EXPECT_EQ(same.added + same.changed + same.removed, 0u);
  write("card.md", "# Company card\n\nThe limit is now 5,000,000 won.\n");
  fs::remove(docs_ / "휴가.md");
  const IndexUpdate next = update();
  EXPECT_EQ(next.changed, 1u);
  EXPECT_EQ(next.removed, 1u);
  EXPECT_EQ(next.unchanged, 1u);
  EXPECT_TRUE(search("연차").empty());
  EXPECT_TRUE(search("wrong PINs").empty());
  EXPECT_THAT(first("card limit"), HasSubstr("5,000,000"));
  EXPECT_EQ(Index::open(file_).value()->stats().value().documents, 2u);
  // An index that was brought up to date finds the same as one made anew.
  const auto before = search("company card limit VPN");
  fs::remove(file_);
  update();
  const auto after = search("company card limit VPN");
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i].score, after[i].score, 1e-9);
}

TEST_F(IndexTest, ReadsEveryQueryAsWords) {
  update();
  for (const std::string query :
       {"\"", "card\" OR \"1", "card AND NOT limit", "NEAR(card limit)", "card*", "title:card",
        "^card", "{body}: card", "'; DROP TABLE chunk; --", "(((", "-card", "a+b", "%", "\xff\xfe"})
    EXPECT_TRUE(Index::open(file_).value()->search(query).ok()) << query;
  EXPECT_EQ(search("card\" OR \"limit")[0].chunk.document, "card.md");
  EXPECT_TRUE(Index::open(file_).value()->search(std::string(1 << 20, '"')).ok());
  std::string long_query;
  for (int i = 0; i < 100'000; ++i) long_query += "card" + std::to_string(i) + " ";
  EXPECT_TRUE(Index::open(file_).value()->search(long_query).ok());
  EXPECT_TRUE(search("").empty());
  EXPECT_FALSE(search("the of and card").empty());
}

TEST_F(IndexTest, RefusesWhatIsNoIndex) {
  EXPECT_THAT(Index::open(file_).error().hint, HasSubstr("sllm index"));
  ASSERT_TRUE(write_file_atomically(file_, std::string(4096, 'x')).ok());
  EXPECT_EQ(Index::open(file_).error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(Index::update(file_, docs_).ok());
  fs::remove(file_);
  EXPECT_EQ(Index::update(file_, root_ / "missing").error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(IndexTest, SurvivesDamageAnywhereInTheFile) {
  update();
  const std::string bytes = read_file(file_).value();
  for (size_t at = 100; at < bytes.size(); at += 997) {
    std::string damaged = bytes;
    for (size_t i = at; i < std::min(at + 16, damaged.size()); ++i) damaged[i] ^= 0x5a;
    ASSERT_TRUE(write_file_atomically(file_, damaged).ok());
    const auto index = Index::open(file_);
    if (!index.ok()) continue;
    const auto hits = (*index)->search("company card 연차");  // any Result will do
    if (hits.ok())
      for (const SearchHit& hit : *hits) EXPECT_TRUE((*index)->chunk(hit.chunk.id).ok());
  }
}

TEST_F(IndexTest, RefusesAFolderWithoutDocumentsAndNamesTheEndings) {
  fs::create_directories(root_ / "none");
  std::ofstream(root_ / "none" / "photo.jpg") << "x";
  const auto result = Index::update(file_, root_ / "none");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(result.error().hint, HasSubstr(".md"));
  EXPECT_FALSE(fs::exists(file_));
  update();  // an index that is there keeps what it has
  EXPECT_FALSE(Index::update(file_, root_ / "none").ok());
  EXPECT_FALSE(search("연차").empty());
}

TEST_F(IndexTest, LeavesOutWhatCannotBeReadAndSaysSo) {
  write("binary.txt", std::string_view("a\0b", 3));
  const IndexUpdate u = update();
  EXPECT_EQ(u.skipped, 1u);
  EXPECT_THAT(u.skipped_reasons[0], HasSubstr("binary.txt"));
  EXPECT_EQ(u.added, 3u);
}

TEST_F(IndexTest, KnownQuestionsFindTheirPassageForQuestionsInLikeWords) {
  update();
  const char* question = "What may I spend on plastic in thirty days?";
  const char* korean = "몸이 아플 때는 어떻게 합니까?";
  EXPECT_THAT(first(question), Not(HasSubstr("2,000,000")));
  EXPECT_THAT(first(korean), Not(HasSubstr("진단서")));
  const KnownQuestion known[] = {
      {"How much may I spend with the plastic?", "limit of a company card"},
      {"아플 때 며칠까지 쉬나요?", "진단서를 내면"},
      {"Where do we eat?", "in the canteen"}};
  const auto learned = Index::learn_questions(file_, known).value();
  EXPECT_EQ(learned.learned, 2u);
  EXPECT_EQ(learned.unsupported, 1u);
  EXPECT_THAT(first(question), HasSubstr("2,000,000"));
  EXPECT_THAT(first(korean), HasSubstr("진단서"));
  const auto ignored =
      Index::open(file_).value()->search(question, 1, KnownQuestions::kIgnore).value();
  EXPECT_TRUE(ignored.empty() || ignored[0].chunk.text.find("2,000,000") == std::string::npos);
}

TEST_F(IndexTest, UpdatesKeepKnownQuestionsAndFindTheirPassagesAgain) {
  update();
  const char* question = "What may I spend on plastic?";
  ASSERT_TRUE(
      Index::learn_questions(file_, std::vector{KnownQuestion{question, "limit of a company card"}})
          .ok());
  const int64_t before = search(question)[0].chunk.id;
  write("card.md", "# Cards\n\nBlue.\n\n## Spending\n\nThe limit of a company card is 9 won.\n");
  update();
  EXPECT_THAT(first(question), HasSubstr("9 won"));
  EXPECT_NE(search(question)[0].chunk.id, before);
  write("card.md", "# Cards\n\nThere are none.\n");
  update();
  EXPECT_TRUE(search("spend on plastic").empty());
  ASSERT_TRUE(Index::learn_questions(file_, {}).ok());
  EXPECT_TRUE(search("spend on plastic").empty());
}

TEST_F(IndexTest, KnownQuestionsNeedAnIndex) {
  EXPECT_EQ(Index::learn_questions(file_, {}).error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(fs::exists(file_));
}

TEST(IndexTerms, FoldsStemsAndPairs) {
  EXPECT_THAT(index_terms("Running the CAFÉS in 2024년"),
              ElementsAre("run", "the", "cafe", "in", "2024", "년"));
  EXPECT_THAT(index_terms("휴가신청은"), ElementsAre("휴가", "가신", "신청", "청은"));
  EXPECT_THAT(index_terms("ＡＢＣ"), ElementsAre("abc"));
  std::string marks = "Ｅ";  // in time that grows with their number, not with its square
  for (int i = 0; i < 500'000; ++i) marks += "\u0301\u0323";
  EXPECT_THAT(index_terms(marks), ElementsAre("e"));
  EXPECT_THAT(key_terms("연차는 며칠 남았나요?"), Contains("연차"));
  EXPECT_THAT(key_terms("연차는 며칠 남았나요?"), Not(Contains("차는")));
}

TEST(PorterStem, FollowsThePublishedExamples) {
  // From Porter's paper, one or two for each step.
  const std::pair<const char*, const char*> kPairs[] = {
      {"caresses", "caress"},     {"ponies", "poni"},       {"cats", "cat"},
      {"agreed", "agre"},         {"plastered", "plaster"}, {"motoring", "motor"},
      {"sing", "sing"},           {"hopping", "hop"},       {"falling", "fall"},
      {"filing", "file"},         {"happy", "happi"},       {"sky", "sky"},
      {"relational", "relat"},    {"digitizer", "digit"},   {"operator", "oper"},
      {"hopefulness", "hope"},    {"formality", "formal"},  {"electrical", "electr"},
      {"goodness", "good"},       {"adjustable", "adjust"}, {"replacement", "replac"},
      {"adoption", "adopt"},      {"probate", "probat"},    {"rate", "rate"},
      {"controlling", "control"}, {"roll", "roll"}};
  for (const auto& [word, stem] : kPairs) EXPECT_EQ(porter_stem(word), stem) << word;
}

}  // namespace
}  // namespace sllm
