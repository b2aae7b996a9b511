// llama.cpp's notation for grammars (grammars/README.md there).
#include <algorithm>
#include <map>
#include <string>

#include "grammar/builder.h"
#include "grammar/grammar.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Fragment = GrammarBuilder::Fragment;

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  // Throws ResultError.
  GrammarProgram parse() {
    if (!unicode::valid_utf8(text_)) throw ResultError(bad_input("the grammar is not valid UTF-8"));
    for (skip(true); at_ < text_.size(); skip(true)) rule();
    for (const auto& [name, known] : rules_)
      if (!builder_.defined(known.rule)) {
        at_ = known.used_at;
        fail("rule \"{}\" is not defined", name);
      }
    const auto root = rules_.find("root");
    if (root == rules_.end())
      throw ResultError(bad_input("the grammar has no rule \"root\", with which texts begin"));
    return std::move(builder_).finish(root->second.rule).value();
  }

 private:
  struct Known {
    uint32_t rule;
    size_t used_at;
  };

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string_view before = text_.substr(0, at_);
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    const auto starts_character = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; };
    throw ResultError(
        bad_input("the grammar, line {}, column {}: {}", 1 + std::ranges::count(before, '\n'),
                  1 + std::ranges::count_if(before.substr(line_start), starts_character),
                  fmt::format(format, std::forward<Args>(args)...)));
  }
  // What stands here, for errors.
  std::string here() const {
    if (at_ >= text_.size()) return "the end";
    if (text_[at_] == '\n' || text_[at_] == '\r') return "the end of the line";
    return fmt::format("\"{}\"", text_.substr(at_, unicode::decode(text_.data() + at_).length));
  }

  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }
  void expect(std::string_view what) {
    if (!take(what)) fail("expected \"{}\", not {}", what, here());
  }

  // Blanks and comments; newlines where they mean nothing.
  void skip(bool newlines) {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      if (at_ == text_.size()) return;
      const char c = text_[at_];
      if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r'))) return;
    }
  }

  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }
  Known& known(std::string_view expected) {
    const size_t from = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    if (at_ == from) fail("expected {}, not {}", expected, here());
    const std::string name(text_.substr(from, at_ - from));
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second;
    const uint32_t number = builder_.rule(fmt::format("rule \"{}\"", name));
    return rules_.emplace(name, Known{number, from}).first->second;
  }

  void rule() {
    const size_t from = at_;
    const uint32_t number = known("the name of a rule").rule;
    const std::string_view name = text_.substr(from, at_ - from);
    skip(false);
    expect("::=");
    skip(true);
    const Fragment body = alternatives(0);
    if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r')
      fail("expected a literal, class, group, rule or the end of the line, not {}", here());
    if (builder_.defined(number)) {
      at_ = from;
      fail("rule \"{}\" is defined twice", name);
    }
    builder_.define(number, body);
  }

  Fragment alternatives(int depth) {
    if (depth > GrammarBuilder::kMaxDepth)
      fail("groups are nested deeper than {}", GrammarBuilder::kMaxDepth);
    std::vector<Fragment> parts{sequence(depth)};
    while (take("|")) {
      skip(true);
      parts.push_back(sequence(depth));
    }
    return builder_.alternatives(parts);
  }

  Fragment sequence(int depth) {
    std::vector<Fragment> parts;
    for (;;) {
      if (depth == 0) go_on_with_line();
      if (at_ >= text_.size() || std::string_view("|)\r\n").find(text_[at_]) != std::string::npos)
        return builder_.sequence(parts);
      Fragment part = item(depth);
      for (skip(depth > 0); at_ < text_.size(); skip(depth > 0)) {
        Bounds bounds;
        if (!repetition(bounds)) break;
        part = builder_.repeat(part, bounds.min, bounds.max);
      }
      parts.push_back(part);
    }
  }

  // A line that begins with "|" belongs to the rule above.
  void go_on_with_line() {
    const size_t from = at_;
    skip(true);
    if (!next_is("|")) at_ = from;
  }

  Fragment item(int depth) {
    if (take("\"")) return literal();
    if (take("[")) return builder_.character(character_class());
    if (take(".")) return builder_.character(complement({}));
    if (next_is("<") || next_is("!<")) fail("tokens (<...>) are not supported, only their text");
    if (!take("(")) return builder_.call(known("a literal, class, group or rule").rule);
    skip(true);
    const Fragment group = alternatives(depth + 1);
    expect(")");
    return group;
  }

  Fragment literal() {
    std::string bytes;
    while (!take("\"")) unicode::append_utf8(bytes, character("\""));
    return builder_.literal(bytes);
  }

  CodeSet character_class() {
    const bool excluded = take("^");
    CodeSet set;
    while (!take("]")) {
      const size_t from = at_;
      const char32_t first = character("]");
      char32_t last = first;
      if (next_is("-") && !next_is("-]")) {
        take("-");
        last = character("]");
      }
      if (last < first) {
        at_ = from;
        fail("the range ends before it begins");
      }
      set.push_back({first, last});
    }
    set = normalized(std::move(set));
    if (excluded) set = complement(set);
    if (set.empty()) fail("no character fits this class");
    return set;
  }

  // One character of a literal or class, of which `end` is the end.
  char32_t character(std::string_view end) {
    if (at_ >= text_.size()) fail("expected {} before the end", end);
    const auto [code, length] = unicode::decode(text_.data() + at_);
    at_ += length;
    if (code != '\\') return code;
    if (at_ >= text_.size()) fail("expected an escape's letter before the end");
    const char letter = text_[at_++];
    switch (letter) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hexadecimal(2);
      case 'u':
        return hexadecimal(4);
      case 'U':
        return hexadecimal(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
        return static_cast<uint8_t>(letter);
      default:
        --at_;
        fail("unknown escape: \\ before {}", here());
    }
  }

  char32_t hexadecimal(int digits) {
    uint64_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const std::string_view known = "0123456789abcdef";
      const size_t digit =
          at_ < text_.size() ? known.find(static_cast<char>(text_[at_] | 0x20)) : known.npos;
      if (digit == known.npos) fail("expected {} hexadecimal digits, not {}", digits, here());
      code = code << 4 | digit;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail("the escape is no Unicode character: {:X}", code);
    return static_cast<char32_t>(code);
  }

  struct Bounds {
    uint32_t min = 0;
    std::optional<uint32_t> max;
  };
  bool repetition(Bounds& bounds) {
    if (take("*")) return true;
    if (take("+")) return bounds.min = 1, true;
    if (take("?")) return bounds.max = 1, true;
    if (!take("{")) return false;
    skip(false);
    if (!next_is(",")) bounds.min = number();
    skip(false);
    if (!take(",")) {
      bounds.max = bounds.min;
    } else {
      skip(false);
      if (!next_is("}")) bounds.max = number();
      skip(false);
    }
    expect("}");
    if (bounds.max && *bounds.max < bounds.min) fail("the repetition's bounds are reversed");
    return true;
  }

  uint32_t number() {
    uint32_t value = 0;
    const size_t from = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = 10 * value + static_cast<uint32_t>(text_[at_] - '0');
      if (value > GrammarBuilder::kMaxRepeat)
        fail("at most {} repetitions are allowed", GrammarBuilder::kMaxRepeat);
    }
    if (at_ == from) fail("expected a number of repetitions, not {}", here());
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
  GrammarBuilder builder_;
  std::map<std::string, Known, std::less<>> rules_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> Grammar::from_gbnf(std::string_view text) {
  try {
    return std::make_shared<const Grammar>(GbnfParser(text).parse());
  } catch (ResultError& e) {
    return std::move(e.error);
  }
}

}  // namespace sllm
