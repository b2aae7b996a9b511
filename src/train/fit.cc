#include "train/fit.h"

#include <algorithm>

namespace sllm {
namespace {

constexpr int64_t kFewRows = 64;  // of a forward: with fewer the weights are read for too little

double gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

}  // namespace

std::vector<SmallerRun> smaller_runs(const ModelConfig& config, const TuningWork& work,
                                     const TuneOptions& options, std::optional<int64_t> quantised) {
  const auto memory = [&](const TuneOptions& o, const TuningWork& w) {
    return estimate_tune(config, w, o, {}).memory;
  };
  const int64_t now = memory(options, work);
  std::vector<SmallerRun> runs;
  const auto offer = [&](std::string change, const TuneOptions& o, const TuningWork& w) {
    const int64_t needed = memory(o, w);
    const int64_t least = runs.empty() ? now : runs.back().memory;
    if (needed < least) runs.push_back({std::move(change), needed});
  };
  // The same weights come out, but for the order of sums.
  TuneOptions o = options;
  const int64_t fewest = std::max(kFewRows, work.longest);
  while (o.micro_tokens / 2 >= fewest) {
    o.micro_tokens /= 2;
    offer(fmt::format("--micro-tokens {}", o.micro_tokens), o, work);
  }
  const std::string forward = o.micro_tokens < options.micro_tokens
                                  ? fmt::format("--micro-tokens {} ", o.micro_tokens)
                                  : "";
  if (o.mode == Numerics::kExact) {
    o.mode = Numerics::kBf16;
    offer(forward + "--mode bf16", o, work);
  }
  if (o.method == "full" && o.optimizer == "adamw") {
    TuneOptions eight = o;
    eight.optimizer = "adamw8bit";
    offer(forward + "--optimizer adamw8bit", eight, work);
  }
  if (o.method == "full") {
    o.method = "lora";
    offer(forward + "without --full: an adapter", o, work);
  }
  if (quantised) {
    TuningWork smaller = work;
    smaller.bytes_of_weights = *quantised;
    offer(forward + "an adapter on the base in q4_k (sllm quantize)", o, smaller);
  }
  return runs;
}

std::vector<std::string> fit_advice(const TuneEstimate& e, const Room& room) {
  std::vector<std::string> lines;
  if (e.memory > room.memory) {
    lines.push_back(fmt::format("Only {:.1f} GB of memory are free.", gigabytes(room.memory)));
    const auto fits = std::ranges::find_if(
        e.smaller, [&](const SmallerRun& run) { return run.memory <= room.memory; });
    if (fits != e.smaller.end())
      lines.push_back(
          fmt::format("This would fit: {} ({:.1f} GB)", fits->change, gigabytes(fits->memory)));
    else if (!e.smaller.empty())
      lines.push_back(
          fmt::format("Even {} needs {:.1f} GB: take a smaller base, or shorter rows "
                      "(--max-length)",
                      e.smaller.back().change, gigabytes(e.smaller.back().memory)));
    else
      lines.push_back("Take a smaller base, or shorter rows (--max-length)");
  }
  if (e.disk > room.disk)
    lines.push_back(fmt::format(
        "Only {:.2f} GB of disk are free where the run is to lie: name "
        "another place with --out{}",
        gigabytes(room.disk),
        e.disk_of_two < e.disk ? fmt::format(", or keep two checkpoints (--keep 2: {:.2f} GB)",
                                             gigabytes(e.disk_of_two))
                               : ""));
  return lines;
}

}  // namespace sllm
