// One answer's way through a grammar: which tokens may come next.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string_view>

#include "grammar/grammar_states.h"

namespace sllm {

// For one thread at a time, with all that share its states. A token may come next where its bytes
// go on with a text of the grammar, and one that ends the answer where the text may end.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<GrammarStates> states);
  GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                 std::shared_ptr<const ConstraintVocabulary> vocabulary);

  // Sets the logit of every token that may not come next to -infinity; logits beyond the vocabulary
  // are such. Where no token fits, for the vocabulary cannot spell what must come, those that end
  // the answer are left; false: it has none either, or the grammar is so ambiguous that not even
  // the tokens of one byte can be told in GrammarStates::kMaxWork, or `interrupt` was set, and all
  // are -infinity.
  // It takes a walk through the vocabulary where the text is in a state that was not met before in
  // an answer of this grammar. Where a grammar is so ambiguous that this would take too long, only
  // some of the tokens that may come next are left, among them all of one byte.
  bool mask(std::span<float> logits, const std::atomic<bool>* interrupt = nullptr);

  // Goes on by a token; false, and nothing changes, when it may not come next.
  bool accept(TokenId token);
  // How many of `tokens` could come next, one after the other; nothing changes.
  size_t fitting(std::span<const TokenId> tokens);
  // The text is complete; nothing but the end may follow.
  bool may_end() const { return ended_ || states_->automaton().may_end(state_); }
  bool must_end() const { return ended_ || !states_->automaton().goes_on(state_); }

 private:
  using State = GrammarStates::State;
  void leave_others();
  void make_room();
  const GrammarStates::Allowed* allowed(const std::atomic<bool>* interrupt);
  State after(State state, std::string_view text);

  std::shared_ptr<GrammarStates> states_;
  State state_;
  bool ended_ = false;
};

}  // namespace sllm
