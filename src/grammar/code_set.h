// Sets of characters, and the byte sequences that they are in UTF-8.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sllm {

struct CodeRange {
  char32_t first, last;  // both belong to it
  auto operator<=>(const CodeRange&) const = default;
};
using CodeSet = std::vector<CodeRange>;

// Sorted, without overlaps and surrogates: what the functions below expect and return.
CodeSet normalized(CodeSet set);
CodeSet complement(const CodeSet& set);
CodeSet without(const CodeSet& set, const CodeSet& removed);
bool contains(const CodeSet& set, char32_t code);

// Encodings of one length in which each byte ranges by itself.
struct ByteRanges {
  size_t size = 0;
  std::array<uint8_t, 4> low{}, high{};
};
// All encodings of the set and no others, in order.
std::vector<ByteRanges> utf8_ranges(const CodeSet& set);

}  // namespace sllm
