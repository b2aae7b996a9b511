// How the parameters are divided among ranks: in slices of at most 2^20 numbers, each of one
// parameter. The slices of a rank follow each other, so that it has one part, or none, of each
// parameter; whose they are changes no result.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sllm {

inline constexpr int64_t kSlice = int64_t{1} << 20;

struct Part {
  int64_t begin = 0, end = 0;  // numbers of a parameter
  int64_t size() const { return end - begin; }
};

class Slices {
 public:
  // `sizes`: of the parameters. About as many numbers go to each rank.
  Slices(std::span<const int64_t> sizes, int ranks);
  Part part(int rank, size_t parameter) const;
  // Of all slices: how many those before parameter `parameter` have, and before the rank `rank`.
  int64_t first_of_parameter(size_t parameter) const { return first_[parameter]; }
  std::span<const int64_t> begins_of_ranks() const { return begins_; }

 private:
  std::vector<int64_t> sizes_;
  std::vector<int64_t> first_;   // of each parameter: its first slice; then the number of slices
  std::vector<int64_t> begins_;  // of each rank: its first slice; then the number of slices
};

}  // namespace sllm
