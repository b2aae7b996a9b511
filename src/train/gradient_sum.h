// The gradient of a step from those of its shards, each of which is computed as if it were alone.
// They are added as a tree that depends on nothing but their number: neighbours first, then pairs
// of pairs, so that a rank that has some of them adds what it can by itself and the sum is the
// same, bit for bit, whoever has which.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ranks/ranks.h"
#include "train/slices.h"
#include "train/trainable.h"

namespace sllm {

// Of one parameter: the sums of neighbouring shards [begin, begin + width) that are whole by now.
class GradientTree {
 public:
  struct Node {
    int64_t begin = 0, width = 1;
    Tensor values;
  };
  void push(Node node);  // the next one; its values are not to be used any more
  const std::vector<Node>& nodes() const { return nodes_; }
  Tensor root();  // of all that was pushed; undefined: of nothing
  void clear() { nodes_.clear(); }
  // What a rank with the shards [first, last) has when all are pushed, without values.
  static std::vector<Node> shape(int64_t first, int64_t last);

 private:
  std::vector<Node> nodes_;
};

class GradientSum {
 public:
  GradientSum(Tape& tape, const Trainable& trained, Ranks& ranks, int64_t shards);
  ~GradientSum();
  // For the backward of the last forward of this rank's last shard: while the rest of it goes on,
  // gradients that are complete are on their way to the ranks that use them.
  void ready(const Tensor& leaf);
  // Takes the gradients of one shard from the tape.
  void end_shard();
  // Collective, also for a rank that could not compute its shards; then the sum is worthless.
  void finish();
  // After finish(): this rank's part of the sum for a parameter, Slices::part; undefined where no
  // shard has a gradient of it.
  Tensor part(size_t parameter) const;
  bool exists(size_t parameter) const { return exists_[parameter] != 0; }

 private:
  void push(size_t parameter, Tensor gradient);
  void complete();
  void exchange_buckets();
  void exchange(std::span<const size_t> bucket);
  std::pair<int64_t, int64_t> shards_of(int rank) const;

  Tape& tape_;
  const Trainable& trained_;
  Ranks& ranks_;
  int64_t shards_, shard_;                             // in all; the one that is computed
  std::unordered_map<uint64_t, size_t> parameter_of_;  // by the tensor's id
  std::vector<GradientTree> trees_;
  std::vector<Tensor> parts_;
  std::vector<uint8_t> exists_;
  // What the thread that exchanges has been told: which parameters are complete.
  std::vector<std::vector<size_t>> buckets_;
  std::vector<uint8_t> complete_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread exchanger_;
};

// The values of all parameters, each rank having changed its own parts. Collective.
void spread_values(Trainable& trained, Ranks& ranks);

}  // namespace sllm
