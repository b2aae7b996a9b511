// Sequence state: what a model remembers of one sequence, whatever that is (paged KV here; windowed
// or recurrent states later). Pages are shared between forks and copied on write.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "io/model_config.h"
#include "ops/backend.h"

namespace sllm {

// All pages of one engine, with a limit. Thread-compatible (one engine thread).
class StatePool {
 public:
  // kv: F32 (exact), F16 or BF16. max_tokens: how many tokens of all sequences fit.
  StatePool(const ModelConfig& config, DType kv, int64_t max_tokens);
  ~StatePool();
  int64_t free_tokens() const;
  int64_t bytes() const;  // memory if all pages are in use
  struct Impl;
  Impl& impl() { return *impl_; }
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

class SequenceState {
 public:
  explicit SequenceState(StatePool& pool);
  ~SequenceState();
  SequenceState(SequenceState&&) noexcept;
  SequenceState& operator=(SequenceState&&) noexcept;

  int64_t length() const;              // tokens remembered
  Status reserve(int64_t new_tokens);  // kResource when the pool is full
  // Appends T rows k, v [T, Hk*Dh] f32 of one layer at `position`; reserve() came before.
  void append(int64_t layer, int64_t position, const float* k, const float* v, int64_t T);
  void advance(int64_t T);  // after all layers
  KvView view(int64_t layer) const;
  SequenceState fork() const;  // shares full pages, copies the last
  void truncate(int64_t length);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sllm
