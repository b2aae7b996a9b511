#include "base/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/checked.h"

namespace sllm {

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  std::ifstream quota("/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000"
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0) {
    const double allowed = std::strtod(limit.c_str(), nullptr) / period;
    cores = std::min(cores, std::max(1, static_cast<int>(allowed + 0.5)));
  }
  return std::max(1, cores);
}

// Workers spin a little (a layer's stages follow each other within microseconds) and then sleep.
struct ThreadPool::Impl {
  std::vector<std::thread> threads;
  std::mutex turn;  // one run() at a time
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> generation{0};
  std::atomic<int> running{0};
  std::atomic<bool> stop{false};
  const std::function<void(int)>* work = nullptr;
  std::exception_ptr failure;

  static constexpr int kSpins = 20000;  // about 0.3 ms

  void call(int thread) {
    try {
      (*work)(thread);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  }
  void worker(int thread) {
    uint64_t seen = 0;
    while (true) {
      for (int i = 0; i < kSpins && generation.load(std::memory_order_acquire) == seen && !stop;
           ++i)
        _mm_pause();
      if (generation.load(std::memory_order_acquire) == seen && !stop) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load() != seen || stop; });
      }
      if (stop) return;
      seen = generation.load(std::memory_order_acquire);
      call(thread);
      running.fetch_sub(1, std::memory_order_release);
    }
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads <= 0) threads = usable_cores();
  for (int i = 1; i < threads; ++i) impl_->threads.emplace_back([this, i] { impl_->worker(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_all();
  for (auto& t : impl_->threads) t.join();
}

int ThreadPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }

void ThreadPool::run(const std::function<void(int)>& fn) {
  std::lock_guard turn(impl_->turn);
  impl_->work = &fn;
  impl_->failure = nullptr;
  impl_->running.store(static_cast<int>(impl_->threads.size()));
  if (!impl_->threads.empty()) {
    {
      std::lock_guard lock(impl_->mutex);
      impl_->generation.fetch_add(1, std::memory_order_release);
    }
    impl_->wake.notify_all();
  }
  impl_->call(0);
  int spins = 0;
  while (impl_->running.load(std::memory_order_acquire) != 0) {
    if (++spins < Impl::kSpins)
      _mm_pause();
    else
      std::this_thread::yield();
  }
  if (impl_->failure) std::rethrow_exception(impl_->failure);
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& fn) {
  if (n <= 0) return;
  const int64_t grains = ceil_div(n, std::max<int64_t>(1, grain));
  if (size() == 1 || grains == 1) return fn(0, n);
  run([&](int thread) {
    const int64_t begin = grains * thread / size() * grain,
                  end = grains * (thread + 1) / size() * grain;
    if (begin < n && begin < end) fn(begin, std::min(n, end));
  });
}

}  // namespace sllm
