// Chunking by blocks; blocks that are too long are cut at line ends or sentence ends.
#include "ground/chunker.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>

namespace sllm {
namespace {

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_closing(UChar32 c) {
  return c == '"' || c == '\'' || c == ')' || c == ']' || c == 0x201D || c == 0x2019 ||
         c == 0x300D || c == 0x300F || c == 0x3009 || c == 0x300B;
}

// "e.g. 3", "Dr. Kim", "U.S. law": a stop behind a single letter or a short known form.
bool is_abbreviation(std::string_view before_stop) {
  static constexpr std::array kForms = {"Mr",  "Mrs", "Ms", "Dr",  "Prof", "St",  "vs",  "etc",
                                        "e.g", "i.e", "No", "Fig", "al",   "Inc", "Ltd", "approx"};
  const size_t space = before_stop.find_last_of(" \n\t(");
  const std::string_view word =
      space == std::string_view::npos ? before_stop : before_stop.substr(space + 1);
  if (word.size() == 1 && std::isupper(static_cast<unsigned char>(word[0]))) return true;
  return std::ranges::find(kForms, word) != kForms.end();
}

// Bytes of the longest start of `text` with at most `limit` characters, at a space where there is
// one in its second half.
size_t hard_cut(std::string_view text, size_t limit) {
  size_t bytes = 0, count = 0, last_space = 0;
  while (bytes < text.size() && count < limit) {
    if (text[bytes] == ' ' && count > limit / 2) last_space = bytes + 1;
    ++bytes;
    while (bytes < text.size() && (text[bytes] & 0xC0) == 0x80) ++bytes;
    ++count;
  }
  return bytes < text.size() && last_space ? last_space : bytes;
}

std::vector<size_t> line_lengths(std::string_view text) {
  std::vector<size_t> lengths;
  for (size_t start = 0; start < text.size();) {
    const size_t newline = text.find('\n', start);
    const size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
    lengths.push_back(end - start);
    start = end;
  }
  return lengths;
}

struct Span {
  uint64_t begin, end;
};

// Pieces of one block, each at most max_characters long and ending where a reader would pause.
std::vector<Span> pieces_of(const Document& document, const Block& block,
                            const ChunkOptions& options) {
  const std::string_view text = document.text_of(block);
  if (characters(text) <= options.max_characters) return {{block.begin, block.end}};
  std::vector<Span> pieces;
  uint64_t at = block.begin, start = at;
  size_t held = 0;
  const auto close = [&] {
    if (at > start) pieces.push_back({start, at});
    start = at, held = 0;
  };
  for (const size_t length : block.preformatted ? line_lengths(text) : sentence_lengths(text)) {
    std::string_view unit = std::string_view(document.text).substr(at, length);
    if (held && held + characters(unit) > options.target_characters) close();
    while (characters(unit) > options.max_characters) {
      const size_t cut = hard_cut(unit, options.target_characters);
      at += cut;
      unit.remove_prefix(cut);
      close();
    }
    at += unit.size();
    held += characters(unit);
  }
  close();
  return pieces;
}

class Chunker {
 public:
  Chunker(const Document& document, std::string name, const ChunkOptions& options)
      : doc_(document), name_(std::move(name)), options_(options) {}

  std::vector<Chunk> run() {
    for (const Block& block : doc_.blocks) {
      if (block.heading) {
        close();
        enter(block);
        continue;
      }
      for (const Span piece : pieces_of(doc_, block, options_)) add(piece);
    }
    close();
    return std::move(chunks_);
  }

 private:
  void enter(const Block& block) {
    const auto level = static_cast<size_t>(block.heading);
    headings_.resize(level - 1);
    headings_.emplace_back(doc_.text_of(block));
  }

  void add(Span piece) {
    const auto slice = [&](uint64_t a, uint64_t b) {
      return std::string_view(doc_.text).substr(a, b - a);
    };
    const size_t size = characters(slice(piece.begin, piece.end));
    if (open_ && held_ + size > options_.target_characters) close();
    if (!open_) begin_ = piece.begin, held_ = 0;
    open_ = true;
    end_ = piece.end;
    held_ += size;
  }

  void close() {
    if (!open_) return;
    open_ = false;
    std::string_view text = std::string_view(doc_.text).substr(begin_, end_ - begin_);
    const size_t first = text.find_first_not_of(" \t\n");
    if (first == std::string_view::npos) return;
    const size_t last = text.find_last_not_of(" \t\n");
    Chunk chunk;
    chunk.document = name_;
    chunk.title = doc_.title;
    for (const std::string& h : headings_)
      if (!h.empty()) chunk.heading += (chunk.heading.empty() ? "" : " > ") + h;
    chunk.begin = begin_ + first;
    chunk.end = begin_ + last + 1;
    chunk.text = text.substr(first, last + 1 - first);
    chunks_.push_back(std::move(chunk));
  }

  const Document& doc_;
  std::string name_;
  const ChunkOptions& options_;
  std::vector<std::string> headings_;
  std::vector<Chunk> chunks_;
  bool open_ = false;
  uint64_t begin_ = 0, end_ = 0;
  size_t held_ = 0;
};

}  // namespace

std::vector<size_t> sentence_lengths(std::string_view text) {
  std::vector<size_t> lengths;
  const auto n = static_cast<int64_t>(text.size());
  int64_t start = 0;
  for (int64_t i = 0; i < n;) {
    const int64_t stop_at = i;
    UChar32 c;
    U8_NEXT(text.data(), i, n, c);
    const bool cjk_stop = c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
    const bool stop = c == '.' || c == '!' || c == '?' || c == 0x2026 || cjk_stop;
    if (!stop && c != '\n') continue;
    if (c == '.' && is_abbreviation(text.substr(static_cast<size_t>(start),
                                                static_cast<size_t>(stop_at - start))))
      continue;
    // Closing quotes belong to the sentence; then a space must follow (but for full-width stops).
    for (;;) {
      int64_t next = i;
      UChar32 d = 0;
      if (next < n) U8_NEXT(text.data(), next, n, d);
      if (!is_closing(d) && d != '.' && d != '!' && d != '?') break;
      i = next;
    }
    const bool at_space = i >= n || text[i] == ' ' || text[i] == '\n' || text[i] == '\t';
    if (c != '\n' && !cjk_stop && !at_space) continue;
    while (i < n && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t')) ++i;
    lengths.push_back(static_cast<size_t>(i - start));
    start = i;
  }
  if (start < n) lengths.push_back(static_cast<size_t>(n - start));
  return lengths;
}

std::vector<Chunk> chunk_document(const Document& parsed, std::string document,
                                  const ChunkOptions& options) {
  return Chunker(parsed, std::move(document), options).run();
}

}  // namespace sllm
