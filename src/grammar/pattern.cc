#include "grammar/pattern.h"

#include <algorithm>
#include <string>

#include "text/unicode.h"

namespace sllm {
namespace {

using Fragment = GrammarBuilder::Fragment;

const CodeSet kDigits = {{'0', '9'}};
const CodeSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodeSet kBlank = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                        {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                        {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodeSet kLineEnd = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser {
 public:
  PatternParser(std::string_view text, std::string_view where, GrammarBuilder& builder,
                JsonText& json)
      : text_(text), where_(where), b_(builder), json_(json) {}

  Fragment parse() {
    if (!unicode::valid_utf8(text_)) fail("is not valid UTF-8");
    std::vector<Fragment> ways;
    do {
      std::vector<Fragment> parts;
      if (!take("^")) parts.push_back(anything());
      parts.push_back(sequence(0));
      if (!take("$")) parts.push_back(anything());
      ways.push_back(b_.sequence(parts));
    } while (take("|"));
    if (next_is(")")) fail("has a \")\" without its \"(\"");
    if (at_ < text_.size()) fail("has a $ that is not at the end, which is not supported");
    return b_.alternatives(ways);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw ResultError(bad_input("{}: the pattern \"{}\" {}", where_, text_.substr(0, 200),
                                fmt::format(format, std::forward<Args>(args)...)));
  }
  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }
  char32_t next_character() {
    if (at_ >= text_.size()) fail("ends too early");
    const auto [code, length] = unicode::decode(text_.data() + at_);
    at_ += length;
    return code;
  }
  Fragment anything() { return b_.repeat(json_.characters_of(complement({})), 0, std::nullopt); }

  Fragment sequence(int depth) {
    std::vector<Fragment> parts;
    while (at_ < text_.size() && !next_is("|") && !next_is(")") && !next_is("$")) {
      Fragment part = item(depth);
      uint32_t min = 0;
      std::optional<uint32_t> max;
      if (repetition(min, max)) {
        part = b_.repeat(part, min, max);
        take("?");  // lazy: another order of trying, the same texts
        if (next_is("+")) fail("has a possessive repetition, which is not supported");
        if (next_is("*") || next_is("?") || next_is("{")) fail("repeats a repetition");
      }
      parts.push_back(part);
    }
    return b_.sequence(parts);
  }

  Fragment item(int depth) {
    if (next_is("^")) fail("has a ^ that is not at the beginning, which is not supported");
    if (next_is("*") || next_is("+") || next_is("?") || next_is("{"))
      fail("has a repetition of nothing, at byte {}", at_);
    if (take("(")) return group(depth + 1);
    if (take("[")) return json_.characters_of(character_class());
    if (take(".")) return json_.characters_of(complement(kLineEnd));
    return json_.characters_of(character(false));
  }

  Fragment group(int depth) {
    if (depth > GrammarBuilder::kMaxDepth)
      fail("has groups nested deeper than {}", GrammarBuilder::kMaxDepth);
    if (take("?")) {
      for (const auto& [sign, name] : {std::pair{"=", "a lookahead (?=...)"},
                                       {"!", "a negative lookahead (?!...)"},
                                       {"<=", "a lookbehind (?<=...)"},
                                       {"<!", "a negative lookbehind (?<!...)"}})
        if (next_is(sign)) fail("has {}, which is not supported", name);
      if (take("<") || take("P<"))
        at_ = std::min(text_.find('>', at_), text_.size() - 1) + 1;
      else if (!take(":"))
        fail("has flags or another extension (?..., which is not supported");
    }
    std::vector<Fragment> ways;
    do ways.push_back(sequence(depth));
    while (take("|"));
    if (next_is("$")) fail("has a $ that is not at the end, which is not supported");
    if (!take(")")) fail("has a \"(\" without its \")\"");
    return b_.alternatives(ways);
  }

  CodeSet character_class() {
    const bool excluded = take("^");
    CodeSet set;
    const auto add = [&](const CodeSet& more) { set.insert(set.end(), more.begin(), more.end()); };
    while (!take("]")) {
      const CodeSet first = character(true);
      add(first);
      if (!next_is("-") || next_is("-]")) continue;
      take("-");
      const CodeSet last = character(true);
      add(last);
      const auto is_one = [](const CodeSet& s) { return s.size() == 1 && s[0].first == s[0].last; };
      if (!is_one(first) || !is_one(last)) {
        set.push_back({'-', '-'});
      } else if (last[0].first < first[0].first) {
        fail("has a range that ends before it begins");
      } else {
        set.push_back({first[0].first, last[0].first});
      }
    }
    set = normalized(std::move(set));
    if (excluded) set = complement(set);
    if (set.empty()) fail("has a class that no character fits");
    return set;
  }

  // A character, or the set that an escape stands for.
  CodeSet character(bool in_class) {
    const char32_t code = next_character();
    if (code != '\\') return {{code, code}};
    const char32_t letter = next_character();
    switch (letter) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return complement(kWord);
      case 's':
        return kBlank;
      case 'S':
        return complement(kBlank);
      case 't':
        return {{'\t', '\t'}};
      case 'n':
        return {{'\n', '\n'}};
      case 'r':
        return {{'\r', '\r'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return hexadecimal(2);
      case 'u':
        return hexadecimal(4);
      default:
        break;
    }
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (letter == '0' && (at_ >= text_.size() || !is_digit(text_[at_]))) return {{0, 0}};
    if (letter == 'b' && in_class) return {{'\b', '\b'}};
    if (letter >= '0' && letter <= '9') fail("has a back reference, which is not supported");
    if (letter == 'b' || letter == 'B') fail("has a word boundary (\\b), which is not supported");
    if (contains(kWord, letter)) {
      std::string name;
      unicode::append_utf8(name, letter);
      fail("has the escape \\{}, which is not supported", name);
    }
    return {{letter, letter}};
  }

  CodeSet hexadecimal(int digits) {
    char32_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const char32_t c = next_character() | 0x20;
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
        fail("has \\x or \\u without {} hexadecimal digits", digits);
      code = code << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (code >= 0xD800 && code < 0xE000) fail("has half of a surrogate pair");
    return {{code, code}};
  }

  bool repetition(uint32_t& min, std::optional<uint32_t>& max) {
    if (take("*")) return true;
    if (take("+")) return min = 1, true;
    if (take("?")) return max = 1, true;
    if (!take("{")) return false;
    min = number();
    if (!take(","))
      max = min;
    else if (!next_is("}"))
      max = number();
    if (!take("}")) fail("has a repetition without its \"}}\"");
    if (max && *max < min) fail("has a repetition with reversed bounds");
    return true;
  }

  uint32_t number() {
    const size_t from = at_;
    uint32_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = 10 * value + static_cast<uint32_t>(text_[at_] - '0');
      if (value > GrammarBuilder::kMaxRepeat)
        fail("has a repetition of more than {}", GrammarBuilder::kMaxRepeat);
    }
    if (at_ == from) fail("has a repetition {{ without a number");
    return value;
  }

  std::string_view text_, where_;
  size_t at_ = 0;
  GrammarBuilder& b_;
  JsonText& json_;
};

}  // namespace

Fragment pattern_content(std::string_view pattern, std::string_view where, GrammarBuilder& builder,
                         JsonText& json) {
  return PatternParser(pattern, where, builder, json).parse();
}

}  // namespace sllm
