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

namespace {

constexpr int64_t kFewestShared = 8;  // tokens that are worth a segment of their own

// Lays samples out as segments: a tree where they begin alike.
class Layout {
 public:
  Layout(MicroBatch& micro, const PackOptions& options) : micro_(micro), options_(options) {}

  // All of these, of which the first `done` tokens are in the segment `before` and those before it
  // and which are the same up to `alike`.
  void add(const std::vector<const Sample*>& samples, int64_t done, int64_t before, int64_t alike) {
    if (samples.size() == 1 || !options_.share_beginnings) {
      for (const Sample* sample : samples)
        put(*sample, done, static_cast<int64_t>(sample->ids.size()), before);
      return;
    }
    while (all_alike_at(samples, alike)) ++alike;
    if (alike - done >= kFewestShared) {
      before = put(*samples.front(), done, alike, before);
      done = alike;
    }
    // Those that go on with the same token, in the order in which they came.
    std::vector<std::vector<const Sample*>> groups;
    for (const Sample* sample : samples) {
      const auto goes_on = [&](const std::vector<const Sample*>& group) {
        return all_alike_at({group.front(), sample}, alike);
      };
      const auto group = std::find_if(groups.begin(), groups.end(), goes_on);
      if (group == groups.end())
        groups.push_back({sample});
      else
        group->push_back(sample);
    }
    for (const auto& group : groups) add(group, done, before, alike);
  }

 private:
  // Whether row `at` is the same for all, tokens and all, and not learned: what is learned stays
  // with its sample.
  static bool all_alike_at(const std::vector<const Sample*>& samples, int64_t at) {
    const auto i = static_cast<size_t>(at);
    return std::all_of(samples.begin(), samples.end(), [&](const Sample* sample) {
      return i < sample->ids.size() && sample->ids[i] == samples.front()->ids[i] &&
             sample->targets[i] < 0;
    });
  }

  // Rows [begin, end) of a sample behind segment `before`; returns the index of theirs.
  int64_t put(const Sample& sample, int64_t begin, int64_t end, int64_t before) {
    Batch& batch = micro_.batch;
    Segment segment{std::ssize(batch.tokens), end - begin, begin, nullptr, options_.adapter};
    segment.before = before;
    batch.segments.push_back(segment);
    batch.tokens.insert(batch.tokens.end(), sample.ids.begin() + begin, sample.ids.begin() + end);
    for (auto target = sample.targets.begin() + begin; target < sample.targets.begin() + end;
         ++target) {
      micro_.targets.push_back(std::max(*target, 0));
      micro_.weights.push_back(*target >= 0 ? options_.row_weight : 0.0f);
    }
    return std::ssize(batch.segments) - 1;
  }

  MicroBatch& micro_;
  const PackOptions& options_;
};

}  // namespace

std::vector<MicroBatch> pack(const SampleSet& data, std::span<const uint32_t> samples,
                             const PackOptions& options) {
  int64_t total = 0;
  for (const uint32_t i : samples) total += std::ssize(data.samples[i].ids);
  // Equal shares rather than full ones and a small rest: matrix products like many rows.
  const int64_t most = options.micro_tokens;
  const int64_t parts = std::max<int64_t>(1, (total + most - 1) / most);
  const int64_t share = (total + parts - 1) / parts;
  std::vector<std::vector<const Sample*>> forwards;
  int64_t used = 0;
  for (const uint32_t i : samples) {
    const Sample& sample = data.samples[i];
    const int64_t rows = std::ssize(sample.ids);
    if (forwards.empty() || used >= share || used + rows > most) forwards.emplace_back(), used = 0;
    forwards.back().push_back(&sample);
    used += rows;
  }
  std::vector<MicroBatch> micros(forwards.size());
  for (size_t i = 0; i < forwards.size(); ++i) {
    Layout(micros[i], options).add(forwards[i], 0, -1, 0);
    for (const Sample* sample : forwards[i]) micros[i].sample_tokens += std::ssize(sample->ids);
  }
  return micros;
}

bool shares_beginnings(const ModelConfig& config) {
  return config.causal && !config.recurrent() && config.rope.type != "longrope";
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
