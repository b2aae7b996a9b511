// Many requests of one engine or server at a time: threads that each wait for one answer after
// another.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/events.h"

namespace sllm {

// work(i) for i in [begin, end), begun in order, at most `together` at a time. It ends early when a
// work returns false or a stop is asked for; those that have begun are waited for.
template <class Work>
void in_company(size_t begin, size_t end, int64_t together, Work work) {
  std::atomic<size_t> next = begin;
  std::atomic<bool> stop = false;
  const auto threads =
      std::min(static_cast<size_t>(std::max<int64_t>(together, 1)), end - std::min(begin, end));
  std::vector<std::jthread> workers;
  for (size_t w = 0; w < threads; ++w)
    workers.emplace_back([&] {
      while (!stop && !stop_requested()) {
        const size_t i = next++;
        if (i >= end) return;
        if (!work(i)) stop = true;
      }
    });
}

}  // namespace sllm
