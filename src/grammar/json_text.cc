#include "grammar/json_text.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace sllm {
namespace {

using Fragment = JsonText::Fragment;

// Escapes that have a letter, which is the only way to spell them here.
constexpr std::pair<char32_t, char> kEscapes[] = {
    {'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};

// What stands for itself in a string.
const CodeSet& plain() {
  static const CodeSet set = complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
  return set;
}

}  // namespace

std::string JsonText::spelled(const Json& scalar) {
  return scalar.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Fragment JsonText::space() {
  return shared(space_, [&] {
    const Fragment blanks = b_.repeat(b_.character({{'\t', '\t'}, {' ', ' '}}), 0, 20);
    return b_.alternatives({b_.empty(), b_.literal(" "), b_.sequence({b_.literal("\n"), blanks})});
  });
}

Fragment JsonText::character() {
  return shared(character_, [&] {
    const CodeSet hex = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
    const auto hexes = [&](uint32_t n) { return b_.repeat(b_.character(hex), n, n); };
    const auto d = [&] { return b_.character({{'D', 'D'}, {'d', 'd'}}); };
    // A high surrogate must be followed by a low one: the halves alone are no characters.
    const Fragment pair =
        b_.sequence({d(), b_.character({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), hexes(2),
                     b_.literal("\\u"), d(), b_.character({{'C', 'F'}, {'c', 'f'}}), hexes(2)});
    const Fragment code = b_.alternatives(
        {b_.sequence({b_.character({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}),
                      hexes(3)}),
         b_.sequence({d(), b_.byte('0', '7'), hexes(2)}), pair});
    CodeSet letters = {{'/', '/'}};
    for (const auto& [character, letter] : kEscapes)
      letters.push_back({static_cast<char32_t>(letter), static_cast<char32_t>(letter)});
    const Fragment escape = b_.alternatives(
        {b_.character(normalized(std::move(letters))), b_.sequence({b_.literal("u"), code})});
    return b_.alternatives({b_.character(plain()), b_.sequence({b_.literal("\\"), escape})});
  });
}

Fragment JsonText::quoted(Fragment content) {
  return b_.sequence({b_.literal("\""), content, b_.literal("\"")});
}

Fragment JsonText::string(uint32_t min, std::optional<uint32_t> max) {
  if (min > 0 || max) return quoted(b_.repeat(character(), min, max));
  return shared(string_, [&] { return quoted(b_.repeat(character(), 0, std::nullopt)); });
}

Fragment JsonText::characters_of(const CodeSet& set) {
  std::vector<Fragment> ways;
  const CodeSet itself = without(set, normalized({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}));
  if (!itself.empty()) ways.push_back(b_.character(itself));
  for (const auto& [character, letter] : kEscapes)
    if (contains(set, character)) ways.push_back(b_.literal(std::string{'\\', letter}));
  for (char32_t code = 0; code < 0x20; ++code) {
    const bool has_letter =
        std::ranges::any_of(kEscapes, [&](const auto& escape) { return escape.first == code; });
    if (!has_letter && contains(set, code))
      ways.push_back(b_.literal(fmt::format("\\u{:04x}", static_cast<unsigned>(code))));
  }
  return b_.alternatives(ways);
}

Fragment JsonText::property(std::string_view name, Fragment value) {
  return property(b_.literal(spelled(name)), value);
}

Fragment JsonText::property(Fragment name, Fragment value) {
  return b_.sequence({name, b_.literal(":"), b_.optional(b_.literal(" ")), value});
}

Fragment JsonText::value() {
  if (!value_) {
    value_ = b_.rule("a JSON value");  // first, for it is part of itself
    b_.define(*value_, b_.alternatives({object(), array(), string(), number({}, {}),
                                        b_.words({"true", "false", "null"})}));
  }
  return b_.call(*value_);
}

Fragment JsonText::object() {
  return shared(object_, [&] {
    const auto one = [&] { return property(string(), value()); };
    const Fragment more = b_.repeat(b_.sequence({item_separator(), one()}), 0, std::nullopt);
    return b_.sequence({b_.literal("{"), space(), b_.optional(b_.sequence({one(), more, space()})),
                        b_.literal("}")});
  });
}

Fragment JsonText::array() {
  return shared(array_, [&] {
    const Fragment more = b_.repeat(b_.sequence({item_separator(), value()}), 0, std::nullopt);
    return b_.sequence({b_.literal("["), space(),
                        b_.optional(b_.sequence({value(), more, space()})), b_.literal("]")});
  });
}

Fragment JsonText::constants(const std::vector<const Json*>& values) {
  std::vector<std::string> scalars;
  std::vector<Fragment> ways;
  for (const Json* value : values)
    if (value->is_structured())
      ways.push_back(constant(*value, 0));
    else
      scalars.push_back(spelled(*value));
  if (!scalars.empty()) ways.push_back(b_.words(std::move(scalars)));
  return b_.alternatives(ways);
}

Fragment JsonText::constant(const Json& value, int depth) {
  if (depth > GrammarBuilder::kMaxDepth)
    throw ResultError(bad_input("a value is nested deeper than {}", GrammarBuilder::kMaxDepth));
  if (!value.is_structured()) return b_.literal(spelled(value));
  const char* const brackets = value.is_object() ? "{}" : "[]";
  std::vector<Fragment> parts{
      b_.byte(static_cast<uint8_t>(brackets[0]), static_cast<uint8_t>(brackets[0])), space()};
  bool first = true;
  for (const auto& [name, item] : value.items()) {
    if (!std::exchange(first, false)) parts.push_back(item_separator());
    const Fragment content = constant(item, depth + 1);
    parts.push_back(value.is_object() ? property(name, content) : content);
  }
  if (!first) parts.push_back(space());
  parts.push_back(b_.literal(std::string_view(brackets + 1, 1)));
  return b_.sequence(parts);
}

// A tree of the names: at each character one goes on with the names that have it, or leaves them
// for good. Escapes stand behind the characters, so that both are of one alphabet.
Fragment JsonText::other_name(const std::vector<std::string>& names) {
  constexpr char32_t kEscaped = 0x110000;
  std::vector<std::u32string> known;
  for (const std::string& name : names) {
    std::u32string units;
    bool can_be_spelled = unicode::valid_utf8(name);
    for (size_t at = 0; can_be_spelled && at < name.size();) {
      const auto [code, length] = unicode::decode(name.data() + at);
      at += length;
      const auto* escape = std::ranges::find(kEscapes, code, &std::pair<char32_t, char>::first);
      can_be_spelled = escape != std::end(kEscapes) || contains(plain(), code);
      units += escape != std::end(kEscapes) ? kEscaped + code : code;
    }
    if (can_be_spelled) known.push_back(std::move(units));  // else what follows never spells it
  }
  std::ranges::sort(known);
  const auto free_unit = [&](const CodeSet& but, const std::u32string& but_escapes) {
    std::vector<Fragment> ways;
    if (const CodeSet set = without(plain(), but); !set.empty()) ways.push_back(b_.character(set));
    std::vector<std::string> escapes;
    for (const auto& [character, letter] : kEscapes)
      if (but_escapes.find(character) == but_escapes.npos)
        escapes.push_back(std::string{'\\', letter});
    if (!escapes.empty()) ways.push_back(b_.words(std::move(escapes)));
    return b_.alternatives(ways);
  };
  const uint32_t end = b_.point();
  const Fragment free = b_.repeat(free_unit({}, {}), 0, std::nullopt);
  const Fragment closed = b_.sequence({free, b_.literal("\"")});
  b_.link(closed.end, end);

  struct Task {
    size_t from, to, depth;
    uint32_t slot;
  };
  const Fragment open = b_.literal("\"");
  std::vector<Task> todo{{0, known.size(), 0, open.end}};
  while (!todo.empty() && !b_.full()) {
    auto [from, to, depth, slot] = todo.back();
    todo.pop_back();
    std::vector<uint32_t> ways;
    if (from < to && known[from].size() == depth) {
      while (from < to && known[from].size() == depth) ++from;  // this name itself
    } else {
      const Fragment close = b_.literal("\"");
      b_.link(close.end, end);
      ways.push_back(close.start);
    }
    CodeSet taken;
    std::u32string taken_escapes;
    while (from < to) {
      const char32_t unit = known[from][depth];
      size_t next = from;
      while (next < to && known[next][depth] == unit) ++next;
      Fragment way;
      if (unit < kEscaped) {
        taken.push_back({unit, unit});
        way = b_.character({{unit, unit}});
      } else {
        taken_escapes += unit - kEscaped;
        way = b_.literal(std::string{
            '\\', std::ranges::find(kEscapes, unit - kEscaped, &std::pair<char32_t, char>::first)
                      ->second});
      }
      ways.push_back(way.start);
      todo.push_back({from, next, depth + 1, way.end});
      from = next;
    }
    const Fragment other = free_unit(normalized(std::move(taken)), taken_escapes);
    b_.link(other.end, closed.start);
    ways.push_back(other.start);
    b_.link(slot, b_.choice(ways));
  }
  return {open.start, end};
}

}  // namespace sllm
