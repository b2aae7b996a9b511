// Strings with provenance and the Python string operations that templates use.
#include "text/jinja/text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <cstring>

#include "text/unicode.h"

namespace sllm::jinja {

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().origin == origin)
    runs_.back().end = bytes_.size();
  else
    runs_.push_back({bytes_.size(), origin});
}

void Text::append(const Text& other, size_t from, size_t to) {
  auto run = std::ranges::upper_bound(other.runs_, from, {}, &Run::end);
  const std::string_view bytes = other.bytes_;
  for (; from < to; ++run) {
    const size_t end = std::min(run->end, to);
    append(bytes.substr(from, end - from), run->origin);
    from = end;
  }
}

void Text::speak() {
  for (Run& run : runs_) run.origin |= kSpoken;
}

Text Text::slice(size_t from, size_t to) const {
  Text part;
  part.append(*this, from, to);
  return part;
}

Origin Text::origin_at(size_t byte) const {
  return std::ranges::upper_bound(runs_, byte, {}, &Run::end)->origin;
}

size_t count_chars(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

size_t byte_of_char(std::string_view text, size_t index) {
  size_t byte = 0;
  for (; index > 0 && byte < text.size(); --index)
    byte += unicode::decode(text.data() + byte).length;
  return byte;
}

bool is_python_space(char32_t code) {
  return (code >= 0x1C && code <= 0x1F) || unicode::is_space(code);
}

Text strip(const Text& text, bool left, bool right, std::string_view chars, bool has_chars) {
  const std::string_view bytes = text.view();
  const auto goes = [&](unicode::Char c, const char* at) {
    return has_chars ? chars.find(std::string_view(at, c.length)) != std::string_view::npos
                     : is_python_space(c.code);
  };
  size_t from = 0, to = bytes.size();
  while (left && from < to) {
    const unicode::Char c = unicode::decode(bytes.data() + from);
    if (!goes(c, bytes.data() + from)) break;
    from += c.length;
  }
  while (right && to > from) {
    const unicode::Char c = unicode::decode_before(bytes.data() + to);
    if (!goes(c, bytes.data() + to - c.length)) break;
    to -= c.length;
  }
  return text.slice(from, to);
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  const std::string_view bytes = text.view();
  std::vector<Text> lines;
  size_t start = 0;
  for (size_t i = 0; i < bytes.size();) {
    const unicode::Char c = unicode::decode(bytes.data() + i);
    const bool breaks = (c.code >= 0x0A && c.code <= 0x0D) || (c.code >= 0x1C && c.code <= 0x1E) ||
                        c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
    const size_t at = i;
    i += c.length;
    if (!breaks) continue;
    if (c.code == '\r' && i < bytes.size() && bytes[i] == '\n') ++i;
    lines.push_back(text.slice(start, keep_ends ? i : at));
    start = i;
  }
  if (start < bytes.size()) lines.push_back(text.slice(start, bytes.size()));
  return lines;
}

size_t find_in(std::string_view text, std::string_view what, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* found = ::memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

size_t rfind_in(std::string_view text, std::string_view what) {
  const std::string backwards(text.rbegin(), text.rend()), wanted(what.rbegin(), what.rend());
  const size_t at = find_in(backwards, wanted);
  return at == std::string_view::npos ? at : text.size() - at - what.size();
}

Text replace(const Text& text, const Text& from, const Text& to, int64_t count) {
  const std::string_view bytes = text.view();
  Text result;
  size_t done = 0;
  if (from.empty()) {  // Python puts `to` before every character and at the end
    for (size_t i = 0; count != 0; --count) {
      result.append(to);
      if (i >= bytes.size()) break;
      i += unicode::decode(bytes.data() + i).length;
      result.append(text, done, i);
      done = i;
    }
  } else {
    for (; count != 0; --count) {
      const size_t at = find_in(bytes, from.view(), done);
      if (at == std::string_view::npos) break;
      result.append(text, done, at);
      result.append(to);
      done = at + from.size();
    }
  }
  result.append(text, done, bytes.size());
  return result;
}

namespace {

// Applies an ICU mapping to each run of one origin.
template <class Map>
Text map_runs(const Text& text, Map&& map) {
  Text result;
  size_t from = 0;
  for (const Text::Run& run : text.runs()) {
    icu::UnicodeString s = icu::UnicodeString::fromUTF8(
        icu::StringPiece(text.bytes().data() + from, static_cast<int32_t>(run.end - from)));
    std::string mapped;
    map(s).toUTF8String(mapped);
    result.append(mapped, run.origin);
    from = run.end;
  }
  return result;
}

std::string title_of(UChar32 code) {
  std::string mapped;
  unicode::append_utf8(mapped, static_cast<char32_t>(u_totitle(code)));
  return mapped;
}

}  // namespace

Text to_upper(const Text& text) {
  return map_runs(text, [](icu::UnicodeString& s) { return s.toUpper(icu::Locale::getRoot()); });
}
Text to_lower(const Text& text) {
  return map_runs(text, [](icu::UnicodeString& s) { return s.toLower(icu::Locale::getRoot()); });
}

Text fold_case(const Text& text) {
  return map_runs(text, [](icu::UnicodeString& s) { return s.foldCase(); });
}

Text escape_html(const Text& text) {
  if (text.markup()) return text;
  Text result;
  const std::string_view bytes = text.view();
  for (size_t from = 0; from < bytes.size();) {
    const size_t at = std::min(bytes.find_first_of("&<>'\"", from), bytes.size());
    result.append(text, from, at);
    if (at == bytes.size()) break;
    result.append(bytes[at] == '&'    ? "&amp;"
                  : bytes[at] == '<'  ? "&lt;"
                  : bytes[at] == '>'  ? "&gt;"
                  : bytes[at] == '\'' ? "&#39;"
                                      : "&#34;",
                  text.origin_at(at));
    from = at + 1;
  }
  return result.set_markup();
}

Text to_title(const Text& text, bool only_first) {
  Text result;
  bool starts_word = true;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.bytes().data() + i);
    const auto code = static_cast<UChar32>(c.code);
    const Text one = text.slice(i, i + c.length);
    if (!starts_word)
      result.append(to_lower(one));
    else if (u_totitle(code) != code || code < 0x80)
      result.append(title_of(code), one.origin_at(0));
    else  // letters whose capital is more than one character: \u0149 becomes \u02BCN
      result.append(map_runs(one, [](icu::UnicodeString& s) {
        return s.toTitle(nullptr, icu::Locale::getRoot(), U_TITLECASE_NO_BREAK_ADJUSTMENT);
      }));
    starts_word = !only_first && !u_hasBinaryProperty(code, UCHAR_CASED);
    i += c.length;
  }
  return result;
}

}  // namespace sllm::jinja
