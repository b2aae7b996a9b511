#include "grammar/finish.h"

#include <algorithm>
#include <utility>

namespace sllm {
namespace {

using Kind = GrammarNode::Kind;

constexpr uint32_t kNone = UINT32_MAX;

class Finisher {
 public:
  Finisher(GrammarProgram program, const std::vector<std::string>& names)
      : program_(std::move(program)), names_(names) {}

  Result<GrammarProgram> run() {
    remove_jumps();
    find_predecessors();
    const std::vector<bool> empty = reach_end(false);
    for (GrammarProgram::Rule& rule : program_.rules) rule.nullable = empty[rule.start];
    SLLM_OK(rank_rules());
    const std::vector<bool> live = reach_end(true);
    if (const uint32_t root = program_.root; !live[program_.rules[root].start])
      return bad_input("no text fits {}: every way through it goes on for ever or leads nowhere",
                       names_[root]);
    // A way that leads nowhere is never entered: an answer that has begun can be ended.
    for (GrammarNode& node : nodes()) {
      if (node.kind != Kind::kSplit || (live[node.next] && live[node.other])) continue;
      const bool one = live[node.next] || live[node.other];
      node = {one ? Kind::kJump : Kind::kFail, 0, 0, live[node.next] ? node.next : node.other};
    }
    remove_jumps();
    class_bytes();
    return std::move(program_);
  }

 private:
  std::vector<GrammarNode>& nodes() { return program_.nodes; }

  uint32_t behind_jumps(uint32_t node) {
    uint32_t to = node;
    while (nodes()[to].kind == Kind::kJump) to = nodes()[to].next;
    // Long chains are walked once.
    while (nodes()[node].kind == Kind::kJump) node = std::exchange(nodes()[node].next, to);
    return to;
  }

  // Numbers what the rules reach anew, rule by rule, with no jumps between.
  void remove_jumps() {
    std::vector<uint32_t> number(nodes().size(), kNone);
    std::vector<GrammarNode> kept;
    std::vector<uint32_t> order, todo;
    const auto reach = [&](uint32_t& node) {
      node = behind_jumps(node);
      if (number[node] != kNone) return;
      number[node] = static_cast<uint32_t>(order.size());
      order.push_back(node);
      todo.push_back(node);
    };
    for (uint32_t r = 0; r < program_.rules.size(); ++r) {
      reach(program_.rules[r].start);
      while (!todo.empty()) {
        GrammarNode& node = nodes()[todo.back()];
        todo.pop_back();
        node.rule = r;
        if (node.kind == Kind::kReturn || node.kind == Kind::kFail) continue;
        reach(node.next);
        if (node.kind == Kind::kSplit) reach(node.other);
      }
    }
    kept.reserve(order.size());
    for (const uint32_t old : order) {
      GrammarNode node = nodes()[old];
      if (node.kind != Kind::kReturn && node.kind != Kind::kFail) node.next = number[node.next];
      if (node.kind == Kind::kSplit) node.other = number[node.other];
      kept.push_back(node);
    }
    for (GrammarProgram::Rule& rule : program_.rules) rule.start = number[rule.start];
    nodes() = std::move(kept);
  }

  // Calls each(successor) for the nodes that decide whether `node` reaches the end.
  template <class Each>
  void each_successor(const GrammarNode& node, Each&& each) {
    if (node.kind == Kind::kReturn || node.kind == Kind::kFail) return;
    each(node.next);
    if (node.kind == Kind::kSplit) each(node.other);
    if (node.kind == Kind::kCall) each(program_.rules[node.other].start);
  }

  void find_predecessors() {
    begins_.assign(nodes().size() + 1, 0);
    for (const GrammarNode& node : nodes())
      each_successor(node, [&](uint32_t to) { ++begins_[to + 1]; });
    for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
    predecessors_.resize(begins_.back());
    std::vector<uint32_t> at(begins_.begin(), begins_.end() - 1);
    for (uint32_t n = 0; n < nodes().size(); ++n)
      each_successor(nodes()[n], [&](uint32_t to) { predecessors_[at[to]++] = n; });
  }

  // The nodes from which the end of their rule is reached: with any text, or with none.
  std::vector<bool> reach_end(bool through_bytes) {
    std::vector<bool> reaches(nodes().size());
    std::vector<uint32_t> todo;
    const auto set = [&](uint32_t node) {
      if (reaches[node]) return;
      reaches[node] = true;
      todo.push_back(node);
    };
    for (uint32_t n = 0; n < nodes().size(); ++n)
      if (nodes()[n].kind == Kind::kReturn) set(n);
    while (!todo.empty()) {
      const uint32_t reached = todo.back();
      todo.pop_back();
      for (uint32_t i = begins_[reached]; i < begins_[reached + 1]; ++i) {
        const GrammarNode& node = nodes()[predecessors_[i]];
        if (node.kind == Kind::kByte && !through_bytes) continue;
        if (node.kind == Kind::kCall &&
            !(reaches[node.next] && reaches[program_.rules[node.other].start]))
          continue;
        set(predecessors_[i]);
      }
    }
    return reaches;
  }

  // The rules that each rule may call before a byte.
  std::vector<std::vector<uint32_t>> first_calls() {
    std::vector<std::vector<uint32_t>> calls(program_.rules.size());
    std::vector<bool> seen(nodes().size());
    std::vector<uint32_t> todo;
    for (uint32_t r = 0; r < program_.rules.size(); ++r) {
      todo.push_back(program_.rules[r].start);
      while (!todo.empty()) {
        const uint32_t n = todo.back();
        todo.pop_back();
        if (seen[n]) continue;
        seen[n] = true;
        const GrammarNode& node = nodes()[n];
        if (node.kind == Kind::kSplit) todo.insert(todo.end(), {node.next, node.other});
        if (node.kind != Kind::kCall) continue;
        calls[r].push_back(node.other);
        if (program_.rules[node.other].nullable) todo.push_back(node.next);
      }
    }
    return calls;
  }

  // Depth first, so that a rule comes before those that it calls; a call back is left recursion.
  Status rank_rules() {
    const auto calls = first_calls();
    enum : uint8_t { kNew, kOpen, kDone };
    std::vector<uint8_t> state(calls.size(), kNew);
    std::vector<std::pair<uint32_t, size_t>> path;
    auto rank = static_cast<uint32_t>(calls.size());
    for (uint32_t r = 0; r < calls.size(); ++r) {
      if (state[r] != kNew) continue;
      path.emplace_back(r, 0);
      state[r] = kOpen;
      while (!path.empty()) {
        auto& [rule, next] = path.back();
        if (next == calls[rule].size()) {
          state[rule] = kDone;
          program_.rules[rule].rank = --rank;
          path.pop_back();
          continue;
        }
        const uint32_t called = calls[rule][next++];
        if (state[called] == kDone) continue;
        if (state[called] == kOpen) return left_recursion(path, called);
        state[called] = kOpen;
        path.emplace_back(called, 0);
      }
    }
    return ok();
  }

  // Parts without a name belong to a rule on the same way round.
  Error left_recursion(const std::vector<std::pair<uint32_t, size_t>>& path, uint32_t rule) {
    auto at = std::ranges::find(path, rule, &std::pair<uint32_t, size_t>::first);
    while (at + 1 != path.end() && names_[at->first].empty()) ++at;
    return bad_input("{} refers to itself before any text (left recursion)", names_[at->first]);
  }

  void class_bytes() {
    std::array<bool, 257> cut{};
    cut[0] = true;
    for (const GrammarNode& node : nodes()) {
      if (node.kind != Kind::kByte) continue;
      cut[node.low] = true;
      cut[node.high + 1] = true;
    }
    for (size_t byte = 0; byte < 256; ++byte) {
      if (cut[byte]) program_.class_bytes.push_back(static_cast<uint8_t>(byte));
      program_.class_of[byte] = static_cast<uint8_t>(program_.class_bytes.size() - 1);
    }
  }

  GrammarProgram program_;
  const std::vector<std::string>& names_;
  std::vector<uint32_t> begins_, predecessors_;  // of node n: from begins_[n] to begins_[n + 1]
};

}  // namespace

Result<GrammarProgram> finish_grammar(GrammarProgram program,
                                      const std::vector<std::string>& names) {
  return Finisher(std::move(program), names).run();
}

}  // namespace sllm
