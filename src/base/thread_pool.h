// A fixed set of threads that run one function together (SPMD). The caller is thread 0.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace sllm {

class ThreadPool {
 public:
  // threads <= 0: as many as the cores this process may use (affinity and cgroup quota).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  // Runs fn(thread) once on each thread and returns when all are done. Calls from several user
  // threads take turns. An exception from any thread is rethrown here. Not reentrant.
  void run(const std::function<void(int thread)>& fn);
  // Splits [0, n) into one contiguous range per thread, each a multiple of `grain` but the last.
  // Callers must not let results depend on where the cuts fall.
  void parallel_for(int64_t n, int64_t grain,
                    const std::function<void(int64_t begin, int64_t end)>& fn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

int usable_cores();

}  // namespace sllm
