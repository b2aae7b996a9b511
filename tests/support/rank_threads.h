// Ranks that are threads of the test.
#pragma once

#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ranks/ranks.h"

namespace sllm::testing {

class RankThreads {
 public:
  explicit RankThreads(int size) : out_(static_cast<size_t>(size)) {}

  // Runs work(ranks) in a thread for each rank, and waits for all of them.
  void run(const std::function<void(Ranks&)>& work) {
    std::vector<std::thread> threads;
    for (int r = 0; r < size(); ++r)
      threads.emplace_back([&, r] {
        Rank rank(*this, r);
        work(rank);
      });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  class Rank final : public Ranks {
   public:
    Rank(RankThreads& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return all_.size(); }
    void exchange(const Out& out, const In& in) override {
      const auto me = static_cast<size_t>(rank_);
      all_.out_[me] = &out;
      all_.wait();
      for (size_t r = 0; r < in.size(); ++r) {
        if (r == me) continue;
        const std::span<const std::byte> from = (*all_.out_[r])[me];
        if (from.size() != in[r].size()) std::abort();  // both sides must know the size
        if (!from.empty()) std::memcpy(in[r].data(), from.data(), from.size());
      }
      all_.wait();
    }

   private:
    RankThreads& all_;
    int rank_;
  };

  int size() const { return static_cast<int>(out_.size()); }
  void wait() {  // until all ranks are here
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    if (++here_ == size()) {
      here_ = 0, ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
  }

  std::vector<const Ranks::Out*> out_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int here_ = 0;
  int64_t round_ = 0;
};

}  // namespace sllm::testing
