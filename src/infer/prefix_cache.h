// PrefixCache: the states of texts that were read before. A prompt that begins like one of them is
// read from there on, to the same bits: what a row becomes depends on the rows before it alone.
// Belongs to the engine's thread.
#pragma once

#include <list>
#include <optional>
#include <span>
#include <vector>

#include "models/model.h"
#include "models/state.h"
#include "text/tokenizer.h"

namespace sllm {

// What a text must share with another for its state to be of use: the weights that it was read
// with, how its positions were turned (Rope::stretches), and who sent it: how soon an answer comes
// would tell others what was asked before.
struct ReadWith {
  const BoundAdapter* adapter = nullptr;
  bool stretched = false;
  int64_t owner = 0;
  bool operator==(const ReadWith&) const = default;
};

// How many tokens at the start of both are the same.
int64_t common_beginning(std::span<const TokenId> a, std::span<const TokenId> b);

class PrefixCache {
 public:
  // Keeps at most `max_tokens`, counted in pages per text; 0: nothing. A model with recurrent
  // layers (`whole`) can go on behind all of a kept text only, others behind any of its tokens.
  PrefixCache(int64_t max_tokens, bool whole) : max_tokens_(max_tokens), whole_(whole) {}

  // Keeps the state that has read `tokens`, in place of one that a part of them made; those not
  // used for longest go.
  void keep(ReadWith with, std::span<const TokenId> tokens, SequenceState state);
  // How many tokens of `text` find() would bring; less than all, for the last one's logits are
  // wanted.
  int64_t length_of(ReadWith with, std::span<const TokenId> text) const;
  // A state of as much of the beginning of `text` as one is kept for; nothing when that is less
  // than kLeast tokens.
  std::optional<SequenceState> find(ReadWith with, std::span<const TokenId> text);
  // Frees the state that was not used for longest. False: none is kept.
  bool drop_oldest();
  void clear();

  static constexpr int64_t kLeast = 16;

 private:
  struct Entry {
    ReadWith with;
    std::vector<TokenId> tokens;
    SequenceState state;
  };
  using Entries = std::list<Entry>;
  static int64_t cost(const Entry& entry);
  // How many tokens of `text` an entry serves.
  int64_t serves(const Entry& entry, ReadWith with, std::span<const TokenId> text) const;
  template <class List>
  auto best(List& entries, ReadWith with, std::span<const TokenId> text) const;
  Entries::iterator drop(Entries::iterator entry);

  int64_t max_tokens_, kept_ = 0;
  bool whole_;
  Entries entries_;  // the one used last comes first
};

}  // namespace sllm
