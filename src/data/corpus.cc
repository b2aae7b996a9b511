#include "data/corpus.h"

#include <algorithm>

#include "data/charset.h"
#include "data/document.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Take = std::function<Status(std::string_view)>;

constexpr size_t kBytesBetweenReports = size_t{1} << 20;
constexpr size_t kLongestPart = 32;  // times the least

// Words of every pre-tokenizer end between a letter or digit and a line's end, and none of them
// looks back, so what follows is cut as if a text began there. Where no such place comes for long,
// any space will do: one word there may be counted as two.
size_t part_length(std::string_view text, size_t least) {
  least = std::max<size_t>(least, 2);  // a character before the line's end
  const std::string_view window = text.substr(0, kLongestPart * least);
  for (size_t at = window.find('\n', least); at != std::string_view::npos;
       at = window.find('\n', at + 1)) {
    const size_t end = text[at - 1] == '\r' ? at - 1 : at;
    const auto last = unicode::class_of(unicode::decode_before(text.data() + end).code);
    if (last == unicode::Class::kLetter || last == unicode::Class::kNumber) return end;
  }
  if (window.size() == text.size()) return text.size();
  if (const size_t space = window.find_last_of(" \n"); space != std::string_view::npos && space > 0)
    return space;
  size_t end = window.size();
  while ((static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

size_t line_length(std::string_view text) {
  const size_t newline = text.find('\n');
  return newline == std::string_view::npos ? text.size() : newline + 1;
}

class CorpusReader {
 public:
  CorpusReader(const std::vector<fs::path>& files, const CorpusOptions& options, const Take& take,
               const ProgressSink& progress)
      : files_(files), options_(options), take_(take), progress_(progress) {}

  Status read() {
    std::vector<uint64_t> sizes;
    for (const fs::path& path : files_) {
      std::error_code missing;  // which reading it reports
      const uintmax_t size = fs::file_size(path, missing);
      sizes.push_back(missing ? 0 : size);
      total_ += sizes.back();
    }
    for (size_t i = 0; i < files_.size(); ++i) {
      file_end_ += sizes[i];
      const auto format = document_format(files_[i]);
      SLLM_OK(format ? read_document_file(files_[i], *format) : read_rows(files_[i]));
      done_ = file_end_;
      SLLM_OK(report());
    }
    return ok();
  }

 private:
  Status read_rows(const fs::path& path) {
    return each_example(path, options_.read, nullptr, [&](const Example& example) -> Status {
      if (!example.text.empty()) SLLM_OK(give(example.text));
      for (const Message& message : example.messages)
        if (!message.content.empty()) SLLM_OK(give(message.content));
      return ok();
    });
  }

  // HTML is read whole, for what a reader sees of it has to be found first.
  Status read_document_file(const fs::path& path, DocumentFormat format) {
    if (format == DocumentFormat::kHtml) {
      SLLM_TRY(DecodedText html, read_text(path));
      return give_parts(parse_document(std::move(html.text), format).text);
    }
    SLLM_TRY(const TextFile file, TextFile::open(path));
    return give_parts(file.text());
  }

  Status give_parts(std::string_view text) {
    while (!text.empty()) {
      const size_t length =
          options_.by_line ? line_length(text) : part_length(text, options_.part_bytes);
      SLLM_OK(give(text.substr(0, length)));
      text.remove_prefix(length);
    }
    return ok();
  }

  Status give(std::string_view text) {
    done_ = std::min(done_ + text.size(), file_end_);
    unreported_ += text.size();
    if (text.find('\r') == std::string_view::npos) {
      SLLM_OK(take_(text));
    } else {
      unix_.clear();
      for (size_t i = 0; i < text.size(); ++i)
        if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') unix_ += text[i];
      SLLM_OK(take_(unix_));
    }
    return unreported_ < kBytesBetweenReports ? ok() : report();
  }

  Status report() {
    unreported_ = 0;
    if (progress_) progress_({"reading", "bytes", done_, total_, {}});
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while reading");
    return ok();
  }

  const std::vector<fs::path>& files_;
  const CorpusOptions& options_;
  const Take& take_;
  const ProgressSink& progress_;
  uint64_t total_ = 0, file_end_ = 0, done_ = 0, unreported_ = 0;
  std::string unix_;
};

}  // namespace

Status each_text(const std::vector<fs::path>& files, const CorpusOptions& options, const Take& take,
                 const ProgressSink& progress) {
  return CorpusReader(files, options, take, progress).read();
}

}  // namespace sllm
