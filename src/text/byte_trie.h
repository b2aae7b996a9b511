// A set of byte strings with values, for finding all that begin a text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace sllm {

class ByteTrie {
 public:
  ByteTrie() = default;
  // Of entries with the same text the last counts.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  static constexpr uint32_t kRoot = 0, kNone = UINT32_MAX;
  uint32_t step(uint32_t node, char byte) const;
  uint32_t walk(uint32_t node, std::string_view bytes) const;
  int32_t value(uint32_t node) const { return nodes_[node].value; }  // -1: no entry ends here
  bool empty() const { return nodes_.empty(); }

  // Calls match(length, value) for every entry that begins `text`, the shortest first.
  template <class Match>
  void each_prefix(std::string_view text, Match&& match) const {
    if (empty()) return;
    uint32_t node = kRoot;
    for (size_t i = 0; i < text.size(); ++i) {
      if ((node = step(node, text[i])) == kNone) return;
      if (nodes_[node].value >= 0) match(i + 1, nodes_[node].value);
    }
  }
  // {length, value} of the longest entry that begins `text`; {0, -1}: none.
  std::pair<size_t, int32_t> longest_prefix(std::string_view text) const {
    std::pair<size_t, int32_t> best{0, -1};
    each_prefix(text, [&](size_t length, int32_t value) { best = {length, value}; });
    return best;
  }

 private:
  struct Node {
    uint32_t children = 0;  // the first; they lie one after the other, by byte
    uint16_t count = 0;
    uint8_t byte = 0;
    int32_t value = -1;
  };
  std::vector<Node> nodes_;
  std::array<uint32_t, 256> from_root_{};
};

}  // namespace sllm
