// The tape: reverse-mode differentiation over whole matrices.
#include "ops/ops.h"

namespace sllm {

void Tape::watch(const Tensor& leaf) { watched_.emplace(leaf.id(), leaf); }

bool Tape::needs(uint64_t id) const {
  return id != 0 && (flows_.contains(id) || watched_.contains(id));
}

void Tape::record(const Var& output, const std::vector<uint64_t>& inputs, Backward backward) {
  Node node{output.id, {}, std::move(backward)};
  for (uint64_t id : inputs)
    if (watched_.contains(id)) node.leaves.push_back(id), ++pending_[id];
  flows_.insert(output.id);
  nodes_.push_back(std::move(node));
}

Tensor Tape::grad(const Var& v) {
  auto [at, fresh] = grads_.try_emplace(v.id);
  if (fresh) at->second = Tensor::zeros(DType::kF32, v.shape);
  return at->second;
}

Tape::Share Tape::share(const Var& v) {
  auto [at, fresh] = grads_.try_emplace(v.id);
  if (fresh) at->second = Tensor::empty(DType::kF32, v.shape);
  return {at->second.data<float>(), !fresh};
}

void Tape::add_grad(Backend& backend, const Var& v, Tensor g) {
  if (!needs(v.id)) return;
  auto [at, fresh] = grads_.try_emplace(v.id, g);
  if (fresh) return;
  float* sum = at->second.data<float>();
  backend.add(sum, sum, g.data<float>(), g.size());
}

Tensor Tape::take_grad(uint64_t id) {
  auto node = grads_.extract(id);
  return node ? std::move(node.mapped()) : Tensor();
}

void Tape::backward(const std::function<void(const Tensor& leaf)>& on_ready) {
  const auto ready = [&](uint64_t id) {
    if (on_ready && has_grad(id)) on_ready(watched_.at(id));
  };
  for (const auto& [id, leaf] : watched_)
    if (!pending_.contains(id)) ready(id);
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();
    if (Tensor dy = take_grad(node.output); dy.defined()) node.backward(*this, dy);
    node.backward = {};  // frees what it saved before the next one allocates
    for (uint64_t id : node.leaves)
      if (--pending_[id] == 0) ready(id);
  }
  flows_.clear();
  pending_.clear();
}

void Tape::clear() {
  nodes_.clear();
  grads_.clear();
  pending_.clear();
  flows_.clear();
}

Saved::Saved(Context& ctx, const Tensor& x) : kept_(x) {
  if (ctx.numerics == Numerics::kExact) return;
  kept_ = Tensor::empty(DType::kBF16, x.shape());
  ctx.backend.to_bf16(kept_.data<bf16>(), x.data<float>(), x.size());
}

Tensor Saved::f32(Backend& backend) const {
  if (kept_.dtype() == DType::kF32) return kept_;
  Tensor x = Tensor::empty(DType::kF32, kept_.shape());
  backend.from_bf16(x.data<float>(), kept_.data<bf16>(), x.size());
  return x;
}

}  // namespace sllm
