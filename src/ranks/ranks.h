// Processes that work on one thing together, each with its own memory. One primitive, an exchange
// of everybody with everybody, carries all that they tell each other: MPI implements it (mpi.h),
// tests do with threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace sllm {

class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const = 0;  // of this process, from 0
  virtual int size() const = 0;
  bool first() const { return rank() == 0; }

  // Collective, as everything below: all ranks call it, in the same order, each from one thread at
  // a time. out[r] goes to rank r and fills what is there in[own rank]; both are of one size.
  using Out = std::vector<std::span<const std::byte>>;
  using In = std::vector<std::span<std::byte>>;
  virtual void exchange(const Out& out, const In& in) = 0;

  // `values` of which each rank knows [begins[rank], begins[rank + 1]): all of it, on all ranks.
  template <class T>
  void gather(std::span<T> values, std::span<const int64_t> begins) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (size() == 1) return;
    const auto part = [&](int r) {
      const auto i = static_cast<size_t>(r);
      return values.subspan(static_cast<size_t>(begins[i]),
                            static_cast<size_t>(begins[i + 1] - begins[i]));
    };
    Out out(static_cast<size_t>(size()), std::as_bytes(part(rank())));
    In in;
    for (int r = 0; r < size(); ++r) in.push_back(std::as_writable_bytes(part(r)));
    out[static_cast<size_t>(rank())] = {}, in[static_cast<size_t>(rank())] = {};
    exchange(out, in);
  }
  // One value of each rank, in their order.
  template <class T>
  std::vector<T> gather(const T& mine) {
    std::vector<T> all(static_cast<size_t>(size()));
    std::vector<int64_t> begins;
    for (int r = 0; r <= size(); ++r) begins.push_back(r);
    all[static_cast<size_t>(rank())] = mine;
    gather<T>(std::span<T>(all), begins);
    return all;
  }
  // ok() when all ranks have that, else the error of the first one that has none.
  Status agree(const Status& mine);
};

// The only process there is.
Ranks& alone();

}  // namespace sllm
