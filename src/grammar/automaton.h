// A grammar as a machine that reads bytes: a pushdown automaton whose states are made when they are
// first met, and kept with where each byte leads.
//
// A state is a set of pairs (node that waits for a byte, what follows its rule); what follows is a
// set of such pairs again: (node to go on with, what follows that one's rule). Pairs of one node
// are merged, so a state has no more of them than the grammar has nodes, whatever the number of
// ways to read the text (the graph-structured stack of generalized LR and LL parsers: Tomita 1987;
// Scott and Johnstone 2010).
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/pair_sets.h"

namespace sllm {

class GrammarAutomaton {
 public:
  using State = uint32_t;
  static constexpr State kDead = 1;  // the text is none of the grammar's beginnings

  explicit GrammarAutomaton(std::shared_ptr<const Grammar> grammar);

  State start() const { return start_; }
  State step(State state, uint8_t byte) {
    const size_t at = state * classes_ + program_->class_of[byte];
    return rows_[at] != kUnknown ? rows_[at] : make_step(at);
  }
  // The text may end here; a byte may follow.
  bool may_end(State state) const { return ends(states_[state]); }
  bool goes_on(State state) const { return states_[state].size() > (may_end(state) ? 1u : 0u); }

  // What the states known so far take in memory, in bytes, about; and how many nodes were visited
  // to make them, which is what costs time.
  size_t bytes() const;
  uint64_t work() const { return work_; }
  // Forgets all states but `kept` and the first; returns its new number.
  State forget_others(State kept);

 private:
  using Stack = uint32_t;  // a number in stacks_
  using Pair = PairSets::Pair;
  static constexpr State kUnknown = 0;
  static constexpr uint32_t kEnd = UINT32_MAX;  // in a pair's place of a node: the text's end
  // Within one step a node can be reached in a rule that goes on (`old`, with what follows it) and
  // in one that was just called (`fresh`: what follows is known when all callers are).
  struct Visit {
    uint32_t old_step = 0, fresh_step = 0;
    Stack stack = 0;
  };

  static bool ends(std::span<const Pair> set) { return !set.empty() && set.back().first == kEnd; }
  void begin();
  void begin_step();
  State make_step(size_t at);
  void reach_old(uint32_t node, Stack stack);
  void reach_fresh(uint32_t node);
  void list(uint32_t node);
  State close();
  void find_stacks();
  Stack merge(std::vector<Pair>& pairs, int depth);
  Stack unite(Stack a, Stack b, int depth = 0);

  std::shared_ptr<const Grammar> grammar_;
  const GrammarProgram* program_;
  size_t classes_;
  PairSets states_, stacks_;
  std::vector<State> rows_;                     // a state's next states, by class of bytes
  std::unordered_map<uint64_t, Stack> unions_;  // of two stacks
  State start_ = kDead;
  uint64_t work_ = 0;

  // Of the step at hand.
  uint32_t step_ = 0;
  bool end_reached_ = false;
  std::vector<Visit> visits_;                    // by node
  std::vector<std::pair<uint32_t, bool>> todo_;  // node, fresh
  std::vector<uint32_t> waiting_;                // nodes that wait for a byte
  std::vector<uint32_t> called_;                 // rules
  std::vector<std::vector<uint32_t>> callers_;   // by rule
  std::vector<Stack> follows_;                   // by rule
  std::vector<Pair> pairs_;
};

}  // namespace sllm
