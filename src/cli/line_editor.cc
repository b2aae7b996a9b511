// A small line editor for `sllm chat`; see line_editor.h.
#include "cli/line_editor.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include <clocale>
#include <iostream>

#include "cli/command.h"

namespace sllm::cli {
namespace {

// Raw mode with bracketed paste for as long as it lives.
class RawMode {
 public:
  RawMode() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | IXON);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    std::cout << "\x1b[?2004h" << std::flush;
  }
  ~RawMode() {
    std::cout << "\x1b[?2004l" << std::flush;
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

 private:
  termios before_{};
};

int read_byte() {
  unsigned char c;
  return ::read(STDIN_FILENO, &c, 1) == 1 ? c : -1;
}

// The rest of an escape sequence: "[A", "[200~", "OH", "\r" ...
std::string read_escape() {
  std::string sequence;
  int c = read_byte();
  if (c < 0) return sequence;
  sequence += static_cast<char>(c);
  if (c != '[' && c != 'O') return sequence;
  do {
    c = read_byte();
    if (c < 0) return sequence;
    sequence += static_cast<char>(c);
  } while (c < 0x40 || c > 0x7e);
  return sequence;
}

int columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Where the cursor stands after `text` was printed from column 0: (row, column).
struct Place {
  int row = 0, column = 0;
};
Place place_after(const std::string& text) {
  const int width = columns();
  Place place;
  for (size_t i = 0; i < text.size();) {
    const size_t next = next_character(text, i);
    if (text[i] == '\n') {
      ++place.row, place.column = 0;
    } else {
      const int w = display_width(text.substr(i, next - i));
      if (place.column + w > width) ++place.row, place.column = 0;
      place.column += w;
    }
    i = next;
  }
  if (place.column == width) ++place.row, place.column = 0;
  return place;
}

// Redraws prompt and text; remembers on which row of it the cursor was left.
class Screen {
 public:
  void draw(const std::string& prompt, const std::string& text, size_t cursor) {
    std::string out = "\r";
    if (row_ > 0) out += "\x1b[" + std::to_string(row_) + "A";
    out += "\x1b[J" + prompt;
    for (char c : text) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
    const Place end = place_after(prompt + text);
    if (end.column == 0 && !text.empty() && text.back() != '\n') out += "\r\n";
    const Place at = place_after(prompt + text.substr(0, cursor));
    if (end.row > at.row) out += "\x1b[" + std::to_string(end.row - at.row) + "A";
    out += "\r";
    if (at.column > 0) out += "\x1b[" + std::to_string(at.column) + "C";
    row_ = at.row;
    std::cout << out << std::flush;
  }

 private:
  int row_ = 0;
};

}  // namespace

int display_width(const std::string& text) {
  static const bool utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;
  if (!utf8) return static_cast<int>(text.size());
  int width = 0;
  std::mbstate_t state{};
  for (size_t i = 0; i < text.size();) {
    wchar_t c;
    const size_t n = std::mbrtowc(&c, text.data() + i, text.size() - i, &state);
    if (n == 0 || n > text.size() - i) {
      state = {}, ++i, ++width;
      continue;
    }
    width += std::max(::wcwidth(c), 0);
    i += n;
  }
  return width;
}

size_t previous_character(const std::string& text, size_t at) {
  if (at == 0) return 0;
  do --at;
  while (at > 0 && (text[at] & 0xc0) == 0x80);
  return at;
}

size_t next_character(const std::string& text, size_t at) {
  if (at >= text.size()) return text.size();
  do ++at;
  while (at < text.size() && (text[at] & 0xc0) == 0x80);
  return at;
}

LineEditor::Input LineEditor::read(const std::string& prompt) {
  if (!::isatty(STDIN_FILENO) || !::isatty(STDOUT_FILENO)) {
    std::string line;
    if (!read_line(line)) return {End::kEndOfInput, ""};
    return {End::kLine, line};
  }
  const RawMode raw;
  Screen screen;
  std::string text;
  size_t cursor = 0, shown = history_.size();
  bool pasting = false;
  const auto insert = [&](char c) { text.insert(cursor++, 1, c); };
  const auto recall = [&](size_t index) {
    shown = index;
    text = index < history_.size() ? history_[index] : "";
    cursor = text.size();
  };
  const auto finish = [&](End end) {
    screen.draw(prompt, text, text.size());
    std::cout << "\r\n" << std::flush;
    if (end == End::kLine && !text.empty()) history_.push_back(text);
    return Input{end, end == End::kLine ? text : ""};
  };
  for (;;) {
    // Half a character is not drawn: its other bytes follow at once.
    const size_t start = cursor == 0 ? 0 : previous_character(text, cursor);
    const auto lead = static_cast<unsigned char>(cursor ? text[start] : 0);
    const size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (!pasting && (cursor == 0 || cursor - start >= wanted)) screen.draw(prompt, text, cursor);
    const int c = read_byte();
    if (c < 0) return finish(End::kEndOfInput);
    if (c == 0x1b) {
      const std::string key = read_escape();
      if (key == "[200~") pasting = true;
      if (key == "[201~") pasting = false;
      if (key == "\r") insert('\n');  // Alt-Enter: a new line in the message
      if (key == "[D") cursor = previous_character(text, cursor);
      if (key == "[C") cursor = next_character(text, cursor);
      if (key == "[A" && shown > 0) recall(shown - 1);
      if (key == "[B" && shown < history_.size()) recall(shown + 1);
      if (key == "[H" || key == "OH" || key == "[1~") cursor = 0;
      if (key == "[F" || key == "OF" || key == "[4~") cursor = text.size();
      if (key == "[3~") text.erase(cursor, next_character(text, cursor) - cursor);
    } else if (pasting) {
      insert(c == '\r' ? '\n' : static_cast<char>(c));
    } else if (c == '\r' || c == '\n') {
      return finish(End::kLine);
    } else if (c == 3) {  // Ctrl-C
      return finish(End::kInterrupt);
    } else if (c == 4 && text.empty()) {  // Ctrl-D
      return finish(End::kEndOfInput);
    } else if (c == 127 || c == 8) {
      const size_t from = previous_character(text, cursor);
      text.erase(from, cursor - from);
      cursor = from;
    } else if (c == 1) {  // Ctrl-A
      cursor = 0;
    } else if (c == 5) {  // Ctrl-E
      cursor = text.size();
    } else if (c == 21) {  // Ctrl-U
      text.erase(0, cursor);
      cursor = 0;
    } else if (c >= 32) {
      insert(static_cast<char>(c));
    }
  }
}

}  // namespace sllm::cli
