#include "grammar/grammar_states.h"

#include <algorithm>

namespace sllm {
namespace {

constexpr size_t kBetweenLooks = 1024;  // nodes of the vocabulary

bool set_in(const std::atomic<bool>* interrupt) {
  return interrupt && interrupt->load(std::memory_order_relaxed);
}
void set(std::vector<uint64_t>& bits, TokenId token) {
  bits[static_cast<size_t>(token) / 64] |= uint64_t{1} << token % 64;
}

}  // namespace

GrammarStates::GrammarStates(std::shared_ptr<const Grammar> grammar,
                             std::shared_ptr<const ConstraintVocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      grammar_bytes_(2 * grammar->program().nodes.size() * sizeof(GrammarNode)),
      automaton_(std::move(grammar)),
      path_(vocabulary_->depth() + 1) {}

GrammarStates::GrammarStates(const GrammarStates& other, State& state)
    : vocabulary_(other.vocabulary_),
      grammar_bytes_(other.grammar_bytes_),
      automaton_(other.automaton_),
      path_(other.path_.size()) {
  state = automaton_.forget_others(state);
}

size_t GrammarStates::bytes() const {
  const size_t mask = static_cast<size_t>(vocabulary_->size()) / 8;
  return grammar_bytes_ + automaton_.bytes() + known_.size() * mask;
}

const GrammarStates::Allowed* GrammarStates::find(State state) {
  const auto known = known_.find(state);
  if (known == known_.end()) return nullptr;
  known->second.used = ++now_;
  return &known->second;
}

const GrammarStates::Allowed* GrammarStates::walk(State state, bool alone,
                                                  const std::atomic<bool>* interrupt) {
  Allowed allowed;
  allowed.used = ++now_;
  allowed.bits.assign(static_cast<size_t>(vocabulary_->size() + 63) / 64, 0);
  bool told = true;
  if (state != GrammarAutomaton::kDead && !walk_all(allowed, state, interrupt)) {
    if (!alone || set_in(interrupt)) return nullptr;
    told = walk_bytes(allowed, state, interrupt);
    if (set_in(interrupt)) return nullptr;
  }
  if (told && (!allowed.any || automaton_.may_end(state)))
    for (const TokenId end : vocabulary_->end_ids()) set(allowed.bits, end), allowed.any = true;
  if ((known_.size() + 1) * allowed.bits.size() * sizeof(uint64_t) > kMaxMasks && !known_.empty())
    known_.erase(
        std::ranges::min_element(known_, {}, [](const auto& entry) { return entry.second.used; }));
  return &known_.insert_or_assign(state, std::move(allowed)).first->second;
}

void GrammarStates::allow(Allowed& allowed, size_t node) const {
  const auto nodes = vocabulary_->nodes();
  for (uint32_t i = nodes[node].first_token; i < nodes[node + 1].first_token; ++i) {
    set(allowed.bits, vocabulary_->by_node()[i]);
    allowed.any = true;
  }
}

// Depth first through the tree of tokens, so that what they begin with is read once; what does not
// fit is passed over with all that begins so. False: it was not gone to the end.
bool GrammarStates::walk_all(Allowed& allowed, State state, const std::atomic<bool>* interrupt) {
  const auto nodes = vocabulary_->nodes();
  const size_t end = nodes.size() - 1;
  path_[0] = state;
  size_t n = 0;
  for (size_t looked = 0; n < end; ++looked) {
    if (looked % kBetweenLooks == 0 && (set_in(interrupt) || full())) return false;
    const ConstraintVocabulary::Node& node = nodes[n];
    const State next = automaton_.step(path_[node.depth - 1u], node.byte);
    if (next == GrammarAutomaton::kDead) {
      n = node.after;
      continue;
    }
    path_[node.depth] = next;
    allow(allowed, n++);
    if (automaton_.work() > kMaxWork) return false;
  }
  return !full();
}

// Tokens of one byte only. False: not even they could be tried.
bool GrammarStates::walk_bytes(Allowed& allowed, State state, const std::atomic<bool>* interrupt) {
  const auto nodes = vocabulary_->nodes();
  for (size_t n = 0; n + 1 < nodes.size(); n = nodes[n].after) {
    if (set_in(interrupt) || automaton_.work() > 2 * kMaxWork ||
        automaton_.bytes() > 2 * kMaxBytes) {
      std::ranges::fill(allowed.bits, 0);
      return allowed.any = false;
    }
    if (automaton_.step(state, nodes[n].byte) != GrammarAutomaton::kDead) allow(allowed, n);
  }
  return true;
}

std::shared_ptr<GrammarStates> GrammarCache::states(const std::shared_ptr<const Grammar>& grammar) {
  auto found = std::ranges::find_if(
      entries_, [&](const Entry& e) { return e.grammar->program() == grammar->program(); });
  if (found != entries_.end() && found->states->full()) {  // of use to those who have it only
    entries_.erase(found);
    found = entries_.end();
  }
  if (found == entries_.end())
    entries_.push_front({grammar, std::make_shared<GrammarStates>(grammar, vocabulary_)});
  else
    entries_.splice(entries_.begin(), entries_, found);
  size_t bytes = 0;
  for (const Entry& e : entries_) bytes += e.states->bytes();
  for (; bytes > kMaxBytes && entries_.size() > 1; entries_.pop_back())
    bytes -= entries_.back().states->bytes();
  return entries_.front().states;
}

}  // namespace sllm
