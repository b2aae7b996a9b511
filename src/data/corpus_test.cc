// each_text on rows and documents, and that a document's parts are cut into the words of the whole.
#include "data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_tokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/pre_tokenizer_families.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Corpus : public ::testing::Test {
 protected:
  fs::path file(const std::string& name, std::string_view text) {
    EXPECT_TRUE(write_file_atomically(folder_ / name, text).ok());
    return folder_ / name;
  }
  std::vector<std::string> texts(const std::vector<fs::path>& files,
                                 const CorpusOptions& options = {}) {
    std::vector<std::string> found;
    const Status status = each_text(files, options, [&](std::string_view text) -> Status {
      found.emplace_back(text);
      return ok();
    });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return found;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(Corpus, GivesWhatRowsAndDocumentsRead) {
  const fs::path rows = file("rows.jsonl",
                             "{\"text\":\"one\"}\r\n\r\n"
                             "{\"question\":\"two\",\"answer\":\"three\"}\n");
  const fs::path plain = file("plain.txt",
                              "\xEF\xBB\xBF"
                              "four\r\n\r\n  five\r\n");
  const fs::path page = file("page.html", "<p>six</p><script>no</script>");
  EXPECT_THAT(texts({rows, plain}), ElementsAre("one", "two", "three", "four\n\n  five\n"));
  EXPECT_THAT(texts({page}), ElementsAre(HasSubstr("six")));
  EXPECT_THAT(texts({plain}, {.by_line = true}), ElementsAre("four\n", "\n", "  five\n"));
  // What is not UTF-8 is decoded: "연차" in CP949.
  EXPECT_THAT(texts({file("ko.txt", "\xbf\xac\xc2\xf7\r\n\xbf\xac\xc2\xf7")}),
              ElementsAre("연차\n연차"));
}

TEST_F(Corpus, CutsLongDocumentsWhereNoWordGoesOn) {
  std::string text;
  const char* pieces[] = {"word", "\n", "\r\n",      "  ", "!?",  "\n\n", "가나", "12345",
                          ")\n",  "'s", "e\xCC\x81", "\t", " X.", "\n  ", "Ünï",  "one two"};
  for (size_t i = 0, x = 1; i < 4000; ++i, x = x * 1103515245 + 12345) text += pieces[x >> 16 & 15];
  std::string whole;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || text[i + 1] != '\n') whole += text[i];
  const auto parts = texts({file("long.txt", text)}, {.part_bytes = 100});
  EXPECT_GT(parts.size(), 20u);
  for (const char* name : {"gpt-2", "llama3", "qwen2", "qwen35", "gpt-4o", "tekken", "smollm",
                           "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "bailingmoe",
                           "exaone-moe", "seed-coder", "bloom"}) {
    const auto cut = PreTokenizer::build(pre_tokenizer_family(name)->steps).value();
    std::vector<std::string> expected, found;
    cut.split({whole}, false, [&](const Piece& word) { expected.emplace_back(word.text); });
    for (const std::string& part : parts)
      cut.split({part}, false, [&](const Piece& word) { found.emplace_back(word.text); });
    EXPECT_EQ(found, expected) << name;
  }
}

TEST_F(Corpus, PartsAreBoundedWhereNoLineEnds) {
  std::string spaced, solid;
  while (spaced.size() < 2000) spaced += "가나다 ";
  while (solid.size() < 2000) solid += "가나다";
  for (const std::string& text : {spaced, solid}) {
    std::string joined;
    for (const std::string& part : texts({file("line.txt", text)}, {.part_bytes = 10})) {
      EXPECT_LE(part.size(), 320u);
      EXPECT_TRUE(unicode::valid_utf8(part));
      joined += part;
    }
    EXPECT_EQ(joined, text);
  }
}

TEST_F(Corpus, ErrorsNameTheRowAndWhatTakesTheTextsMayEndIt) {
  const auto refuse = [](std::string_view) -> Status { return usage_error("enough"); };
  const auto status = each_text({file("bad.jsonl", "{\"text\":\"a\"}\n{bad\n")}, {},
                                [](std::string_view) { return ok(); });
  EXPECT_THAT(status.error().message, HasSubstr("bad.jsonl:2"));
  EXPECT_EQ(each_text({file("a.txt", "a")}, {}, refuse).error().message, "enough");
  EXPECT_THAT(each_text({folder_ / "none.txt"}, {}, refuse).error().message, HasSubstr("none.txt"));
}

}  // namespace
}  // namespace sllm
