// A CSV reader over text in memory; one pass, no copies but the fields.
#include "data/csv.h"

#include <algorithm>

namespace sllm {

CsvReader::CsvReader(std::string_view text, char separator) : text_(text), separator_(separator) {
  if (separator_) return;
  const std::string_view header = text.substr(0, text.find('\n'));
  separator_ = ',';
  for (const char c : {';', '\t'})
    if (std::ranges::count(header, c) > std::ranges::count(header, separator_)) separator_ = c;
}

Error CsvReader::skip_line(Error error) {
  const size_t end = text_.find('\n', at_);
  at_ = end == std::string_view::npos ? text_.size() : end + 1;
  ++line_;
  return error;
}

Result<std::string> CsvReader::field() {
  std::string out;
  if (at_ >= text_.size() || text_[at_] != '"') {
    const size_t end = text_.find_first_of(std::string{separator_, '\n'}, at_);
    out = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
    at_ = end == std::string_view::npos ? text_.size() : end;
    return out;
  }
  const size_t opened_at = at_++, opened_line = line_;
  for (;;) {
    const size_t quote = text_.find('"', at_);
    if (quote == std::string_view::npos) {
      // Go back, so that one bad quote costs one line and not the rest of the file.
      at_ = opened_at, line_ = opened_line;
      return skip_line(bad_input("line {}: a quote is opened and never closed", opened_line));
    }
    const std::string_view piece = text_.substr(at_, quote - at_);
    line_ += static_cast<size_t>(std::ranges::count(piece, '\n'));
    out += piece;
    at_ = quote + 1;
    if (at_ >= text_.size() || text_[at_] == separator_ || text_[at_] == '\n') return out;
    if (text_[at_] != '"') {
      const char after = text_[at_];
      return skip_line(
          bad_input("line {}: '{}' behind a closing quote, expected '{}' (a quote "
                    "inside a field is written twice)",
                    line_, after, separator_));
    }
    out += '"';
    ++at_;
  }
}

Result<bool> CsvReader::next(CsvRow& row) {
  while (at_ < text_.size() && text_[at_] == '\n') ++at_, ++line_;
  row.fields.clear();
  row.line = line_;
  if (at_ >= text_.size()) return false;
  for (;;) {
    SLLM_TRY(std::string value, field());
    row.fields.push_back(std::move(value));
    if (at_ >= text_.size()) return true;
    if (text_[at_++] == '\n') {
      ++line_;
      return true;
    }
  }
}

}  // namespace sllm
