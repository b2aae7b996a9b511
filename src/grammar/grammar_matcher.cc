#include "grammar/grammar_matcher.h"

#include <algorithm>
#include <limits>

namespace sllm {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

bool has(const std::vector<uint64_t>& bits, size_t token) {
  return token / 64 < bits.size() && (bits[token / 64] >> token % 64 & 1) != 0;
}

}  // namespace

GrammarMatcher::GrammarMatcher(std::shared_ptr<GrammarStates> states)
    : states_(std::move(states)), state_(states_->automaton().start()) {}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               std::shared_ptr<const ConstraintVocabulary> vocabulary)
    : GrammarMatcher(std::make_shared<GrammarStates>(std::move(grammar), std::move(vocabulary))) {}

bool GrammarMatcher::mask(std::span<float> logits, const std::atomic<bool>* interrupt) {
  const GrammarStates::Allowed* allowed = this->allowed(interrupt);
  if (!allowed) return std::ranges::fill(logits, kNever), false;
  for (size_t from = 0; from < logits.size(); from += 64) {
    const uint64_t word = from / 64 < allowed->bits.size() ? allowed->bits[from / 64] : 0;
    if (word == ~uint64_t{0}) continue;
    const size_t to = std::min(logits.size(), from + 64);
    for (size_t i = from; i < to; ++i)
      if ((word >> (i - from) & 1) == 0) logits[i] = kNever;
  }
  return allowed->any;
}

bool GrammarMatcher::accept(TokenId token) {
  const ConstraintVocabulary& vocabulary = states_->vocabulary();
  if (ended_) return vocabulary.is_end(token);
  if (vocabulary.is_end(token)) {
    if (!may_end() && !has(allowed(nullptr)->bits, static_cast<size_t>(token))) return false;
    return ended_ = true;
  }
  const std::string_view text = vocabulary.text(token);
  if (text.empty()) return false;
  make_room();
  const State state = after(state_, text);
  if (state == GrammarAutomaton::kDead) return false;
  state_ = state;
  return true;
}

size_t GrammarMatcher::fitting(std::span<const TokenId> tokens) {
  make_room();
  const ConstraintVocabulary& vocabulary = states_->vocabulary();
  State state = state_;
  for (size_t n = 0; n < tokens.size(); ++n) {
    // Nothing but another end follows an end, so it is the last that is of use.
    if (ended_) return n + vocabulary.is_end(tokens[n]);
    if (vocabulary.is_end(tokens[n])) return n + states_->automaton().may_end(state);
    const std::string_view text = vocabulary.text(tokens[n]);
    if (text.empty()) return n;
    if ((state = after(state, text)) == GrammarAutomaton::kDead) return n;
  }
  return tokens.size();
}

GrammarMatcher::State GrammarMatcher::after(State state, std::string_view text) {
  for (const char byte : text)
    if ((state = states_->automaton().step(state, static_cast<uint8_t>(byte))) ==
        GrammarAutomaton::kDead)
      break;
  return state;
}

// States of this answer's own, with nothing in them but where it stands.
void GrammarMatcher::leave_others() { states_ = std::make_shared<GrammarStates>(*states_, state_); }

void GrammarMatcher::make_room() {
  if (states_->automaton().bytes() > GrammarStates::kMaxBytes) leave_others();
}

// Null: interrupted.
const GrammarStates::Allowed* GrammarMatcher::allowed(const std::atomic<bool>* interrupt) {
  const auto state = [&] { return ended_ ? GrammarAutomaton::kDead : state_; };
  if (const auto* known = states_->find(state())) return known;
  const bool alone = !ended_ && states_->full();
  if (alone) leave_others();
  const auto* made = states_->walk(state(), alone, interrupt);
  if (made || alone || (interrupt && *interrupt)) return made;
  leave_others();
  return states_->walk(state(), true, interrupt);
}

}  // namespace sllm
