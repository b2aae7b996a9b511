// Cutting parameters into slices and dealing them out.
#include "train/slices.h"

#include <algorithm>

namespace sllm {

Slices::Slices(std::span<const int64_t> sizes, int ranks) : sizes_(sizes.begin(), sizes.end()) {
  std::vector<int64_t> before{0};  // numbers in front of each slice
  for (const int64_t size : sizes_) {
    first_.push_back(std::ssize(before) - 1);
    for (int64_t begin = 0; begin < size; begin += kSlice)
      before.push_back(before.back() + std::min(kSlice, size - begin));
  }
  first_.push_back(std::ssize(before) - 1);
  begins_.push_back(0);
  for (int r = 1; r <= ranks; ++r) {
    const int64_t wanted = before.back() / ranks * r + before.back() % ranks * r / ranks;
    auto at = std::lower_bound(before.begin(), before.end(), wanted);
    if (at != before.begin() && wanted - at[-1] < *at - wanted) --at;
    begins_.push_back(std::max<int64_t>(begins_.back(), at - before.begin()));
  }
}

Part Slices::part(int rank, size_t parameter) const {
  const auto r = static_cast<size_t>(rank);
  const int64_t begin = std::max(begins_[r], first_[parameter]),
                end = std::min(begins_[r + 1], first_[parameter + 1]);
  if (begin >= end) return {};
  return {(begin - first_[parameter]) * kSlice,
          std::min((end - first_[parameter]) * kSlice, sizes_[parameter])};
}

}  // namespace sllm
