// Counters of the server in Prometheus' text format (exposition format 0.0.4).
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "infer/engine.h"

namespace sllm {

class Histogram {
 public:
  void observe(double seconds);
  void print(std::string& out, const char* name, const char* help) const;

 private:
  static constexpr std::array kBounds = {0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0};
  mutable std::mutex mutex_;
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

// Thread-safe.
class Metrics {
 public:
  void count_response(const std::string& route, int status);
  Histogram first_token_seconds, answer_seconds;
  std::atomic<int64_t> connections{0}, requests_open{0};
  std::atomic<uint64_t> disconnects{0}, slow_readers{0};

  std::string print(const EngineStats& engine) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> responses_;
};

}  // namespace sllm
