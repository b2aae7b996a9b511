// CSV (RFC 4180) as people and spreadsheets write it: quoted fields with line breaks, "" for a
// quote, CRLF, and comma, semicolon or tab told apart by the header.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm {

struct CsvRow {
  std::vector<std::string> fields;
  size_t line = 0;  // 1-based line on which the row starts
};

class CsvReader {
 public:
  // `separator` 0: the one of , ; and tab that the first line has most of.
  explicit CsvReader(std::string_view text, char separator = 0);
  // False at the end. Blank lines are passed over. Errors: kBadInput "line N: ..." for a quote that
  // is never closed or text behind a closing quote; the reader then stands behind the bad line.
  Result<bool> next(CsvRow& row);
  char separator() const { return separator_; }

 private:
  Result<std::string> field();
  Error skip_line(Error error);

  std::string_view text_;
  size_t at_ = 0, line_ = 1;
  char separator_;
};

}  // namespace sllm
