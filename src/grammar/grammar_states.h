// What is known of one grammar over one vocabulary: its automaton's states, and the tokens that may
// come next in each. Answers that keep to the same grammar share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/constraint_vocabulary.h"

namespace sllm {

// For one thread at a time. Masks do not depend on what was asked before, by this answer or another
// one: all of a mask comes of states within the bounds, or it is made with states for it alone.
class GrammarStates {
 public:
  using State = GrammarAutomaton::State;
  GrammarStates(std::shared_ptr<const Grammar> grammar,
                std::shared_ptr<const ConstraintVocabulary> vocabulary);
  // Begins anew with one state of `other`, which gets its number here.
  GrammarStates(const GrammarStates& other, State& state);

  const ConstraintVocabulary& vocabulary() const { return *vocabulary_; }
  GrammarAutomaton& automaton() { return automaton_; }
  const GrammarAutomaton& automaton() const { return automaton_; }
  bool full() const { return automaton_.work() > kMaxWork || automaton_.bytes() > kMaxBytes; }
  size_t bytes() const;  // of memory, about

  struct Allowed {
    std::vector<uint64_t> bits;  // by token
    uint64_t used = 0;           // when
    bool any = false;
  };
  const Allowed* find(State state);  // null: not known yet
  // Walks through the vocabulary; kDead stands for an answer that has ended. Null when interrupted,
  // and when the states would become too many. Then, if they were made for this state `alone`, only
  // some of the tokens that may come next are left, among them all of one byte; or none, if even
  // these cannot be told.
  const Allowed* walk(State state, bool alone, const std::atomic<bool>* interrupt);

  static constexpr uint64_t kMaxWork = 4'000'000;        // nodes visited to make the states
  static constexpr size_t kMaxBytes = 32 * 1024 * 1024;  // of states
  static constexpr size_t kMaxMasks = 8 * 1024 * 1024;   // of masks, in bytes

 private:
  bool walk_all(Allowed& allowed, State state, const std::atomic<bool>* interrupt);
  bool walk_bytes(Allowed& allowed, State state, const std::atomic<bool>* interrupt);
  void allow(Allowed& allowed, size_t node) const;

  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  size_t grammar_bytes_;
  GrammarAutomaton automaton_;
  uint64_t now_ = 0;
  std::unordered_map<State, Allowed> known_;
  std::vector<State> path_;  // of a walk: the state after each byte of the token at hand
};

// The states of the grammars that were asked for last. Equal ones share them, wherever they come
// from. For one thread at a time.
class GrammarCache {
 public:
  explicit GrammarCache(std::shared_ptr<const ConstraintVocabulary> vocabulary)
      : vocabulary_(std::move(vocabulary)) {}

  std::shared_ptr<GrammarStates> states(const std::shared_ptr<const Grammar>& grammar);

  static constexpr size_t kMaxBytes = 64 * 1024 * 1024;  // when one more is asked for

 private:
  struct Entry {
    std::shared_ptr<const Grammar> grammar;
    std::shared_ptr<GrammarStates> states;
  };
  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  std::list<Entry> entries_;  // the one asked for last comes first
};

}  // namespace sllm
