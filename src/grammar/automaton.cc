#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

namespace sllm {

using Kind = GrammarNode::Kind;
using State = GrammarAutomaton::State;

GrammarAutomaton::GrammarAutomaton(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)),
      program_(&grammar_->program()),
      classes_(program_->class_bytes.size()),
      visits_(program_->nodes.size()),
      callers_(program_->rules.size()),
      follows_(program_->rules.size()) {
  begin();
}

void GrammarAutomaton::begin() {
  states_ = {}, stacks_ = {};
  work_ = 0;
  rows_.clear();
  unions_.clear();
  const Pair unknown{0, kEnd}, bottom{kEnd, 0};
  states_.intern({&unknown, 1});  // kUnknown
  states_.intern({});             // kDead
  rows_.assign(2 * classes_, kDead);
  const Stack end = stacks_.intern({&bottom, 1});
  begin_step();
  reach_old(program_->rules[program_->root].start, end);
  start_ = close();
}

size_t GrammarAutomaton::bytes() const {
  return states_.bytes() + stacks_.bytes() + rows_.size() * sizeof(State) + unions_.size() * 32;
}

// What a step leaves that ended for want of memory is no part of the next.
void GrammarAutomaton::begin_step() {
  ++step_;
  for (const uint32_t rule : called_) callers_[rule].clear();
  called_.clear();
  waiting_.clear();
  todo_.clear();
  end_reached_ = false;
}

State GrammarAutomaton::make_step(size_t at) {
  const auto state = static_cast<State>(at / classes_);
  const uint8_t byte = program_->class_bytes[at % classes_];
  begin_step();
  for (const auto [n, stack] : states_[state]) {
    if (n == kEnd) continue;
    const GrammarNode& node = program_->nodes[n];
    if (node.low <= byte && byte <= node.high) reach_old(node.next, stack);
  }
  const State next = close();
  return rows_[at] = next;
}

void GrammarAutomaton::list(uint32_t n) {
  const GrammarNode& node = program_->nodes[n];
  if (node.kind == Kind::kByte) waiting_.push_back(n);
  if (node.kind != Kind::kCall) return;
  if (callers_[node.other].empty()) called_.push_back(node.other);
  callers_[node.other].push_back(n);
}

void GrammarAutomaton::reach_old(uint32_t node, Stack stack) {
  Visit& visit = visits_[node];
  ++work_;
  if (visit.old_step == step_) {
    const Stack both = unite(visit.stack, stack);
    if (both == visit.stack) return;
    visit.stack = both;
  } else {
    if (visit.fresh_step != step_) list(node);
    visit.old_step = step_;
    visit.stack = stack;
  }
  if (program_->nodes[node].kind != Kind::kByte) todo_.emplace_back(node, false);
}

void GrammarAutomaton::reach_fresh(uint32_t node) {
  Visit& visit = visits_[node];
  ++work_;
  if (visit.fresh_step == step_) return;
  if (visit.old_step != step_) list(node);
  visit.fresh_step = step_;
  if (program_->nodes[node].kind != Kind::kByte) todo_.emplace_back(node, true);
}

// The state of all nodes that are reached without a byte from those reached so far.
State GrammarAutomaton::close() {
  while (!todo_.empty()) {
    const auto [n, fresh] = todo_.back();
    todo_.pop_back();
    const GrammarNode& node = program_->nodes[n];
    const Stack stack = visits_[n].stack;
    const auto reach = [&, is_fresh = fresh](uint32_t to) {
      is_fresh ? reach_fresh(to) : reach_old(to, stack);
    };
    if (node.kind == Kind::kSplit) {
      reach(node.other);
      reach(node.next);
    } else if (node.kind == Kind::kCall) {
      reach_fresh(program_->rules[node.other].start);
      if (program_->rules[node.other].nullable) reach(node.next);
    } else if (node.kind == Kind::kReturn &&
               !fresh) {  // fresh: the callers know that it is nullable
      for (size_t i = 0; i < stacks_[stack].size(); ++i) {  // unite() moves them
        const Pair back = stacks_[stack][i];
        if (back.first == kEnd)
          end_reached_ = true;
        else
          reach_old(back.first, back.second);
      }
    }
  }
  find_stacks();
  std::vector<Pair> pairs;
  for (const uint32_t n : waiting_) {
    const Visit& visit = visits_[n];
    const Stack follows = follows_[program_->nodes[n].rule];
    const bool old = visit.old_step == step_, fresh = visit.fresh_step == step_;
    pairs.push_back({n, !fresh ? visit.stack : !old ? follows : unite(visit.stack, follows)});
  }
  std::ranges::sort(pairs);
  if (end_reached_) pairs.push_back({kEnd, 0});
  const State state = states_.intern(pairs);
  rows_.resize(states_.size() * classes_, kUnknown);
  return state;
}

// What follows each rule that was called: its callers', from those that nobody called on.
void GrammarAutomaton::find_stacks() {
  std::ranges::sort(called_, {}, [&](uint32_t rule) { return program_->rules[rule].rank; });
  for (const uint32_t rule : called_) {
    pairs_.clear();
    for (const uint32_t n : callers_[rule]) {
      const uint32_t next = program_->nodes[n].next;
      const auto add = [&](Stack stack) {
        // A call at a rule's end leaves nothing to come back for, so such recursion costs no
        // memory.
        if (program_->nodes[next].kind != Kind::kReturn) return pairs_.push_back({next, stack});
        const auto above = stacks_[stack];
        pairs_.insert(pairs_.end(), above.begin(), above.end());
      };
      if (visits_[n].old_step == step_) add(visits_[n].stack);
      if (visits_[n].fresh_step == step_) add(follows_[program_->nodes[n].rule]);
    }
    std::vector<Pair> pairs = std::exchange(pairs_, {});
    follows_[rule] = merge(pairs, 0);
  }
}

// Pairs of one node become one, as long as that does not lead too deep.
GrammarAutomaton::Stack GrammarAutomaton::merge(std::vector<Pair>& pairs, int depth) {
  constexpr int kMaxDepth = 32;
  std::ranges::sort(pairs);
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  if (depth < kMaxDepth) {
    size_t kept = 0;
    for (size_t i = 0; i < pairs.size(); ++i)
      if (kept > 0 && pairs[kept - 1].first == pairs[i].first)
        pairs[kept - 1].second = unite(pairs[kept - 1].second, pairs[i].second, depth + 1);
      else
        pairs[kept++] = pairs[i];
    pairs.resize(kept);
  }
  return stacks_.intern(pairs);
}

GrammarAutomaton::Stack GrammarAutomaton::unite(Stack a, Stack b, int depth) {
  if (a == b) return a;
  const uint64_t key = uint64_t{std::min(a, b)} << 32 | std::max(a, b);
  if (const auto known = unions_.find(key); known != unions_.end()) return known->second;
  const auto first = stacks_[a], second = stacks_[b];
  std::vector<Pair> pairs(first.begin(), first.end());
  pairs.insert(pairs.end(), second.begin(), second.end());
  work_ += pairs.size();
  return unions_[key] = merge(pairs, depth);
}

State GrammarAutomaton::forget_others(State kept) {
  if (kept == start_ || kept == kDead) return begin(), kept == kDead ? kDead : start_;
  const std::span<const Pair> found = states_[kept];
  std::vector<Pair> pairs(found.begin(), found.end());
  const PairSets stacks = std::exchange(stacks_, {});
  begin();
  // What a stack stands on was numbered before it.
  constexpr Stack kUnused = UINT32_MAX, kUsed = UINT32_MAX - 1;
  std::vector<Stack> number(stacks.size(), kUnused);
  for (const Pair pair : pairs)
    if (pair.first != kEnd) number[pair.second] = kUsed;
  for (Stack s = stacks.size(); s-- > 0;)
    if (number[s] != kUnused)
      for (const Pair pair : stacks[s])
        if (pair.first != kEnd) number[pair.second] = kUsed;
  for (Stack s = 0; s < stacks.size(); ++s) {
    if (number[s] == kUnused) continue;
    std::vector<Pair> copy(stacks[s].begin(), stacks[s].end());
    for (Pair& pair : copy)
      if (pair.first != kEnd) pair.second = number[pair.second];
    std::ranges::sort(copy);
    number[s] = stacks_.intern(copy);
  }
  for (Pair& pair : pairs)
    if (pair.first != kEnd) pair.second = number[pair.second];
  const State state = states_.intern(pairs);
  rows_.resize(states_.size() * classes_, kUnknown);
  return state;
}

}  // namespace sllm
