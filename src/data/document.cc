// Markdown (CommonMark's block structure as far as chunking needs it) and plain text into blocks.
#include "data/document.h"

#include <algorithm>
#include <cctype>

#include "data/charset.h"
#include "data/html.h"

namespace sllm {
namespace {

struct Ending {
  std::string_view text;
  DocumentFormat format;
};
constexpr Ending kEndings[] = {
    {".md", DocumentFormat::kMarkdown},  {".markdown", DocumentFormat::kMarkdown},
    {".mdx", DocumentFormat::kMarkdown}, {".html", DocumentFormat::kHtml},
    {".htm", DocumentFormat::kHtml},     {".xhtml", DocumentFormat::kHtml},
    {".txt", DocumentFormat::kPlain},    {".text", DocumentFormat::kPlain},
    {".rst", DocumentFormat::kPlain},    {".log", DocumentFormat::kPlain}};

struct Line {
  size_t begin, end;  // without the newline
};

bool blank(std::string_view s) { return s.find_first_not_of(" \t\f\v") == std::string_view::npos; }

std::string_view trimmed(std::string_view s) {
  const size_t a = s.find_first_not_of(" \t");
  if (a == std::string_view::npos) return {};
  return s.substr(a, s.find_last_not_of(" \t") - a + 1);
}

// Level of an ATX heading ("## Title ##"), its inner text in `inner`; 0 when it is none.
int atx_heading(std::string_view line, std::string_view& inner) {
  const size_t indent = line.find_first_not_of(' ');
  if (indent == std::string_view::npos || indent > 3) return 0;
  std::string_view rest = line.substr(indent);
  const size_t level = std::min(rest.find_first_not_of('#'), rest.size());
  if (level < 1 || level > 6) return 0;
  rest.remove_prefix(level);
  if (!rest.empty() && rest[0] != ' ' && rest[0] != '\t') return 0;
  rest = trimmed(rest);
  if (const size_t last = rest.find_last_not_of('#'); last == std::string_view::npos)
    rest = {};
  else if (last + 1 < rest.size() && rest[last] == ' ')
    rest = trimmed(rest.substr(0, last));
  inner = rest;
  return static_cast<int>(level);
}

int setext_level(std::string_view line) {
  const std::string_view s = trimmed(line);
  if (s.size() < 2) return 0;
  if (s.find_first_not_of('=') == std::string_view::npos) return 1;
  if (s.find_first_not_of('-') == std::string_view::npos) return 2;
  return 0;
}

// "```" or "~~~" of at least three; the run is returned so that its end can be matched.
std::string_view fence_of(std::string_view line) {
  const std::string_view s = trimmed(line);
  for (const char c : {'`', '~'}) {
    const size_t n = std::min(s.find_first_not_of(c), s.size());
    if (n >= 3) return s.substr(0, n);
  }
  return {};
}

class MarkdownReader {
 public:
  MarkdownReader(Document& document, bool markdown) : doc_(document), markdown_(markdown) {
    const std::string_view text = doc_.text;
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find('\n', start), text.size());
      lines_.push_back({start, end});
      start = end + 1;
    }
  }

  void read() {
    size_t i = markdown_ ? skip_front_matter() : 0;
    while (i < lines_.size()) i = block(i);
  }

 private:
  std::string_view at(size_t i) const {
    return std::string_view(doc_.text).substr(lines_[i].begin, lines_[i].end - lines_[i].begin);
  }

  size_t skip_front_matter() {
    if (lines_.empty() || at(0) != "---") return 0;
    for (size_t i = 1; i < lines_.size(); ++i) {
      if (at(i) != "---" && at(i) != "...") continue;
      for (size_t j = 1; j < i; ++j) {
        if (!at(j).starts_with("title:")) continue;
        std::string_view title = trimmed(at(j).substr(6));
        if (title.size() > 1 && (title[0] == '"' || title[0] == '\'') && title.back() == title[0])
          title = title.substr(1, title.size() - 2);
        doc_.title = title;
      }
      return i + 1;
    }
    return 0;
  }

  void add(size_t first, size_t last, int heading, bool preformatted) {
    doc_.blocks.push_back({heading, preformatted, lines_[first].begin, lines_[last].end});
  }
  void add_heading(int level, std::string_view inner) {
    if (inner.empty()) return;
    const auto begin = static_cast<uint64_t>(inner.data() - doc_.text.data());
    doc_.blocks.push_back({level, false, begin, begin + inner.size()});
  }

  // Reads the block that starts at line i; returns the line behind it.
  size_t block(size_t i) {
    if (blank(at(i))) return i + 1;
    if (!markdown_) return paragraph(i);
    if (const std::string_view fence = fence_of(at(i)); !fence.empty()) {
      size_t j = i + 1;
      while (j < lines_.size() && !fence_of(at(j)).starts_with(fence)) ++j;
      add(i, std::min(j, lines_.size() - 1), 0, true);
      return j + 1;
    }
    std::string_view inner;
    if (const int level = atx_heading(at(i), inner)) {
      add_heading(level, inner);
      return i + 1;
    }
    if (i + 1 < lines_.size() && !trimmed(at(i)).starts_with("|"))
      if (const int level = setext_level(at(i + 1))) {
        add_heading(level, trimmed(at(i)));
        return i + 2;
      }
    return paragraph(i);
  }

  size_t paragraph(size_t i) {
    const bool table = markdown_ && trimmed(at(i)).starts_with("|");
    std::string_view inner;
    size_t j = i + 1;
    while (j < lines_.size() && !blank(at(j)) &&
           !(markdown_ && (atx_heading(at(j), inner) || !fence_of(at(j)).empty())))
      ++j;
    add(i, j - 1, 0, table);
    return j;
  }

  Document& doc_;
  bool markdown_;
  std::vector<Line> lines_;
};

}  // namespace

std::optional<DocumentFormat> document_format(const fs::path& path) {
  std::string e = path.extension().string();
  std::ranges::transform(e, e.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto found = std::ranges::find(kEndings, std::string_view(e), &Ending::text);
  return found == std::end(kEndings) ? std::nullopt : std::optional(found->format);
}

std::string document_endings() {
  std::string all;
  for (const Ending& e : kEndings) all += fmt::format("{}{}", all.empty() ? "" : " ", e.text);
  return all;
}

Document parse_document(std::string text, DocumentFormat format) {
  Document document;
  if (format == DocumentFormat::kHtml) {
    document = parse_html(text);
  } else {
    document.text = std::move(text);
    MarkdownReader(document, format == DocumentFormat::kMarkdown).read();
  }
  if (document.title.empty())
    for (const Block& b : document.blocks)
      if (b.heading) {
        document.title = document.text_of(b);
        break;
      }
  return document;
}

Result<Document> read_document(const fs::path& path, uint64_t limit) {
  const auto format = document_format(path);
  if (!format)
    return with_hint(bad_input("{}: not a document that can be read", path.string()),
                     "Use Markdown, HTML or plain text");
  SLLM_TRY(DecodedText decoded, read_text(path, limit));
  return parse_document(std::move(decoded.text), *format);
}

}  // namespace sllm
