#include "grammar/pair_sets.h"

#include <algorithm>

namespace sllm {
namespace {

uint64_t hash_of(std::span<const PairSets::Pair> pairs) {
  uint64_t hash = pairs.size();
  for (const auto [first, second] : pairs) {
    hash = (hash ^ (uint64_t{first} << 32 | second)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

uint32_t PairSets::intern(std::span<const Pair> pairs) {
  if (2 * (hashes_.size() + 1) > slots_.size()) grow();
  const uint64_t hash = hash_of(pairs);
  size_t slot = hash & (slots_.size() - 1);
  for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    const uint32_t set = slots_[slot] - 1;
    if (hashes_[set] == hash && std::ranges::equal((*this)[set], pairs)) return set;
  }
  pairs_.insert(pairs_.end(), pairs.begin(), pairs.end());
  begins_.push_back(pairs_.size());
  hashes_.push_back(hash);
  slots_[slot] = size();
  return size() - 1;
}

void PairSets::grow() {
  slots_.assign(std::max<size_t>(64, 2 * slots_.size()), 0);
  for (uint32_t set = 0; set < hashes_.size(); ++set) {
    size_t slot = hashes_[set] & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = set + 1;
  }
}

}  // namespace sllm
