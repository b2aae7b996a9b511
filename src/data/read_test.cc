// read_examples on every format, and on broken files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "data/charset.h"
#include "data/csv.h"
#include "data/dataset.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

class ReadExamples : public ::testing::Test {
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
  std::vector<Example> read(const std::string& name, std::string_view text) {
    return read_examples(file(name, text)).value();
  }
  std::string error(const std::string& name, std::string_view text) {
    const auto result = read_examples(file(name, text));
    EXPECT_FALSE(result.ok()) << name << " was accepted";
    if (result.ok()) return {};
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
    return result.error().to_string();
  }
  fs::path folder_;
};

TEST_F(ReadExamples, UnderstandsEveryRowFormat) {
  const auto rows =
      read("rows.jsonl",
           R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}
{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}
{"instruction":"a","input":"x","output":"b"}
{"prompt":"a","completion":"b"}

{"question":"a","answer":"b","id":7}
{"text":"just text"}
{"system":"be brief","prompt":"a","completion":"b"}
)");
  ASSERT_EQ(rows.size(), 7u);
  for (const size_t i : {0, 1, 3, 4}) {
    ASSERT_EQ(rows[i].messages.size(), 2u) << i;
    EXPECT_EQ(rows[i].question(), "a");
    EXPECT_EQ(rows[i].answer(), "b");
    EXPECT_EQ(rows[i].messages[0].role, "user");
    EXPECT_EQ(rows[i].messages[1].role, "assistant");
  }
  EXPECT_EQ(rows[2].question(), "a\n\nx");
  EXPECT_EQ(rows[4].extra["id"], 7);
  EXPECT_THAT(rows[4].source, HasSubstr("rows.jsonl:6"));
  EXPECT_EQ(rows[5].text, "just text");
  EXPECT_EQ(rows[6].messages[0].role, "system");
}

TEST_F(ReadExamples, ReadsToolCallsAndWritesThemBack) {
  const std::string line =
      R"({"messages":[{"role":"user","content":"t?"},{"role":"assistant","content":"","tool_calls":[{"type":"function"}]}],"tools":[{"name":"clock"}]})"
      "\n";
  const auto rows = read("tools.jsonl", line);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(to_jsonl(rows[0]), line);
}

TEST_F(ReadExamples, ReadsCsvWithQuotesLineBreaksAndTabs) {
  const auto rows =
      read("faq.csv", "question,answer\r\n\"a, \"\"b\"\"\",\"two\r\nlines\"\r\nc,d\r\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].question(), "a, \"b\"");
  EXPECT_EQ(rows[0].answer(), "two\nlines");
  EXPECT_THAT(rows[1].source, HasSubstr("faq.csv:4"));
  EXPECT_EQ(read("faq.tsv", "Q\tA\nc, d\te\n")[0].question(), "c, d");
  EXPECT_EQ(read("semicolon.csv", "question;answer\na,b;c\n")[0].question(), "a,b");
}

TEST_F(ReadExamples, NamesColumnsByOption) {
  ReadOptions options;
  options.columns = {{"question", "Frage"}, {"answer", "Antwort"}};
  const auto rows = read_examples(file("de.csv", "Frage,Antwort\na,b\n"), options).value();
  EXPECT_EQ(rows[0].answer(), "b");
}

TEST_F(ReadExamples, DecodesKoreanCharsets) {
  // "question,answer\n연차는?,15일\n" in CP949.
  const auto cp949 = read("ko.csv", "question,answer\n\xbf\xac\xc2\xf7\xb4\xc2?,15\xc0\xcf\n");
  EXPECT_EQ(cp949[0].question(), "연차는?");
  EXPECT_EQ(cp949[0].answer(), "15일");
  // "뷁" exists in CP949 (0x94EE) but not in EUC-KR.
  EXPECT_EQ(read("uhc.csv", "text\n\xb0\xa1\x94\xee\n")[0].text, "가뷁");
  const auto utf16 = read("u.csv", std::string_view("\xff\xfet\0e\0x\0t\0\n\0\x00\xac\n\0", 16));
  EXPECT_EQ(utf16[0].text, "가");
  EXPECT_EQ(read("bom.jsonl", "\xef\xbb\xbf{\"text\":\"x\"}\n")[0].text, "x");
}

TEST_F(ReadExamples, TurnsDocumentsIntoSections) {
  const auto rows = read("guide.md", "# One\n\nFirst.\n\n## Two\n\nSecond.\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].text, "# One\n\nFirst.");
  EXPECT_EQ(rows[1].text, "## Two\n\nSecond.");
  EXPECT_THAT(rows[1].source, HasSubstr("guide.md:5"));
}

TEST_F(ReadExamples, SkipsBadRowsOnlyWhenAsked) {
  const fs::path path = file("some.jsonl", "{\"text\":\"a\"}\n{bad\n{\"text\":\"b\"}\n");
  EXPECT_FALSE(read_examples(path).ok());
  ReadOptions options;
  options.skip_bad = 1;
  std::vector<DroppedRow> dropped;
  EXPECT_EQ(read_examples(path, options, &dropped).value().size(), 2u);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_THAT(dropped[0].source, HasSubstr("some.jsonl:2"));
}

// Broken files: each is refused with its place and what was expected.
TEST_F(ReadExamples, RefusesBrokenJsonl) {
  EXPECT_THAT(error("truncated.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b"),
              AllOf(HasSubstr("truncated.jsonl:2"), HasSubstr("column")));
  EXPECT_THAT(error("array.jsonl", "[1,2]\n"), HasSubstr("expected an object"));
  EXPECT_THAT(error("deep.jsonl", std::string(100'000, '[')), HasSubstr("deeper than 128"));
  EXPECT_THAT(error("nan.jsonl", "{\"text\":NaN}\n"), HasSubstr("nan.jsonl:1"));
  EXPECT_THAT(error("surrogate.jsonl", "{\"text\":\"\\ud800\"}\n"), HasSubstr("surrogate"));
  EXPECT_THAT(error("columns.jsonl", "{\"foo\":1,\"bar\":2}\n"),
              AllOf(HasSubstr("found: foo, bar"), HasSubstr("--column")));
  EXPECT_THAT(error("role.jsonl", "{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}\n"),
              HasSubstr("wizard"));
  EXPECT_THAT(error("content.jsonl", "{\"messages\":[{\"role\":\"user\"}]}\n"),
              HasSubstr("no \"content\""));
  EXPECT_THAT(error("type.jsonl", "{\"question\":[1],\"answer\":\"b\"}\n"),
              HasSubstr("expected an object with role"));
  EXPECT_THAT(error("nul.jsonl", std::string_view("{\"text\":\"a\0\"}\n", 13)),
              HasSubstr("not text"));
}

TEST_F(ReadExamples, RefusesBrokenCsvAndOtherFiles) {
  EXPECT_THAT(error("quote.csv", "question,answer\n\"never closed,b\n"),
              AllOf(HasSubstr("quote.csv:2"), HasSubstr("never closed")));
  EXPECT_THAT(error("fields.csv", "question,answer\na,b,c\n"), HasSubstr("3 fields, expected 2"));
  EXPECT_THAT(error("behind.csv", "question,answer\n\"a\"x,b\n"), HasSubstr("behind a closing"));
  EXPECT_THAT(error("twice.csv", "text,text\na,b\n"), HasSubstr("appears twice"));
  EXPECT_THAT(error("empty.csv", ""), HasSubstr("expected a header"));
  EXPECT_THAT(error("table.xlsx", "PK"), HasSubstr("not a data file"));
  EXPECT_THAT(error("bytes.txt", std::string_view("a\0b", 3)), HasSubstr("not text"));
  EXPECT_THAT(error("object.json", "{\"text\":\"x\"}"), HasSubstr("expected an array"));
  for (const char* name : {"missing.jsonl", "missing"})
    EXPECT_THAT(read_examples(folder_ / name).error().message, HasSubstr("no such file"));
  EXPECT_THAT(error("two.json", "[\n{\"text\":}]"), HasSubstr("two.json: line 2, column 9"));
  EXPECT_FALSE(read_examples("/dev/zero").ok());
}

TEST(CsvReader, GoesOnBehindABadRow) {
  CsvReader reader("a,b\n\"x\"y,1\nc,d\n");
  CsvRow row;
  EXPECT_TRUE(*reader.next(row));
  EXPECT_FALSE(reader.next(row).ok());
  EXPECT_TRUE(*reader.next(row));
  EXPECT_EQ(row.fields, (std::vector<std::string>{"c", "d"}));
  EXPECT_FALSE(*reader.next(row));
}

TEST(DecodeText, RefusesBytesThatFitNoCharset) {
  EXPECT_EQ(decode_text("caf\xc3\xa9").value().text, "café");
  EXPECT_EQ(decode_text("a\rb\r\nc").value().text, "a\nb\nc");
  EXPECT_FALSE(decode_text(std::string_view("\xff\xfe\x00", 3)).ok());
}

}  // namespace
}  // namespace sllm
