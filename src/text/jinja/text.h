// Text that knows where each byte came from: the template (0) or one of the values given to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sllm::jinja {

using Origin = uint32_t;
inline constexpr Origin kTemplate = 0;
// Set beside the origin of bytes that a {% generation %} block wrote: what the assistant speaks.
inline constexpr Origin kSpoken = Origin{1} << 31;

class Text {
 public:
  struct Run {
    size_t end;
    Origin origin;
  };

  Text() = default;
  Text(std::string_view bytes, Origin origin) { append(bytes, origin); }

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, size_t from, size_t to);

  std::string_view view() const { return bytes_; }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  Text slice(size_t from, size_t to) const;
  void speak();  // sets kSpoken everywhere
  // Python's Markup: what was escaped or called safe; joined to other text, it escapes that.
  bool markup() const { return markup_; }
  Text& set_markup(bool markup = true) { return markup_ = markup, *this; }
  const std::vector<Run>& runs() const { return runs_; }  // cover all bytes, in order
  Origin origin_at(size_t byte) const;
  // What new bytes that stand for bytes at `byte` should say; the template's when empty.
  Origin origin_near(size_t byte) const {
    return empty() ? kTemplate : origin_at(byte < size() ? byte : size() - 1);
  }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  bool markup_ = false;
};

// Code points, as Python counts.
size_t count_chars(std::string_view text);
// Byte offset of the character with this index; text.size() when there are fewer.
size_t byte_of_char(std::string_view text, size_t index);
// White space as str.isspace and str.strip see it.
bool is_python_space(char32_t code);
Text strip(const Text& text, bool left, bool right, std::string_view chars, bool has_chars);
std::vector<Text> split_lines(const Text& text, bool keep_ends = false);
Text replace(const Text& text, const Text& from, const Text& to, int64_t count);
Text to_upper(const Text& text);
Text to_lower(const Text& text);
Text fold_case(const Text& text);                  // str.casefold
Text to_title(const Text& text, bool only_first);  // str.title / str.capitalize
// As Markup; & < > ' " become entities unless the text is Markup already.
Text escape_html(const Text& text);
// std::string_view::find in linear time.
// Both are linear in the text's length, whatever is looked for.
size_t rfind_in(std::string_view text, std::string_view what);
size_t find_in(std::string_view text, std::string_view what, size_t from = 0);

}  // namespace sllm::jinja
