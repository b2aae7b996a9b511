#include "grammar/grammar_matcher.h"

#include <algorithm>
#include <limits>

namespace sllm {
namespace {

constexpr size_t kMaxKnown = 64;  // masks; one bit per token each
constexpr float kNever = -std::numeric_limits<float>::infinity();

bool has(const std::vector<uint64_t>& bits, size_t token) {
  return token / 64 < bits.size() && (bits[token / 64] >> token % 64 & 1) != 0;
}
void set(std::vector<uint64_t>& bits, TokenId token) {
  bits[static_cast<size_t>(token) / 64] |= uint64_t{1} << token % 64;
}

}  // namespace

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar,
                               std::shared_ptr<const ConstraintVocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      automaton_(std::move(grammar)),
      state_(automaton_.start()),
      path_(vocabulary_->depth() + 1) {}

bool GrammarMatcher::mask(std::span<float> logits) {
  const Allowed& allowed = this->allowed();
  for (size_t from = 0; from < logits.size(); from += 64) {
    const uint64_t word = from / 64 < allowed.bits.size() ? allowed.bits[from / 64] : 0;
    if (word == ~uint64_t{0}) continue;
    const size_t to = std::min(logits.size(), from + 64);
    for (size_t i = from; i < to; ++i)
      if ((word >> (i - from) & 1) == 0) logits[i] = kNever;
  }
  return allowed.any;
}

bool GrammarMatcher::accept(TokenId token) {
  if (ended_) return vocabulary_->is_end(token);
  if (vocabulary_->is_end(token)) {
    if (!may_end() && !has(allowed().bits, static_cast<size_t>(token))) return false;
    return ended_ = true;
  }
  const std::string_view text = vocabulary_->text(token);
  if (text.empty()) return false;
  make_room();
  const State state = after(state_, text);
  if (state == GrammarAutomaton::kDead) return false;
  state_ = state;
  return true;
}

GrammarAutomaton::State GrammarMatcher::after(State state, std::string_view text) {
  for (const char byte : text)
    if ((state = automaton_.step(state, static_cast<uint8_t>(byte))) == GrammarAutomaton::kDead)
      break;
  return state;
}

size_t GrammarMatcher::fitting(std::span<const TokenId> tokens) {
  make_room();
  State state = state_;
  for (size_t n = 0; n < tokens.size(); ++n) {
    if (ended_ || vocabulary_->is_end(tokens[n]))  // nothing but another end follows an end
      return n + (ended_ ? vocabulary_->is_end(tokens[n]) : automaton_.may_end(state));
    const std::string_view text = vocabulary_->text(tokens[n]);
    state = text.empty() ? GrammarAutomaton::kDead : after(state, text);
    if (state == GrammarAutomaton::kDead) return n;
  }
  return tokens.size();
}

// States have the numbers in which they were made; those of all masks are forgotten with them.
void GrammarMatcher::make_room() {
  if (automaton_.bytes() <= kMaxBytes) return;
  state_ = automaton_.forget_others(state_);
  known_.clear();
}

const GrammarMatcher::Allowed& GrammarMatcher::allowed() {
  make_room();
  // After the end there is no state; kDead stands for it.
  const State state = ended_ ? GrammarAutomaton::kDead : state_;
  if (const auto known = known_.find(state); known != known_.end()) {
    known->second.used = ++now_;
    return known->second;
  }
  if (known_.size() >= kMaxKnown)
    known_.erase(
        std::ranges::min_element(known_, {}, [](const auto& entry) { return entry.second.used; }));
  Allowed allowed;  // kept when it is whole
  allowed.used = ++now_;
  allowed.bits.assign(static_cast<size_t>(vocabulary_->size() + 63) / 64, 0);
  const bool told = ended_ || walk(allowed);
  if (told && (!allowed.any || may_end()))
    for (const TokenId end : vocabulary_->end_ids()) set(allowed.bits, end), allowed.any = true;
  return known_.insert_or_assign(state, std::move(allowed)).first->second;
}

void GrammarMatcher::allow(Allowed& allowed, size_t node) const {
  const auto nodes = vocabulary_->nodes();
  for (uint32_t i = nodes[node].first_token; i < nodes[node + 1].first_token; ++i) {
    set(allowed.bits, vocabulary_->by_node()[i]);
    allowed.any = true;
  }
}

// Depth first through the tree of tokens, so that what they begin with is read once; what does not
// fit is passed over with all that begins so.
bool GrammarMatcher::walk(Allowed& allowed) {
  const auto nodes = vocabulary_->nodes();
  const size_t end = nodes.size() - 1;
  const uint64_t last = automaton_.work() + kMaxWork;
  const size_t most = automaton_.bytes() + kMaxBytes;
  path_[0] = state_;
  size_t n = 0;
  for (size_t checked = 0; n < end; ++checked) {
    const ConstraintVocabulary::Node& node = nodes[n];
    const State state = automaton_.step(path_[node.depth - 1u], node.byte);
    if (state == GrammarAutomaton::kDead) {
      n = node.after;
      continue;
    }
    path_[node.depth] = state;
    allow(allowed, n++);
    if (automaton_.work() > last || (checked % 1024 == 0 && automaton_.bytes() > most)) break;
  }
  if (n >= end) return true;
  for (n = 0; n < end; n = nodes[n].after) {
    if (automaton_.work() > last + kMaxWork || automaton_.bytes() > 2 * most) {
      std::ranges::fill(allowed.bits, 0);
      return allowed.any = false;
    }
    if (automaton_.step(state_, nodes[n].byte) != GrammarAutomaton::kDead) allow(allowed, n);
  }
  return true;
}

}  // namespace sllm
