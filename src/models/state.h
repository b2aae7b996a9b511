// Sequence state: what a model remembers of one sequence. Layers that attend keep keys and values
// of every token, in pages that forks share and copy on write. Layers that convolve or run the
// delta rule keep a state of fixed size (f32), which each forward replaces; forks share it too.
//
// What a model with such recurrent layers cannot do: its state of fewer tokens cannot be had from
// that of more. truncate() then only goes to 0 or stays; to come back later, take a snapshot()
// before (it is cheap) or fork().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "io/model_config.h"
#include "ops/backend.h"

namespace sllm {

// All pages of one engine, with a limit. A page holds KvView::kBlockTokens tokens of every layer
// that attends. Fixed states do not count against the limit: each sequence has at most two of
// bytes_per_sequence(), the present one and the one that a forward is making, and every snapshot or
// fork keeps the one that it shares alive. Thread-compatible (one engine thread). States may
// outlive their pool.
class StatePool {
 public:
  // kv: as can_hold says. max_tokens: how many tokens of all sequences fit.
  StatePool(const ModelConfig& config, DType kv, int64_t max_tokens);
  // F32 (exact), F16 and BF16; Q8_0 where a head is a multiple of its blocks of 32 wide.
  static bool can_hold(const ModelConfig& config, DType kv);
  ~StatePool();
  int64_t free_tokens() const;
  int64_t bytes() const;  // memory if all pages are in use
  // How many pages take as much memory as the two fixed states of a sequence; 0 without such.
  int64_t pages_of_fixed() const;
  static int64_t bytes_per_token(const ModelConfig& config, DType kv);  // in pages
  static int64_t bytes_per_sequence(const ModelConfig& config);         // of one fixed state
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
  // A recurrent layer's numbers [config.state_size(layer)] as they are at length(), to be moved on
  // by the new tokens; reserve() came before. They are a copy: only advance() makes them the state,
  // and asking again before that starts anew, so here too an interrupted forward can be run again.
  float* begin(int64_t layer);
  void advance(int64_t T);  // after all layers
  // Valid until the next reserve(), truncate() or restore().
  KvView view(int64_t layer) const;
  SequenceState fork() const;  // shares all pages; whoever writes to a shared one copies it

  // Forgets the tokens from `length` on. With recurrent layers: only 0 and length() are possible.
  void truncate(int64_t length);
  // A length to come back to, with the fixed state there, which it shares.
  class Snapshot {
   public:
    int64_t length() const { return length_; }

   private:
    friend class SequenceState;
    int64_t length_ = 0;
    std::shared_ptr<float> fixed_;
  };
  Snapshot snapshot() const;
  // Forgets the tokens behind the snapshot, whatever the model. `at` is of this sequence or of the
  // one that it was forked from, and nothing before its length was forgotten since.
  void restore(const Snapshot& at);

 private:
  struct Impl;
  explicit SequenceState(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sllm
