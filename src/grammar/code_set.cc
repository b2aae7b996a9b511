#include "grammar/code_set.h"

#include <algorithm>

namespace sllm {
namespace {

constexpr char32_t kLast = 0x10FFFF, kBeforeSurrogates = 0xD7FF, kBehindSurrogates = 0xE000;

size_t encode(char32_t code, std::array<uint8_t, 4>& out) {
  const auto tail = [&](int shift) { return static_cast<uint8_t>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return out = {static_cast<uint8_t>(code)}, 1;
  if (code < 0x800) return out = {static_cast<uint8_t>(0xC0 | code >> 6), tail(0)}, 2;
  if (code < 0x10000) return out = {static_cast<uint8_t>(0xE0 | code >> 12), tail(6), tail(0)}, 3;
  return out = {static_cast<uint8_t>(0xF0 | code >> 18), tail(12), tail(6), tail(0)}, 4;
}

// Cuts a range where its bytes do not range by themselves: between lengths, and where a leading
// part changes while the rest is not from its first to its last value.
void append_ranges(CodeRange range, std::vector<ByteRanges>& out) {
  std::vector<CodeRange> todo{range};
  while (!todo.empty()) {
    const auto [first, last] = todo.back();
    todo.pop_back();
    const auto cut_after = [&](char32_t code) {
      todo.push_back({code + 1, last});
      todo.push_back({first, code});  // comes next
    };
    bool cut = false;
    for (const char32_t end : {0x7Fu, 0x7FFu, 0xFFFFu})
      if (!cut && first <= end && end < last) cut_after(end), cut = true;
    for (int i = 1; i < 4 && !cut && last > 0x7F; ++i) {
      const char32_t rest = (1u << 6 * i) - 1;
      if ((first & ~rest) == (last & ~rest)) continue;
      if ((first & rest) != 0)
        cut_after(first | rest), cut = true;
      else if ((last & rest) != rest)
        cut_after((last & ~rest) - 1), cut = true;
    }
    if (cut) continue;
    ByteRanges bytes;
    bytes.size = encode(first, bytes.low);
    encode(last, bytes.high);
    out.push_back(bytes);
  }
}

}  // namespace

CodeSet normalized(CodeSet set) {
  std::ranges::sort(set);
  CodeSet out;
  const auto add = [&](char32_t first, char32_t last) {
    if (first > last) return;
    if (!out.empty() && first <= out.back().last + 1)
      out.back().last = std::max(out.back().last, last);
    else
      out.push_back({first, last});
  };
  for (const auto [first, last] : set) {
    add(first, std::min(last, kBeforeSurrogates));
    add(std::max(first, kBehindSurrogates), std::min(last, kLast));
  }
  return out;
}

CodeSet complement(const CodeSet& set) {
  CodeSet out;
  char32_t from = 0;
  for (const auto [first, last] : set) {
    if (first > from) out.push_back({from, first - 1});
    from = last + 1;
  }
  if (from <= kLast) out.push_back({from, kLast});
  return normalized(std::move(out));
}

CodeSet without(const CodeSet& set, const CodeSet& removed) {
  CodeSet both = complement(set);
  both.insert(both.end(), removed.begin(), removed.end());
  return complement(normalized(std::move(both)));
}

bool contains(const CodeSet& set, char32_t code) {
  return std::ranges::any_of(
      set, [code](CodeRange range) { return range.first <= code && code <= range.last; });
}

std::vector<ByteRanges> utf8_ranges(const CodeSet& set) {
  std::vector<ByteRanges> out;
  for (const CodeRange range : set) append_ranges(range, out);
  return out;
}

}  // namespace sllm
