// Any text as a grammar, or as a JSON schema where it is JSON: refused, or a machine that keeps to
// its promise that what has been begun can be ended.
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string_view>

#include "grammar/automaton.h"

namespace {

void walk(const std::shared_ptr<const sllm::Grammar>& grammar, uint8_t choice) {
  sllm::GrammarAutomaton automaton(grammar);
  auto state = automaton.start();
  for (int i = 0; i < 64 && automaton.goes_on(state); ++i) {
    auto next = sllm::GrammarAutomaton::kDead;
    for (int tried = 0; tried < 256 && next == sllm::GrammarAutomaton::kDead; ++tried)
      next = automaton.step(state, choice += 37);  // odd: all bytes in turn
    if (next == sllm::GrammarAutomaton::kDead) __builtin_trap();
    state = i % 8 == 7 ? automaton.forget_others(next) : next;
  }
  if (!automaton.goes_on(state) && !automaton.may_end(state)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const uint8_t choice = size > 0 ? data[size - 1] : 0;
  if (const auto grammar = sllm::Grammar::from_gbnf(text); grammar.ok()) walk(*grammar, choice);
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) return 0;
  if (const auto grammar = sllm::Grammar::from_json_schema(json); grammar.ok())
    walk(*grammar, choice);
  return 0;
}
