// Text normalisation with ICU, and the checks on one example.
#include "data/clean.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "text/unicode.h"

namespace sllm {
namespace {

bool removed(UChar32 c) {
  if (c == '\n' || c == '\t' || c == 0x200C || c == 0x200D) return false;  // joiners carry meaning
  const int8_t type = u_charType(c);
  return type == U_CONTROL_CHAR || type == U_FORMAT_CHAR || type == U_SURROGATE ||
         type == U_UNASSIGNED;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string clean_text(std::string_view text) {
  const std::string composed =
      unicode::normalize(unicode::Form::kNfc, unicode::sanitize_utf8(text));
  if (composed.size() > INT32_MAX) return composed;  // ICU's lengths; too long anyway
  std::string out;
  out.reserve(composed.size());
  const auto drop_trailing_space = [&] {
    while (!out.empty() && (out.back() == ' ' || out.back() == '\t')) out.pop_back();
  };
  for (int32_t i = 0, n = static_cast<int32_t>(composed.size()); i < n;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(composed.data(), i, n, c);
    if (c < 0 || removed(c)) continue;
    if (c == '\n') drop_trailing_space();
    if (c == 0x00A0 || c == 0x3000)
      out += ' ';
    else
      out.append(composed, static_cast<size_t>(start), static_cast<size_t>(i - start));
  }
  drop_trailing_space();
  while (!out.empty() && out.back() == '\n') out.pop_back();
  drop_trailing_space();
  out.erase(0, std::min(out.find_first_not_of('\n'), out.size()));
  return out;
}

std::string clean_example(Example& example, const ImportOptions& options) {
  size_t characters = 0;
  if (example.messages.empty()) {
    example.text = clean_text(example.text);
    characters = count_characters(example.text);
    if (characters < options.min_characters) return characters ? "too short" : "empty text";
    return characters > options.max_characters ? "too long" : "";
  }
  bool spoken = false;
  for (size_t i = 0; i < example.messages.size(); ++i) {
    Message& m = example.messages[i];
    m.content = clean_text(m.content);
    const size_t n = count_characters(m.content);
    characters += n;
    const bool calls = m.extra.is_object() && m.extra.contains("tool_calls");
    if (m.role == "system" && i > 0) return "system message is not first";
    if (m.role == "user" && n == 0) return "empty user message";
    if (m.role == "assistant") {
      if (i == 0 || (i == 1 && example.messages[0].role == "system"))
        return "assistant speaks first";
      if (n == 0 && !calls) return "empty assistant message";
      if (n < options.min_characters && !calls) return "too short";
      spoken = true;
    }
  }
  if (!spoken) return "no assistant turn";
  return characters > options.max_characters ? "too long" : "";
}

std::string language_of(std::string_view text) {
  size_t hangul = 0, latin = 0, letters = 0;
  for (int32_t i = 0, n = static_cast<int32_t>(std::min<size_t>(text.size(), 1 << 16)); i < n;) {
    UChar32 c;
    U8_NEXT(text.data(), i, n, c);
    if (c < 0 || !u_isalpha(c)) continue;
    ++letters;
    hangul += (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x1100 && c <= 0x11FF) ||
              (c >= 0x3131 && c <= 0x318E);
    latin += c < 0x250;
  }
  if (hangul * 5 >= letters && hangul) return "ko";
  return latin * 2 > letters ? "en" : "other";
}

}  // namespace sllm
