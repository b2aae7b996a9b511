// Sets of pairs of numbers, each kept once, so that a number stands for a set.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sllm {

class PairSets {
 public:
  struct Pair {
    uint32_t first, second;
    auto operator<=>(const Pair&) const = default;
  };

  // The number of the set; the first gets 0. `pairs` must be sorted, without equal ones, and no
  // part of a set in here.
  uint32_t intern(std::span<const Pair> pairs);
  // Valid until the next intern().
  std::span<const Pair> operator[](uint32_t set) const {
    return {pairs_.data() + begins_[set], begins_[set + 1] - begins_[set]};
  }
  uint32_t size() const { return static_cast<uint32_t>(begins_.size() - 1); }
  size_t bytes() const {  // of memory, about
    return pairs_.size() * sizeof(Pair) + begins_.size() * 2 * sizeof(size_t);
  }

 private:
  void grow();

  std::vector<Pair> pairs_;
  std::vector<size_t> begins_{0};
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> slots_;  // set number + 1, 0: free; a power of two of them
};

}  // namespace sllm
