// Which samples make a step, in which order, and how they are packed into forwards. All of it is a
// function of the seed and a cursor, so a resumed run goes on where it was.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"
#include "train/options.h"
#include "train/samples.h"

namespace sllm {

struct Cursor {
  int64_t epoch = 0;
  int64_t position = 0;  // items of this epoch already used
  bool operator==(const Cursor&) const = default;
};

// One of the parts that a step's items are divided into: shard `index` of `count`, by the rank that
// has the shards [first, last).
struct Shard {
  int64_t index = 0, count = 1;
  int64_t first = 0, last = 1;
};
// A rank computes the shards [first_shard(rank), first_shard(rank + 1)).
inline int64_t first_shard(int rank, int ranks, int64_t shards) { return shards * rank / ranks; }
// Where the shards of a step begin in its items, and the end: they follow each other and have about
// as many tokens each, and at least one item where there are enough.
std::vector<int64_t> divide(const SampleSet& data, std::span<const uint32_t> items, int64_t shards);

class Schedule {
 public:
  Schedule(const SampleSet& data, const TuneOptions& options);
  // The items of the step at `cursor`, which moves on; a step never spans two epochs.
  std::vector<uint32_t> next(Cursor& cursor);
  int64_t total_steps() const { return total_steps_; }
  int64_t total_tokens() const { return total_tokens_; }  // of all steps

 private:
  const std::vector<uint32_t>& order(int64_t epoch);
  const SampleSet& data_;
  const TuneOptions& options_;
  int64_t cached_epoch_ = -1;
  std::vector<uint32_t> order_;
  int64_t total_steps_ = 0, total_tokens_ = 0;
};

// Samples side by side in one forward, none seeing another. Where samples begin alike, and nothing
// of it is learned, a segment of its own holds their beginning once (Segment::before).
struct MicroBatch {
  Batch batch;
  std::vector<int32_t> targets;
  std::vector<float> weights;   // of each row in the loss; 0: not learned
  std::vector<int32_t> owners;  // whose learned row it is, by place in pack()'s list; -1: nobody's
  // In how many of the samples of which all is learned (PackOptions::whole_first) the row predicts
  // its target.
  std::vector<float> wholes;
  int64_t sample_tokens = 0;       // of the samples, each for itself: at least as many as rows
  int64_t first = 0, samples = 0;  // which of pack()'s list: [first, first + samples)
};

struct PackOptions {
  int64_t micro_tokens = 1024;  // of a forward at most, unless one sample alone has more
  float row_weight = 1;         // of a learned row
  const BoundAdapter* adapter = nullptr;
  bool share_beginnings = false;  // only for models of which shares_beginnings() holds
  // So many neighbours of the list go into one forward together, if it holds them.
  int64_t group = 1;
  bool whole_first = false;  // the first of each group also learns its prompt (MicroBatch::wholes)
};
std::vector<MicroBatch> pack(const SampleSet& data, std::span<const uint32_t> samples,
                             const PackOptions& options);

// Whether a model can compute what texts begin with once for all of them: every layer attends, each
// row to what is before it, and the length of a text does not change how its beginning is turned.
bool shares_beginnings(const ModelConfig& config);

// torch's and transformers' learning-rate schedules: the factor of step `step` (from 0) of `total`.
double lr_factor(const TuneOptions& options, int64_t step, int64_t total);

}  // namespace sllm
