// The lexer (jinja2/lexer.py; trim_blocks and lstrip_blocks on, as transformers sets them).
#include "text/jinja/lexer.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/unicode.h"

namespace sllm::jinja {

void fail_at(int line, const std::string& what) {
  throw TemplateError(fmt::format("line {}: {}", line, what));
}

namespace {

using Type = Token::Type;

// All line ends become \n and, unless kept, one at the end goes.
std::string normalize_newlines(std::string_view source, bool keep_last) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!keep_last && out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, Whitespace whitespace)
      : source_(normalize_newlines(source, whitespace == Whitespace::kPlain)),
        trims_(whitespace == Whitespace::kChat) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) template_data();
    add(Type::kEnd, "");
    return std::move(tokens_);
  }

 private:
  bool sees(std::string_view what) const {
    return std::string_view(source_).substr(at_).starts_with(what);
  }
  void advance(size_t n) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(at_ + n), '\n'));
    at_ += n;
  }
  void add(Type type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }
  void skip_space() {
    size_t n = 0;
    while (at_ + n < source_.size()) {
      const unicode::Char c = unicode::decode(source_.data() + at_ + n);
      if (!is_python_space(c.code)) break;
      n += c.length;
    }
    advance(n);
  }

  // Text up to the next "{{", "{%" or "{#", then that construct.
  void template_data() {
    size_t open = at_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        open = source_.size();
        break;
      }
      if (const char c = source_[open + 1]; c == '{' || c == '%' || c == '#') break;
      ++open;
    }
    if (open == source_.size()) return data(open, '+', false);
    const char kind = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
    data(open, sign, kind != '{');
    advance(sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#') return comment();
    if (kind == '{') {
      add(Type::kVariableBegin, "");
      return expression("}}", Type::kVariableEnd);
    }
    if (raw_block()) return;
    add(Type::kBlockBegin, "");
    expression("%}", Type::kBlockEnd);
  }

  // Emits data up to `to`, stripped on the right as the construct behind it asks.
  void data(size_t to, char sign, bool lstrip_blocks) {
    std::string_view text = std::string_view(source_).substr(at_, to - at_);
    const bool line_starting = at_ == 0 || source_[at_ - 1] == '\n';
    if (sign == '-') {
      while (!text.empty()) {
        const unicode::Char c = unicode::decode_before(text.data() + text.size());
        if (!is_python_space(c.code)) break;
        text.remove_suffix(c.length);
      }
    } else if (sign != '+' && trims_ && lstrip_blocks) {
      const size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
      if ((line > 0 || line_starting) && all_space(text.substr(line))) text = text.substr(0, line);
    }
    if (!text.empty()) add(Type::kData, std::string(text));
    advance(to - at_);
  }

  static bool all_space(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
      const unicode::Char c = unicode::decode(text.data() + i);
      if (!is_python_space(c.code)) return false;
      i += c.length;
    }
    return true;
  }

  // At the end mark of a block or comment: "-" strips what follows, "+" keeps it, a bare one eats
  // one line break.
  bool close(std::string_view mark) {
    if (source_[at_] == '-' && source_.compare(at_ + 1, 2, mark) == 0) {
      advance(3);
      skip_space();
    } else if (mark != "}}" && source_[at_] == '+' && source_.compare(at_ + 1, 2, mark) == 0) {
      advance(3);
    } else if (sees(mark)) {
      advance(2);
      if (trims_ && mark != "}}" && sees("\n")) advance(1);
    } else {
      return false;
    }
    return true;
  }

  void comment() {
    const int begin = line_;
    while (at_ < source_.size()) {
      if (close("#}")) return;
      advance(1);
    }
    fail_at(begin, "Missing end of comment tag");
  }

  bool raw_block() {
    const size_t start = at_;
    const int begin = line_;
    const auto keyword = [this](std::string_view word) {
      skip_space();
      if (!sees(word)) return false;
      advance(word.size());
      return true;
    };
    if (!keyword("raw")) return rewind(start, begin);
    skip_space();
    if (sees("-%}")) {
      advance(3);
      skip_space();
    } else if (sees("%}")) {
      advance(2);
    } else {
      return rewind(start, begin);
    }
    for (size_t end = at_; (end = source_.find("{%", end)) != std::string::npos; end += 2) {
      const size_t body = at_;
      const int body_line = line_;
      const char sign = end + 2 < source_.size() ? source_[end + 2] : ' ';
      advance(end - at_ + (sign == '-' || sign == '+' ? 3 : 2));
      if (keyword("endraw")) {
        skip_space();
        const size_t after = at_;
        const int after_line = line_;
        rewind(body, body_line);
        data(end, sign, true);
        rewind(after, after_line);
        if (at_ < source_.size() && close("%}")) return true;
      }
      rewind(body, body_line);
    }
    fail_at(begin, "Missing end of raw directive");
  }
  bool rewind(size_t at, int line) {
    at_ = at;
    line_ = line;
    return false;
  }

  void expression(std::string_view end_mark, Type end_type) {
    const int begin = line_;
    std::string open;  // brackets that wait for their partner
    while (true) {
      skip_space();
      if (at_ >= source_.size()) fail_at(begin, "unexpected end of template");
      if (open.empty()) {
        const int line = line_;
        if (close(end_mark)) {
          tokens_.push_back({end_type, "", line});
          return;
        }
      }
      const char c = source_[at_];
      if (c == '\'' || c == '"')
        string(c);
      else if (c >= '0' && c <= '9')
        number();
      else if (is_name_start())
        name();
      else
        operator_token(open);
    }
  }

  bool is_name_start() const {
    const unicode::Char c = unicode::decode(source_.data() + at_);
    return c.code == '_' || (unicode::is_word(c.code) && !(c.code >= '0' && c.code <= '9'));
  }

  void name() {
    size_t end = at_;
    while (end < source_.size()) {
      const unicode::Char c = unicode::decode(source_.data() + end);
      if (!unicode::is_word(c.code)) break;
      end += c.length;
    }
    add(Type::kName, source_.substr(at_, end - at_));
    advance(end - at_);
  }

  void number() {
    std::string digits;
    size_t end = at_;
    const auto take = [&](auto&& good) {
      const size_t before = end;
      while (end < source_.size() &&
             (good(source_[end]) || (source_[end] == '_' && end > before &&
                                     end + 1 < source_.size() && good(source_[end + 1])))) {
        if (source_[end] != '_') digits += source_[end];
        ++end;
      }
      return end > before;
    };
    const auto decimal = [](char c) { return c >= '0' && c <= '9'; };
    const char second = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    int base = 10;
    bool real = false;
    if (source_[at_] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      base = second == 'x' ? 16 : second == 'o' ? 8 : 2;
      end += 2;
      take([base](char c) {
        const int v = c >= '0' && c <= '9' ? c - '0'
                      : (c | 0x20) >= 'a'  ? (c | 0x20) - 'a' + 10
                                           : 99;
        return v < base;
      });
    } else {
      take(decimal);
      if (end + 1 < source_.size() && source_[end] == '.' && decimal(source_[end + 1])) {
        real = true;
        digits += source_[end++];
        take(decimal);
      }
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
        ++exponent;
      if (end < source_.size() && (source_[end] | 0x20) == 'e' && exponent < source_.size() &&
          decimal(source_[exponent])) {
        real = true;
        digits += 'e';
        if (source_[exponent - 1] == '-') digits += '-';
        end = exponent;
        take(decimal);
      }
    }
    if (!real && base == 10 && digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != std::string::npos)
      fail_at(line_, "a number cannot begin with zeros");
    Token token{real ? Type::kFloat : Type::kInteger, digits, line_};
    const char* last = digits.data() + digits.size();
    const auto result = real ? std::from_chars(digits.data(), last, token.real)
                             : std::from_chars(digits.data(), last, token.integer, base);
    if (result.ec != std::errc() || result.ptr != last)
      fail_at(line_, fmt::format("the number {} is out of range", digits.substr(0, 40)));
    tokens_.push_back(std::move(token));
    advance(end - at_);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_at(line_, fmt::format("unexpected char {}", quote));
    add(Type::kString, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
  }

  // Python's escapes; an unknown one stays as it is.
  std::string unescape(std::string_view raw) const {
    std::string out;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\' || i + 1 >= raw.size()) {
        out += raw[i];
        continue;
      }
      const char e = raw[++i];
      static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t k = kFrom.find(e); k != std::string_view::npos) {
        out += kTo[k];
      } else if (e == '\n') {
        continue;
      } else if (e == 'x' || e == 'u' || e == 'U') {
        out += hex_escape(raw, i, e == 'x' ? 2 : e == 'u' ? 4 : 8);
      } else if (e == 'N') {
        out += named_character(raw, i);
      } else if (e >= '0' && e <= '7') {
        uint32_t code = 0;
        size_t n = 0;
        for (; n < 3 && i + n < raw.size() && raw[i + n] >= '0' && raw[i + n] <= '7'; ++n)
          code = code * 8 + static_cast<uint32_t>(raw[i + n] - '0');
        i += n - 1;
        unicode::append_utf8(out, code);
      } else {
        (out += '\\') += e;
      }
    }
    return out;
  }

  // \\N{DEGREE SIGN}; `i` is at the N and left at the brace that closes.
  std::string named_character(std::string_view raw, size_t& i) const {
    const size_t close = raw.find('}', i);
    if (i + 1 >= raw.size() || raw[i + 1] != '{' || close == std::string_view::npos)
      fail_at(line_, "malformed \\N character escape");
    const std::string name(raw.substr(i + 2, close - i - 2));
    UErrorCode error = U_ZERO_ERROR;
    const UChar32 code = u_charFromName(U_EXTENDED_CHAR_NAME, name.c_str(), &error);
    if (U_FAILURE(error)) fail_at(line_, "unknown Unicode character name");
    i = close;
    std::string out;
    unicode::append_utf8(out, static_cast<char32_t>(code));
    return out;
  }

  std::string hex_escape(std::string_view raw, size_t& i, size_t length) const {
    uint32_t code = 0;
    const char* first = raw.data() + i + 1;
    if (i + length >= raw.size()) fail_at(line_, "truncated escape in a string");
    const auto result = std::from_chars(first, first + length, code, 16);
    if (result.ptr != first + length || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail_at(line_, "bad escape in a string");
    i += length;
    std::string out;
    unicode::append_utf8(out, code);
    return out;
  }

  void operator_token(std::string& open) {
    static constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", ">=", "<="};
    for (const std::string_view op : kTwo)
      if (sees(op)) {
        add(Type::kOperator, std::string(op));
        return advance(2);
      }
    const char c = source_[at_];
    if (std::string_view("+-/*%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
      fail_at(line_, fmt::format("unexpected char '{}'", c));
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        fail_at(line_, open.empty()
                           ? fmt::format("unexpected '{}'", c)
                           : fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    add(Type::kOperator, std::string(1, c));
    advance(1);
  }

  std::string source_;
  bool trims_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source, Whitespace whitespace) {
  return Lexer(source, whitespace).run();
}

}  // namespace sllm::jinja
