// What was typed, shared by all commands: checked numbers, and standard input.
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "cli/command.h"

namespace sllm::cli {
namespace {

CLI::Validator number(const char* wanted, bool (*fits)(double)) {
  const auto check = [wanted, fits](std::string& text) -> std::string {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (!text.empty() && *end == '\0' && std::isfinite(value) && fits(value)) return {};
    return fmt::format("{} is not {}", text, wanted);
  };
  return CLI::Validator(check, "");
}

// More of standard input behind `text`; false at its end and when a stop is requested.
bool read_more(std::string& text) {
  char bytes[1 << 16];
  ssize_t n;
  do n = ::read(STDIN_FILENO, bytes, sizeof bytes);
  while (n < 0 && errno == EINTR && !stop_requested());
  if (n > 0) text.append(bytes, static_cast<size_t>(n));
  return n > 0;
}

std::string unread;  // read_line's, behind the line that it returned

}  // namespace

bool read_line(std::string& line) {
  size_t end, searched = 0;
  while ((end = unread.find('\n', searched)) == std::string::npos) {
    searched = unread.size();
    if (read_more(unread)) continue;
    if (unread.empty() || stop_requested()) return false;
    line = std::exchange(unread, {});
    return true;
  }
  line = unread.substr(0, end);
  unread.erase(0, end + 1);
  return true;
}

std::string read_input() {
  std::string text = std::exchange(unread, {});
  while (read_more(text)) continue;
  return text;
}

Status check_stop() {
  if (const int signal = stop_requested())
    return make_error(static_cast<ErrorCode>(128 + signal), "interrupted");
  return ok();
}

CLI::Validator positive() {
  return number("a number above 0", [](double x) { return x > 0; });
}

CLI::Validator not_negative() {
  return number("0 or a number above it", [](double x) { return x >= 0; });
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace sllm::cli
