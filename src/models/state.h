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

// All pages of one engine, with a limit. A page holds KvView::kBlockTokens tokens of every layer.
// Thread-compatible (one engine thread). States may outlive their pool.
class StatePool {
 public:
  // kv: F32 (exact), F16 or BF16. max_tokens: how many tokens of all sequences fit.
  StatePool(const ModelConfig& config, DType kv, int64_t max_tokens);
  ~StatePool();
  int64_t free_tokens() const;
  int64_t bytes() const;  // memory if all pages are in use
  static int64_t bytes_per_token(const ModelConfig& config, DType kv);
  struct Impl;

 private:
  friend class SequenceState;
  std::shared_ptr<Impl> impl_;
};

class SequenceState {
 public:
  explicit SequenceState(StatePool& pool);
  ~SequenceState();
  SequenceState(SequenceState&&) noexcept;
  SequenceState& operator=(SequenceState&&) noexcept;

  int64_t length() const;  // tokens remembered
  // Makes room for new_tokens behind length(), copying a shared page that they would touch.
  Status reserve(int64_t new_tokens);  // kResource when the pool is full
  // Writes T rows k, v [T, Hk*Dh] f32 of one layer at `position`; reserve() came before. Writing
  // again before advance() overwrites, so an interrupted forward can simply be run again.
  void append(int64_t layer, int64_t position, const float* k, const float* v, int64_t T);
  void advance(int64_t T);  // after all layers
  // Valid until the next reserve() or truncate().
  KvView view(int64_t layer) const;
  SequenceState fork() const;  // shares all pages; whoever writes to a shared one copies it
  void truncate(int64_t length);

 private:
  struct Impl;
  explicit SequenceState(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sllm
