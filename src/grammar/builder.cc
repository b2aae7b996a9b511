#include "grammar/builder.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "grammar/finish.h"

namespace sllm {

using Kind = GrammarNode::Kind;
using Fragment = GrammarBuilder::Fragment;

uint32_t GrammarBuilder::add(GrammarNode node) {
  if (full()) return 0;  // any: the grammar is refused in the end
  nodes_.push_back(node);
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t GrammarBuilder::rule(std::string name) {
  rules_.push_back({std::move(name)});
  return static_cast<uint32_t>(rules_.size() - 1);
}

void GrammarBuilder::define(uint32_t rule, Fragment body) {
  SLLM_CHECK(!rules_[rule].defined, "rule {} is defined twice", rule);
  rules_[rule].start = body.start;
  rules_[rule].defined = true;
  nodes_[body.end].kind = Kind::kReturn;
}

Fragment GrammarBuilder::empty() {
  const uint32_t jump = add({Kind::kJump});
  return {jump, jump};
}

Fragment GrammarBuilder::nothing() { return {add({Kind::kFail}), empty().end}; }

Fragment GrammarBuilder::literal(std::string_view bytes) {
  Fragment all = empty();
  for (auto b = bytes.rbegin(); b != bytes.rend(); ++b) {
    const auto value = static_cast<uint8_t>(*b);
    all.start = add({Kind::kByte, value, value, all.start});
  }
  return all;
}

Fragment GrammarBuilder::byte(uint8_t low, uint8_t high) {
  const uint32_t end = empty().end;
  return {add({Kind::kByte, low, high, end}), end};
}

Fragment GrammarBuilder::character(const CodeSet& set) {
  if (const auto known = classes_.find(set); known != classes_.end()) return call(known->second);
  if (set.empty()) return nothing();
  const uint32_t end = empty().end;
  // Sequences that end alike share their ends.
  std::map<std::array<uint32_t, 3>, uint32_t> shared;
  std::vector<uint32_t> starts;
  const size_t before = nodes_.size();
  for (const ByteRanges& bytes : utf8_ranges(set)) {
    uint32_t next = end;
    for (size_t i = bytes.size; i-- > 0;) {
      const auto [at, added] = shared.try_emplace({bytes.low[i], bytes.high[i], next}, 0);
      if (added) at->second = add({Kind::kByte, bytes.low[i], bytes.high[i], next});
      next = at->second;
    }
    starts.push_back(next);
  }
  const Fragment all{choice(starts), end};
  constexpr size_t kWorthSharing = 4;
  if (nodes_.size() - before < kWorthSharing) return all;
  return call(classes_[set] = as_rule(all));
}

Fragment GrammarBuilder::call(uint32_t rule) {
  const uint32_t end = empty().end;
  return {add({Kind::kCall, 0, 0, end, rule}), end};
}

Fragment GrammarBuilder::sequence(const std::vector<Fragment>& parts) {
  if (parts.empty()) return empty();
  for (size_t i = 1; i < parts.size(); ++i) link(parts[i - 1].end, parts[i].start);
  return {parts.front().start, parts.back().end};
}

uint32_t GrammarBuilder::choice(const std::vector<uint32_t>& to) {
  if (to.empty()) return add({Kind::kFail});
  uint32_t start = to.back();
  for (size_t i = to.size() - 1; i-- > 0;) start = add({Kind::kSplit, 0, 0, to[i], start});
  return start;
}

Fragment GrammarBuilder::alternatives(const std::vector<Fragment>& parts) {
  if (parts.size() == 1) return parts.front();
  const uint32_t end = empty().end;
  std::vector<uint32_t> starts;
  for (const Fragment& part : parts) {
    starts.push_back(part.start);
    link(part.end, end);
  }
  return {choice(starts), end};
}

// A tree, in which words that begin alike share their beginning: however many there are, one byte
// more leaves few that go on.
Fragment GrammarBuilder::words(std::vector<std::string> words) {
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  const Fragment all = {point(), point()};
  struct Task {
    size_t from, to, depth;
    uint32_t slot;  // the node whose `next` leads to these words' bytes from `depth` on
  };
  std::vector<Task> todo{{0, words.size(), 0, all.start}};
  std::vector<uint32_t> ways;
  while (!todo.empty()) {
    auto [from, to, depth, slot] = todo.back();
    todo.pop_back();
    ways.clear();
    if (from < to && words[from].size() == depth) ways.push_back(all.end), ++from;
    while (from < to) {
      const char byte = words[from][depth];
      size_t end = from;
      while (end < to && words[end][depth] == byte) ++end;
      const auto value = static_cast<uint8_t>(byte);
      ways.push_back(add({Kind::kByte, value, value}));
      todo.push_back({from, end, depth + 1, ways.back()});
      from = end;
    }
    link(slot, choice(ways));
  }
  return all;
}

uint32_t GrammarBuilder::as_rule(Fragment part) {
  const uint32_t number = rule("");
  define(number, part);
  return number;
}

Fragment GrammarBuilder::repeat(Fragment part, uint32_t min, std::optional<uint32_t> max) {
  SLLM_CHECK(min <= kMaxRepeat && (!max || (*max <= kMaxRepeat && *max >= min)),
             "repetition of {} to {}", min, max.value_or(0));
  if (max == 0u) return empty();
  if (min == 1 && max == 1u) return part;
  const uint32_t end = empty().end;
  // From the end of a part back to it, or on.
  const auto loop = [&](Fragment of) {
    const uint32_t again = choice({of.start, end});
    link(of.end, again);
    return again;
  };
  if (!max && min == 0) return {loop(part), end};
  if (!max && min == 1) return loop(part), Fragment{part.start, end};
  if (min == 0 && max == 1u) return link(part.end, end), Fragment{choice({part.start, end}), end};

  const GrammarNode first = nodes_[part.start];
  const bool one_byte = first.kind == Kind::kByte && first.next == part.end;
  const uint32_t number = one_byte ? 0 : as_rule(part);
  const auto copy = [&] { return one_byte ? byte(first.low, first.high) : call(number); };
  const uint32_t start = point();
  uint32_t last = start;
  for (uint32_t i = 0; i < max.value_or(min + 1) && !full(); ++i) {
    const Fragment next = copy();
    link(last, i < min ? next.start : max ? choice({next.start, end}) : loop(next));
    last = next.end;
  }
  if (max) link(last, end);
  return {start, end};
}

Result<GrammarProgram> GrammarBuilder::finish(uint32_t root) && {
  if (full())
    return bad_input(
        "the grammar is too large: at most {} nodes are allowed, about one for each "
        "byte of a literal and each repetition",
        kMaxNodes);
  GrammarProgram program;
  program.root = root;
  program.nodes = std::move(nodes_);
  std::vector<std::string> names;
  for (Rule& rule : rules_) {
    SLLM_CHECK(rule.defined, "{} is not defined", rule.name);
    program.rules.push_back({rule.start});
    names.push_back(std::move(rule.name));
  }
  return finish_grammar(std::move(program), names);
}

}  // namespace sllm
