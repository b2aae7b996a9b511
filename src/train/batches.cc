// Order, steps and packing of training samples.
#include "train/batches.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/rng.h"

namespace sllm {

Schedule::Schedule(const SampleSet& data, const TuneOptions& options)
    : data_(data), options_(options) {
  Cursor cursor;
  const auto more = [&] {
    return options.steps > 0 ? total_steps_ < options.steps : cursor.epoch < options.epochs;
  };
  while (more()) {
    for (const uint32_t i : next(cursor))
      total_tokens_ += static_cast<int64_t>(data.samples[i].ids.size());
    ++total_steps_;
  }
}

const std::vector<uint32_t>& Schedule::order(int64_t epoch) {
  if (cached_epoch_ == epoch) return order_;
  order_.resize(data_.samples.size());
  std::iota(order_.begin(), order_.end(), 0u);
  if (options_.shuffle) {
    Rng rng(options_.seed, static_cast<uint64_t>(epoch) << 32);  // a stream of its own per epoch
    shuffle(order_, rng);
  }
  cached_epoch_ = epoch;
  return order_;
}

std::vector<uint32_t> Schedule::next(Cursor& cursor) {
  const auto& all = order(cursor.epoch);
  std::vector<uint32_t> step;
  int64_t tokens = 0;
  while (cursor.position < static_cast<int64_t>(all.size())) {
    const uint32_t sample = all[static_cast<size_t>(cursor.position)];
    tokens += static_cast<int64_t>(data_.samples[sample].ids.size());
    const bool full = options_.batch_tokens > 0 ? tokens > options_.batch_tokens
                                                : static_cast<int64_t>(step.size()) ==
                                                      options_.batch * options_.accumulate;
    if (full && !step.empty()) break;
    step.push_back(sample);
    ++cursor.position;
  }
  if (cursor.position == static_cast<int64_t>(all.size())) cursor = {cursor.epoch + 1, 0};
  return step;
}

std::vector<MicroBatch> pack(const SampleSet& data, std::span<const uint32_t> samples,
                             int64_t micro_tokens, float row_weight, const BoundAdapter* adapter) {
  int64_t total = 0;
  for (const uint32_t i : samples) total += static_cast<int64_t>(data.samples[i].ids.size());
  // Equal shares rather than full ones and a small rest: matrix products like many rows.
  const int64_t parts = std::max<int64_t>(1, (total + micro_tokens - 1) / micro_tokens);
  const int64_t share = (total + parts - 1) / parts;
  std::vector<MicroBatch> micros;
  for (const uint32_t i : samples) {
    const Sample& sample = data.samples[i];
    const int64_t rows = static_cast<int64_t>(sample.ids.size());
    const auto used = [&] { return static_cast<int64_t>(micros.back().batch.tokens.size()); };
    if (micros.empty() || used() >= share || used() + rows > micro_tokens) micros.emplace_back();
    MicroBatch& micro = micros.back();
    micro.batch.segments.push_back({used(), rows, 0, nullptr, adapter});
    micro.batch.tokens.insert(micro.batch.tokens.end(), sample.ids.begin(), sample.ids.end());
    for (const TokenId target : sample.targets) {
      micro.targets.push_back(std::max(target, 0));
      micro.weights.push_back(target >= 0 ? row_weight : 0.0f);
    }
  }
  return micros;
}

double lr_factor(const TuneOptions& options, int64_t step, int64_t total) {
  const double warmup =
      options.warmup < 1 ? std::ceil(options.warmup * static_cast<double>(total)) : options.warmup;
  const double at = static_cast<double>(step), end = static_cast<double>(total);
  if (at < warmup) return at / std::max(1.0, warmup);
  if (options.schedule == "constant") return 1;
  const double progress = (at - warmup) / std::max(1.0, end - warmup);
  if (options.schedule == "linear") return std::max(0.0, 1 - progress);
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace sllm
