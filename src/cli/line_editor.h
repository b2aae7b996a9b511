// Reads messages from a terminal: UTF-8 with wide characters (Hangul takes two columns), history,
// and pastes of many lines as one message (bracketed paste). Off a terminal: one line a message.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sllm::cli {

class LineEditor {
 public:
  enum class End { kLine, kInterrupt, kEndOfInput };
  struct Input {
    End end;
    std::string text;
  };
  Input read(const std::string& prompt);

 private:
  std::vector<std::string> history_;
};

// Columns that a UTF-8 text takes on a terminal.
int display_width(const std::string& text);
// Byte positions before and after one character; `at` and the result lie on character boundaries.
size_t previous_character(const std::string& text, size_t at);
size_t next_character(const std::string& text, size_t at);

}  // namespace sllm::cli
