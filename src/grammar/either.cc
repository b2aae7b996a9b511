// Two grammars as one: their rules side by side, and one more that calls the root of either.
#include "grammar/finish.h"
#include "grammar/grammar.h"

namespace sllm {

using Kind = GrammarNode::Kind;

std::shared_ptr<const Grammar> Grammar::either(const Grammar& first, const Grammar& second) {
  GrammarProgram all;
  std::vector<uint32_t> roots;
  for (const GrammarProgram* program : {&first.program(), &second.program()}) {
    const auto nodes = static_cast<uint32_t>(all.nodes.size());
    const auto rules = static_cast<uint32_t>(all.rules.size());
    roots.push_back(rules + program->root);
    for (GrammarNode node : program->nodes) {
      node.next += nodes;
      if (node.kind == Kind::kSplit) node.other += nodes;
      if (node.kind == Kind::kCall) node.other += rules;
      all.nodes.push_back(node);
    }
    for (const GrammarProgram::Rule& rule : program->rules)
      all.rules.push_back({rule.start + nodes});
  }
  const auto end = static_cast<uint32_t>(all.nodes.size());
  all.nodes.push_back({Kind::kReturn});
  all.nodes.push_back({Kind::kCall, 0, 0, end, roots[0]});
  all.nodes.push_back({Kind::kCall, 0, 0, end, roots[1]});
  all.nodes.push_back({Kind::kSplit, 0, 0, end + 1, end + 2});
  all.root = static_cast<uint32_t>(all.rules.size());
  all.rules.push_back({end + 3});
  const std::vector<std::string> names(all.rules.size());  // of what was checked before
  auto grammar = finish_grammar(std::move(all), names).value();
  return first.shown() ? std::make_shared<const Grammar>(std::move(grammar), *first.shown())
                       : std::make_shared<const Grammar>(std::move(grammar));
}

}  // namespace sllm
