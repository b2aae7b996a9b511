// Chunks of Markdown, HTML and plain text; sentences in English and Korean.
#include "ground/chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<Chunk> chunk(std::string text, DocumentFormat format, ChunkOptions options = {}) {
  return chunk_document(parse_document(std::move(text), format), "doc", options);
}
std::vector<std::string> sentences(std::string_view text) {
  std::vector<std::string> out;
  for (const size_t n : sentence_lengths(text)) {
    out.emplace_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return out;
}

TEST(ChunkDocument, KeepsThePathOfHeadings) {
  const auto chunks = chunk(
      "---\ntitle: Guide\n---\n# Setup\n\nIntro.\n\n## Network\n\nPort "
      "80.\n\nNotes\n-----\n\nEnd.\n"
      "```\n# not a heading\n```\n",
      DocumentFormat::kMarkdown);
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunks[0].title, "Guide");
  EXPECT_EQ(chunks[0].heading, "Setup");
  EXPECT_EQ(chunks[1].heading, "Setup > Network");
  EXPECT_EQ(chunks[1].text, "Port 80.");
  EXPECT_EQ(chunks[2].heading, "Setup > Notes");
  EXPECT_THAT(chunks[2].text, HasSubstr("# not a heading"));
}

TEST(ChunkDocument, JoinsShortParagraphsAndCutsLongOnesAtSentences) {
  std::string text;
  for (int i = 0; i < 6; ++i) text += "A short paragraph of forty characters...\n\n";
  for (int i = 0; i < 30; ++i) text += "This is sentence number " + std::to_string(i) + ". ";
  ChunkOptions options{200, 300};
  const std::string copy = text;
  const auto chunks = chunk(text, DocumentFormat::kPlain, options);
  ASSERT_GT(chunks.size(), 4u);
  for (const Chunk& c : chunks) {
    EXPECT_LE(c.text.size(), 300u);
    EXPECT_EQ(c.text, copy.substr(c.begin, c.end - c.begin));
    EXPECT_EQ(c.text.back(), '.');
  }
}

TEST(ChunkDocument, CutsWhatHasNoSentences) {
  const auto chunks = chunk(std::string(10'000, 'x'), DocumentFormat::kPlain);
  ASSERT_GT(chunks.size(), 5u);
  size_t total = 0;
  for (const Chunk& c : chunks) total += c.text.size();
  EXPECT_EQ(total, 10'000u);
}

TEST(ChunkDocument, ReadsHtmlAsAReaderSeesIt) {
  const auto chunks = chunk(
      "<html><head><title> My\n page </title><style>p{}</style></head><body><nav>menu</nav>"
      "<h1>Top</h1><p>Caf&eacute; &amp; <b>bar</b></p><script>alert(1)</script>"
      "<h2>List</h2><ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table>"
      "<pre>x\n  y</pre>",
      DocumentFormat::kHtml);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].title, "My  page");
  EXPECT_EQ(chunks[0].text, "Café & bar");
  EXPECT_EQ(chunks[1].heading, "Top > List");
  EXPECT_THAT(chunks[1].text, HasSubstr("- one\n- two"));
  EXPECT_THAT(chunks[1].text, HasSubstr("a | b"));
  EXPECT_THAT(chunks[1].text, HasSubstr("x\n  y"));
}

TEST(ChunkDocument, SurvivesAMillionNestedTags) {
  std::string html;
  for (int i = 0; i < 1'000'000; ++i) html += "<b>";
  html += "deep";
  const auto chunks = chunk(html, DocumentFormat::kHtml);
  ASSERT_LE(chunks.size(), 1u);
}

TEST(SentenceLengths, KnowsAbbreviationsQuotesAndKorean) {
  EXPECT_THAT(
      sentences("Dr. Kim said \"Stop.\" Then he left, e.g. home. Version 1.5 is out."),
      ElementsAre("Dr. Kim said \"Stop.\" ", "Then he left, e.g. home. ", "Version 1.5 is out."));
  EXPECT_THAT(sentences("연차는 15일입니다. 남은 날은 이월됩니다! 정말요?"),
              ElementsAre("연차는 15일입니다. ", "남은 날은 이월됩니다! ", "정말요?"));
  EXPECT_THAT(sentences("これは文です。次です。"), ElementsAre("これは文です。", "次です。"));
}

}  // namespace
}  // namespace sllm
