#include "base/events.h"

#include <atomic>
#include <mutex>

namespace sllm {
namespace {
std::mutex sink_mutex;
LogSink& sink() {
  static LogSink s;
  return s;
}
std::atomic<int> stop_signal{0};
}  // namespace

void set_log_sink(LogSink s) {
  std::lock_guard lock(sink_mutex);
  sink() = std::move(s);
}
void log(LogLevel level, std::string_view message) {
  std::lock_guard lock(sink_mutex);
  if (sink()) sink()(level, message);
}

void request_stop(int signal) { stop_signal.store(signal, std::memory_order_relaxed); }
int stop_requested() { return stop_signal.load(std::memory_order_relaxed); }
void clear_stop() { stop_signal.store(0, std::memory_order_relaxed); }

}  // namespace sllm
