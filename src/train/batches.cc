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
    for (const uint32_t item : next(cursor)) total_tokens_ += data.tokens(item);
    ++total_steps_;
  }
}

const std::vector<uint32_t>& Schedule::order(int64_t epoch) {
  if (cached_epoch_ == epoch) return order_;
  order_.resize(static_cast<size_t>(data_.items()));
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
    const uint32_t item = all[static_cast<size_t>(cursor.position)];
    tokens += data_.tokens(item);
    const bool full = options_.batch_tokens > 0 ? tokens > options_.batch_tokens
                                                : static_cast<int64_t>(step.size()) ==
                                                      options_.batch * options_.accumulate;
    if (full && !step.empty()) break;
    step.push_back(item);
    ++cursor.position;
  }
  if (cursor.position == static_cast<int64_t>(all.size())) cursor = {cursor.epoch + 1, 0};
  return step;
}

std::vector<int64_t> divide(const SampleSet& data, std::span<const uint32_t> items,
                            int64_t shards) {
  const int64_t n = std::ssize(items);
  std::vector<int64_t> before{0};  // tokens in front of each item
  for (const uint32_t item : items) before.push_back(before.back() + data.tokens(item));
  std::vector<int64_t> begins{0};
  for (int64_t s = 1; s < shards; ++s) {
    const int64_t least = std::min(n, n >= shards ? begins.back() + 1 : begins.back()),
                  most = n >= shards ? n - (shards - s) : n;
    int64_t at = least;
    const auto off = [&](int64_t i) {
      return std::abs(before[static_cast<size_t>(i)] * shards - before.back() * s);
    };
    while (at < most && off(at + 1) <= off(at)) ++at;
    begins.push_back(at);
  }
  begins.push_back(n);
  return begins;
}

namespace {

constexpr int64_t kFewestShared = 8;  // tokens that are worth a segment of their own

// A sample of the list that is packed.
struct Listed {
  const Sample* sample;
  int32_t place;
  bool whole;  // its prompt is learned too
  int64_t rows() const { return std::ssize(sample->ids); }
};

// Whether row `at` is the same for all, tokens and all, and not learned: what is learned stays with
// its sample, but for what whole samples learn alike.
bool all_alike_at(const std::vector<Listed>& samples, int64_t at) {
  const auto i = static_cast<size_t>(at);
  const Sample& first = *samples.front().sample;
  const Sample* whole = nullptr;  // the first one
  return std::all_of(samples.begin(), samples.end(), [&](const Listed& listed) {
    const Sample& s = *listed.sample;
    if (i >= s.ids.size() || s.ids[i] != first.ids[i] || s.targets[i] >= 0) return false;
    if (!listed.whole) return true;
    if (!whole) whole = &s;
    return i + 1 < s.ids.size() && s.ids[i + 1] == whole->ids[i + 1];
  });
}

// Lays samples out as segments: a tree where they begin alike.
class Layout {
 public:
  Layout(MicroBatch& micro, const PackOptions& options) : micro_(micro), options_(options) {}

  // All of these, of which the first `done` tokens are in the segment `before` and those before it
  // and which are the same up to `alike`.
  void add(const std::vector<Listed>& samples, int64_t done, int64_t before, int64_t alike) {
    if (samples.size() == 1 || !options_.share_beginnings) {
      for (const Listed& listed : samples) put({listed}, done, listed.rows(), before);
      return;
    }
    while (all_alike_at(samples, alike)) ++alike;
    if (alike - done >= kFewestShared) {
      before = put(samples, done, alike, before);
      done = alike;
    }
    // Those that go on with the same token, in the order in which they came.
    std::vector<std::vector<Listed>> groups;
    for (const Listed& listed : samples) {
      const auto takes = [&](std::vector<Listed>& group) {
        group.push_back(listed);
        if (all_alike_at(group, alike)) return true;
        group.pop_back();
        return false;
      };
      if (std::none_of(groups.begin(), groups.end(), takes)) groups.push_back({listed});
    }
    for (const auto& group : groups) add(group, done, before, alike);
  }

 private:
  // Rows [begin, end) of a sample, or what samples have in common, behind segment `before`; returns
  // the index of theirs.
  int64_t put(const std::vector<Listed>& samples, int64_t begin, int64_t end, int64_t before) {
    const Sample& sample = *samples.front().sample;
    Batch& batch = micro_.batch;
    Segment segment{std::ssize(batch.tokens), end - begin, begin, nullptr, options_.adapter};
    segment.before = before;
    batch.segments.push_back(segment);
    batch.tokens.insert(batch.tokens.end(), sample.ids.begin() + begin, sample.ids.begin() + end);
    const auto whole =
        std::find_if(samples.begin(), samples.end(), [](auto& s) { return s.whole; });
    const auto wholes = std::count_if(whole, samples.end(), [](auto& s) { return s.whole; });
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const int32_t target = sample.targets[i];
      const bool predicted = wholes > 0 && i + 1 < whole->sample->ids.size();
      micro_.targets.push_back(std::max(predicted ? whole->sample->ids[i + 1] : target, 0));
      micro_.weights.push_back(target >= 0 ? options_.row_weight : 0.0f);
      micro_.owners.push_back(target >= 0 ? samples.front().place : -1);
      micro_.wholes.push_back(predicted ? static_cast<float>(wholes) : 0.0f);
    }
    return std::ssize(batch.segments) - 1;
  }

  MicroBatch& micro_;
  const PackOptions& options_;
};

// Rows that a group takes: what all of it begins with counts once where it is shared.
int64_t rows_of(std::span<const Listed> group, const PackOptions& options) {
  int64_t rows = 0, alike = 0;
  for (const Listed& listed : group) rows += listed.rows();
  if (group.size() < 2 || !options.share_beginnings) return rows;
  const std::vector<Listed> samples(group.begin(), group.end());
  while (all_alike_at(samples, alike)) ++alike;
  return alike < kFewestShared ? rows : rows - (std::ssize(group) - 1) * alike;
}

}  // namespace

std::vector<MicroBatch> pack(const SampleSet& data, std::span<const uint32_t> samples,
                             const PackOptions& options) {
  std::vector<Listed> listed;
  for (const uint32_t i : samples) {
    const auto place = static_cast<int32_t>(listed.size());
    listed.push_back({&data.samples[i], place, options.whole_first && place % options.group == 0});
  }
  // What goes into a forward as one: groups, or the samples of those that no forward holds.
  const int64_t most = options.micro_tokens;
  std::vector<std::span<const Listed>> parts;
  const auto group = static_cast<size_t>(options.group);
  for (size_t i = 0; i < listed.size(); i += group) {
    const auto whole = std::span(listed).subspan(i, std::min(group, listed.size() - i));
    if (group == 1 || rows_of(whole, options) <= most)
      parts.push_back(whole);
    else
      for (size_t k = 0; k < whole.size(); ++k) parts.push_back(whole.subspan(k, 1));
  }
  int64_t total = 0;
  for (const auto& part : parts) total += rows_of(part, options);
  // Equal shares rather than full ones and a small rest: matrix products like many rows.
  const int64_t forwards_needed = std::max<int64_t>(1, (total + most - 1) / most);
  const int64_t share = (total + forwards_needed - 1) / forwards_needed;
  std::vector<std::vector<Listed>> forwards;
  int64_t used = 0;
  for (const auto& part : parts) {
    const int64_t rows = rows_of(part, options);
    if (forwards.empty() || used >= share || used + rows > most) forwards.emplace_back(), used = 0;
    forwards.back().insert(forwards.back().end(), part.begin(), part.end());
    used += rows;
  }
  std::vector<MicroBatch> micros(forwards.size());
  for (size_t i = 0; i < forwards.size(); ++i) {
    Layout(micros[i], options).add(forwards[i], 0, -1, 0);
    micros[i].first = forwards[i].front().place;
    micros[i].samples = std::ssize(forwards[i]);
    for (const Listed& sample : forwards[i]) micros[i].sample_tokens += sample.rows();
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
