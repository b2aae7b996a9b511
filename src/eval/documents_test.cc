#include "eval/documents.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace sllm::eval {
namespace {

TEST(JsonRows, ReadsLinesArraysAndFields) {
  EXPECT_EQ(parse_json_rows("\xEF\xBB\xBF{\"a\":1}\n\n{\"a\":2}\r\n", "x")->size(), 2u);
  EXPECT_EQ(parse_json_rows(" [{\"a\":1},{\"a\":2},{\"a\":3}]", "x")->size(), 3u);
  EXPECT_EQ(parse_json_rows("{\"rows\":[{\"a\":1}]}", "x", "rows")->size(), 1u);
  EXPECT_EQ(parse_json_rows("{\n \"data\": [{\"a\":1},{\"a\":2}]\n}", "x")->size(), 2u);
}

TEST(JsonRows, NamesTheLineThatIsBroken) {
  const auto rows = parse_json_rows("{\"a\":1}\n{\"a\":\n", "bad.jsonl");
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().code, ErrorCode::kBadInput);
  EXPECT_NE(rows.error().message.find("bad.jsonl:2"), std::string::npos) << rows.error().message;
  EXPECT_NE(rows.error().message.find("column"), std::string::npos) << rows.error().message;
  EXPECT_EQ(rows.error().message.find("json.exception"), std::string::npos);
  const auto array = parse_json_rows("[\n{\"a\":}]", "bad.json");
  EXPECT_NE(array.error().message.find("line 2, column 6"), std::string::npos)
      << array.error().message;
  EXPECT_FALSE(parse_json_rows("[1,2]", "x").ok());
  EXPECT_FALSE(parse_json_rows(std::string(100'000, '['), "x").ok());
}

TEST(Table, ReadsQuotedCellsAndGuessesTypesPerColumn) {
  const auto rows =
      parse_table("id\ttext\tyes\tx\n1\t\"a \"\"b\"\"\tc\nd\"\tTrue\t0.5\n2\t한글\tFalse\t2\n",
                  "t.tsv", {.delimiter = '\t'});
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_EQ((*rows)[0].dump(),
            "{\"id\":1,\"text\":\"a \\\"b\\\"\\tc\\nd\",\"yes\":true,\"x\":0.5}");
  EXPECT_EQ((*rows)[1]["text"], "한글");
}

TEST(Table, RefusesRaggedRowsAndOpenQuotes) {
  EXPECT_NE(parse_table("a,b\n1\n", "t.csv", {}).error().message.find("row 2 has 1 cells"),
            std::string::npos);
  EXPECT_NE(parse_table("a,b\n1,\"x\n", "t.csv", {}).error().message.find("t.csv:2"),
            std::string::npos);
}

TEST(Decompression, ReadsGzipByContentAndRefusesBrokenFiles) {
  // printf '{"a":1}\n' | gzip -n
  const unsigned char gzip[] = {0x1f, 0x8b, 8,    0,    0,    0,    0,    0,    0, 3,
                                0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 0xe5, 2, 0,
                                0x46, 0xa3, 0xe8, 0x74, 8,    0,    0,    0};
  const fs::path path = fs::temp_directory_path() / fmt::format("sllm-rows-{}.jsonl", getpid());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(gzip), sizeof gzip);
  const auto text = read_decompressed(path);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(gzip), 14);
  const auto cut = read_decompressed(path);
  fs::remove(path);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, "{\"a\":1}\n");
  EXPECT_FALSE(cut.ok());
  EXPECT_FALSE(read_decompressed(path).ok());
}

}  // namespace
}  // namespace sllm::eval
