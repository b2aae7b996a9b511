// How the library talks while it works: it never prints; it reports to the sink its caller sets.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace sllm {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One process-wide sink, by default silent. src/cli sets it once at start.
using LogSink = std::function<void(LogLevel, std::string_view message)>;
void set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view message);

// Progress of one long piece of work. `done` and `total` are in `unit`s ("tokens", "bytes",
// "rows"); total 0 means unknown. `detail` is short: "loss 1.234".
struct Progress {
  std::string_view label;
  std::string_view unit;
  uint64_t done = 0;
  uint64_t total = 0;
  std::string_view detail;
};
using ProgressSink = std::function<void(const Progress&)>;

// Set by SIGINT/SIGTERM handlers in src/cli; long loops poll it and stop at the next safe point.
void request_stop(int signal);
int stop_requested();  // 0 or the signal number
void clear_stop();

}  // namespace sllm
