// Adding gradients up over shards and ranks.
#include "train/gradient_sum.h"

#include <algorithm>
#include <cstring>

#include "train/batches.h"

namespace sllm {
namespace {

void add(float* sum, const float* more, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum[i] += more[i];
}

// Neighbouring parameters whose parts travel in one message, the last ones first, as the backward
// pass completes them.
std::vector<std::vector<size_t>> make_buckets(const std::vector<Parameter>& parameters) {
  std::vector<std::vector<size_t>> buckets;
  int64_t size = kSlice;
  for (size_t p = parameters.size(); p-- > 0;) {
    if (size >= kSlice) buckets.emplace_back(), size = 0;
    buckets.back().push_back(p);
    size += parameters[p].weight.tensor().size();
  }
  return buckets;
}

// One message to and from each rank, of numbers.
struct Mail {
  std::vector<std::vector<float>> out, in;
  explicit Mail(int ranks) : out(static_cast<size_t>(ranks)), in(out) {}
  void exchange(Ranks& ranks) {
    Ranks::Out from;
    Ranks::In to;
    for (const auto& part : out) from.push_back(std::as_bytes(std::span(part)));
    for (auto& part : in) to.push_back(std::as_writable_bytes(std::span(part)));
    ranks.exchange(from, to);
  }
};

}  // namespace

void GradientTree::push(Node node) {
  while (!nodes_.empty() && nodes_.back().width == node.width &&
         nodes_.back().begin % (2 * node.width) == 0) {
    Node left = std::move(nodes_.back());
    nodes_.pop_back();
    if (left.values.defined())
      add(left.values.data<float>(), node.values.data<float>(), left.values.size());
    left.width *= 2;
    node = std::move(left);
  }
  nodes_.push_back(std::move(node));
}

Tensor GradientTree::root() {
  while (nodes_.size() > 1) {
    const Node right = std::move(nodes_.back());
    nodes_.pop_back();
    add(nodes_.back().values.data<float>(), right.values.data<float>(), right.values.size());
  }
  return nodes_.empty() ? Tensor() : nodes_.front().values;
}

std::vector<GradientTree::Node> GradientTree::shape(int64_t first, int64_t last) {
  GradientTree tree;
  for (int64_t i = first; i < last; ++i) tree.push({i, 1, {}});
  return tree.nodes_;
}

GradientSum::GradientSum(Tape& tape, const Trainable& trained, Ranks& ranks, int64_t shards)
    : tape_(tape),
      trained_(trained),
      ranks_(ranks),
      shards_(shards),
      shard_(first_shard(ranks.rank(), ranks.size(), shards)),
      trees_(trained.parameters().size()),
      parts_(trees_.size()),
      exists_(trees_.size()),
      complete_(trees_.size()) {
  for (size_t p = 0; p < trees_.size(); ++p)
    parameter_of_[trained.parameters()[p].weight.tensor().id()] = p;
  if (ranks.size() > 1) buckets_ = make_buckets(trained.parameters());
}

GradientSum::~GradientSum() {
  if (!exchanger_.joinable()) return;
  complete();  // an exception is on its way: the others get what they wait for all the same
  exchanger_.join();
}

void GradientSum::complete() {
  const std::lock_guard lock(mutex_);
  std::fill(complete_.begin(), complete_.end(), uint8_t{1});
  changed_.notify_one();
}

std::pair<int64_t, int64_t> GradientSum::shards_of(int rank) const {
  return {first_shard(rank, ranks_.size(), shards_), first_shard(rank + 1, ranks_.size(), shards_)};
}

void GradientSum::push(size_t parameter, Tensor gradient) {
  if (gradient.defined())
    exists_[parameter] = 1;
  else if (shards_ > 1)  // nothing of this shard reached it
    gradient = Tensor::zeros(DType::kF32, trained_.parameters()[parameter].weight.tensor().shape());
  else
    return;
  trees_[parameter].push({shard_, 1, std::move(gradient)});
}

void GradientSum::ready(const Tensor& leaf) {
  const auto at = parameter_of_.find(leaf.id());
  if (at == parameter_of_.end()) return;  // a parameter's gradient is derived from it later
  push(at->second, tape_.take_grad(leaf.id()));
  if (!exchanger_.joinable()) exchanger_ = std::thread([this] { exchange_buckets(); });
  const std::lock_guard lock(mutex_);
  complete_[at->second] = 1;
  changed_.notify_one();
}

void GradientSum::end_shard() {
  for (size_t p = 0; p < trees_.size(); ++p)  // only this thread sets complete_
    if (!complete_[p]) push(p, tape_.take_grad(trained_.parameters()[p].weight.tensor().id()));
  ++shard_;
}

void GradientSum::finish() {
  if (ranks_.size() == 1) {
    for (size_t p = 0; p < trees_.size(); ++p) parts_[p] = trees_[p].root();
    return;
  }
  complete();
  if (exchanger_.joinable())
    exchanger_.join();
  else
    exchange_buckets();
  // A parameter that no shard of any rank reached is left alone, as if one rank had them all.
  const size_t n = exists_.size();
  std::vector<uint8_t> all(n * static_cast<size_t>(ranks_.size()));
  std::copy(exists_.begin(), exists_.end(),
            all.begin() + static_cast<std::ptrdiff_t>(n) * ranks_.rank());
  std::vector<int64_t> begins;
  for (int r = 0; r <= ranks_.size(); ++r) begins.push_back(r * static_cast<int64_t>(n));
  ranks_.gather<uint8_t>(std::span(all), begins);
  for (size_t i = 0; i < all.size(); ++i) exists_[i % n] |= all[i];
}

Tensor GradientSum::part(size_t parameter) const {
  return exists(parameter) ? parts_[parameter] : Tensor();
}

void GradientSum::exchange_buckets() {
  for (const auto& bucket : buckets_) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return std::all_of(bucket.begin(), bucket.end(), [&](size_t p) { return complete_[p]; });
      });
    }
    exchange(bucket);
  }
}

// Everybody sends the nodes of each parameter, as much of them as is the receiver's part; that of
// this rank is added up.
void GradientSum::exchange(std::span<const size_t> bucket) {
  const Slices& slices = trained_.slices();
  const int me = ranks_.rank();
  Mail mail(ranks_.size());
  std::vector<std::vector<GradientTree::Node>> nodes;  // of each rank
  for (int r = 0; r < ranks_.size(); ++r) {
    const auto [first, last] = shards_of(r);
    nodes.push_back(GradientTree::shape(first, last));
  }
  const auto count = [&](int r) {
    return static_cast<int64_t>(nodes[static_cast<size_t>(r)].size());
  };
  for (int r = 0; r < ranks_.size(); ++r) {
    if (r == me) continue;
    auto& out = mail.out[static_cast<size_t>(r)];
    int64_t in = 0;
    for (const size_t p : bucket) {
      const Part part = slices.part(r, p);
      in += count(r) * slices.part(me, p).size();
      const auto& mine = trees_[p].nodes();
      if (std::ssize(mine) != count(me)) {  // this rank failed: only the length matters
        out.resize(out.size() + static_cast<size_t>(count(me) * part.size()));
        continue;
      }
      for (const GradientTree::Node& node : mine) {
        const float* values = node.values.data<float>();
        out.insert(out.end(), values + part.begin, values + part.end);
      }
    }
    mail.in[static_cast<size_t>(r)].resize(static_cast<size_t>(in));
  }
  mail.exchange(ranks_);
  std::vector<size_t> read(mail.in.size(), 0);
  for (const size_t p : bucket) {
    const Part part = slices.part(me, p);
    if (part.size() > 0 && std::ssize(trees_[p].nodes()) == count(me)) {
      GradientTree tree;
      for (int r = 0; r < ranks_.size(); ++r)
        for (size_t i = 0; i < nodes[static_cast<size_t>(r)].size(); ++i) {
          GradientTree::Node node = nodes[static_cast<size_t>(r)][i];
          node.values = Tensor::empty(DType::kF32, {part.size()});
          const float* from =
              r == me ? trees_[p].nodes()[i].values.data<float>() + part.begin
                      : mail.in[static_cast<size_t>(r)].data() + read[static_cast<size_t>(r)];
          std::memcpy(node.values.raw(), from, static_cast<size_t>(node.values.bytes()));
          if (r != me) read[static_cast<size_t>(r)] += static_cast<size_t>(part.size());
          tree.push(std::move(node));
        }
      parts_[p] = tree.root();
    }
    trees_[p].clear();
  }
}

void spread_values(Trainable& trained, Ranks& ranks) {
  if (ranks.size() == 1) return;
  const Slices& slices = trained.slices();
  for (const auto& bucket : make_buckets(trained.parameters())) {
    Mail mail(ranks.size());
    std::vector<float> mine;
    for (const size_t p : bucket) {
      const float* values = trained.parameters()[p].weight.tensor().data<float>();
      const Part part = slices.part(ranks.rank(), p);
      mine.insert(mine.end(), values + part.begin, values + part.end);
    }
    for (int r = 0; r < ranks.size(); ++r) {
      if (r == ranks.rank()) continue;
      mail.out[static_cast<size_t>(r)] = mine;
      int64_t n = 0;
      for (const size_t p : bucket) n += slices.part(r, p).size();
      mail.in[static_cast<size_t>(r)].resize(static_cast<size_t>(n));
    }
    mail.exchange(ranks);
    for (int r = 0; r < ranks.size(); ++r) {
      const float* from = mail.in[static_cast<size_t>(r)].data();
      for (const size_t p : bucket) {
        if (r == ranks.rank()) break;
        Weight& weight = trained.parameters()[p].weight;
        const Part part = slices.part(r, p);
        if (part.size() == 0) continue;
        std::memcpy(weight.tensor().data<float>() + part.begin, from,
                    static_cast<size_t>(part.size()) * sizeof(float));
        from += part.size();
        weight.prepared() = nullptr;
      }
    }
  }
}

}  // namespace sllm
