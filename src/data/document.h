// A document as blocks of text: headings, paragraphs and preformatted parts, whatever the format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

struct Block {
  int heading = 0;              // 1..6, or 0: body text
  bool preformatted = false;    // code or a table: cut at line ends only
  uint64_t begin = 0, end = 0;  // bytes of Document::text
};

struct Document {
  std::string title;  // front matter, <title> or first heading; "" when there is none
  std::string text;   // the file's text; for HTML, what a reader sees
  std::vector<Block> blocks;
  std::string_view text_of(const Block& b) const {
    return std::string_view(text).substr(b.begin, b.end - b.begin);
  }
};

enum class DocumentFormat { kMarkdown, kHtml, kPlain };

// By extension; nullopt for what is not a document that we read.
std::optional<DocumentFormat> document_format(const fs::path& path);
std::string document_endings();  // ".md .html ...", those that document_format knows
// Never fails: malformed markup is read as far as it goes. `text` must be valid UTF-8. Bounded:
// linear in the text's length, no recursion.
Document parse_document(std::string text, DocumentFormat format);
Result<Document> read_document(const fs::path& path, uint64_t limit = uint64_t{64} << 20);

}  // namespace sllm
