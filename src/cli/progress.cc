// Progress and JSON output shared by all commands.
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "cli/command.h"
#include "cli/printed_json.h"

namespace sllm::cli {
namespace {

std::string human_time(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string human_count(double n, std::string_view unit) {
  if (unit == "bytes")
    return n >= 1e9 ? fmt::format("{:.2f} GB", n / 1e9) : fmt::format("{:.1f} MB", n / 1e6);
  return n >= 1e4 ? fmt::format("{:.1f}k {}", n / 1e3, unit) : fmt::format("{:.0f} {}", n, unit);
}

}  // namespace

ProgressSink progress_sink(const Globals& globals) {
  if (globals.quiet) return [](const Progress&) {};
  using Clock = std::chrono::steady_clock;
  struct State {
    std::string label;
    Clock::time_point start, shown;
    uint64_t first = 0;
    bool terminal = ::isatty(STDERR_FILENO) == 1;
  };
  auto state = std::make_shared<State>();
  return [state](const Progress& p) {
    const auto now = Clock::now();
    if (state->label != p.label) *state = {std::string(p.label), now, {}, p.done, state->terminal};
    const bool finished = p.total > 0 && p.done >= p.total;
    const auto interval =
        state->terminal ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
    if (!finished && state->shown.time_since_epoch().count() && now - state->shown < interval)
      return;
    state->shown = now;
    const double seconds = std::chrono::duration<double>(now - state->start).count();
    const double rate = seconds > 0 ? static_cast<double>(p.done - state->first) / seconds : 0;
    std::string line =
        fmt::format("{}: {}", p.label, human_count(static_cast<double>(p.done), p.unit));
    if (p.total)
      line += fmt::format(" of {} ({:.0f} %)", human_count(static_cast<double>(p.total), p.unit),
                          100.0 * static_cast<double>(p.done) / static_cast<double>(p.total));
    if (rate > 0) line += fmt::format(", {}/s", human_count(rate, p.unit));
    if (rate > 0 && p.total > p.done)
      line += fmt::format(", {} left", human_time(static_cast<double>(p.total - p.done) / rate));
    if (!p.detail.empty()) line += fmt::format(", {}", p.detail);
    if (state->terminal)
      std::cerr << "\r\x1b[K" << line << (finished ? "\n" : "") << std::flush;
    else
      std::cerr << line << std::endl;
  };
}

namespace {
bool printed = false;
}

bool printed_json() { return printed; }

void print_json(const std::string& command, nlohmann::ordered_json document) {
  printed = true;
  nlohmann::ordered_json out = {{"schema_version", 1}, {"command", command}};
  out.update(document);
  std::cout << out.dump() << std::endl;
}

}  // namespace sllm::cli
