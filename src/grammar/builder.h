// Puts grammars together from small parts, and checks them as a whole.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/code_set.h"
#include "grammar/program.h"

namespace sllm {

class GrammarBuilder {
 public:
  static constexpr size_t kMaxNodes = 1 << 20;
  static constexpr uint32_t kMaxRepeat = 100'000;
  static constexpr int kMaxDepth = 64;  // of groups and schemas, which are read recursively

  // A piece of a rule's graph, to be used once: from `start` on, and going on behind `end`.
  struct Fragment {
    uint32_t start, end;
  };

  // A rule to be defined later. `name` begins errors about it: `rule "item"`.
  uint32_t rule(std::string name);
  void define(uint32_t rule, Fragment body);
  bool defined(uint32_t rule) const { return rules_[rule].defined; }

  Fragment empty();
  Fragment nothing();  // that no text fits
  Fragment literal(std::string_view bytes);
  Fragment byte(uint8_t low, uint8_t high);
  Fragment character(const CodeSet& set);  // normalized
  Fragment call(uint32_t rule);
  Fragment sequence(const std::vector<Fragment>& parts);
  Fragment alternatives(const std::vector<Fragment>& parts);
  Fragment words(std::vector<std::string> words);  // one of them
  // Bounds up to kMaxRepeat; max nullopt: without end.
  Fragment repeat(Fragment part, uint32_t min, std::optional<uint32_t> max);
  Fragment optional(Fragment part) { return repeat(part, 0, 1); }
  // The part as a rule of its own, to be called from several places.
  uint32_t as_rule(Fragment part);

  // For graphs that are no tree: a point that goes nowhere until it is linked.
  uint32_t point() { return empty().start; }
  void link(uint32_t point, uint32_t to) { nodes_[point].next = to; }
  uint32_t choice(const std::vector<uint32_t>& to);

  // The limit is passed and nothing more is added; finish() will say so.
  bool full() const { return nodes_.size() >= kMaxNodes; }

  // Errors (kBadInput): too many nodes, a rule that calls itself before a byte, no text fits root.
  Result<GrammarProgram> finish(uint32_t root) &&;

 private:
  struct Rule {
    std::string name;
    uint32_t start = 0;
    bool defined = false;
  };
  uint32_t add(GrammarNode node);

  std::vector<GrammarNode> nodes_;
  std::vector<Rule> rules_;
  std::map<CodeSet, uint32_t> classes_;  // rules for sets of many byte sequences
};

}  // namespace sllm
