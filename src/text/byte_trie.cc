// Built breadth first over the sorted entries, so that the children of a node are neighbours.
#include "text/byte_trie.h"

#include <algorithm>

namespace sllm {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::ranges::stable_sort(entries, {}, &std::pair<std::string_view, int32_t>::first);
  struct Range {
    size_t from, to, depth;
  };
  std::vector<Range> ranges{{0, entries.size(), 0}};
  nodes_.push_back({});
  for (size_t n = 0; n < nodes_.size(); ++n) {
    auto [from, to, depth] = ranges[n];
    for (; from < to && entries[from].first.size() == depth; ++from)
      if (depth > 0) nodes_[n].value = entries[from].second;
    nodes_[n].children = static_cast<uint32_t>(nodes_.size());
    while (from < to) {
      const char byte = entries[from].first[depth];
      size_t end = from;
      while (end < to && entries[end].first[depth] == byte) ++end;
      nodes_.push_back({0, 0, static_cast<uint8_t>(byte), -1});
      ranges.push_back({from, end, depth + 1});
      ++nodes_[n].count;
      from = end;
    }
  }
  from_root_.fill(kNone);
  for (uint32_t i = 0; i < nodes_[0].count; ++i)
    from_root_[nodes_[nodes_[0].children + i].byte] = nodes_[0].children + i;
}

uint32_t ByteTrie::step(uint32_t node, char byte) const {
  const auto wanted = static_cast<uint8_t>(byte);
  if (node == kRoot) return from_root_[wanted];
  uint32_t low = nodes_[node].children, high = low + nodes_[node].count;
  while (high - low > 8) {
    const uint32_t middle = low + (high - low) / 2;
    (nodes_[middle].byte <= wanted ? low : high) = middle;
  }
  for (; low < high; ++low)
    if (nodes_[low].byte == wanted) return low;
  return kNone;
}

uint32_t ByteTrie::walk(uint32_t node, std::string_view bytes) const {
  if (empty()) return kNone;
  for (const char byte : bytes)
    if ((node = step(node, byte)) == kNone) return kNone;
  return node;
}

}  // namespace sllm
