// A grammar as the automaton runs it: for each rule a graph over bytes whose edges may call rules.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sllm {

struct GrammarNode {
  enum class Kind : uint8_t {
    kByte,    // a byte from low to high, then next
    kSplit,   // next or other
    kCall,    // rule number other, then next
    kReturn,  // the end of the rule
    kJump,    // next (only while a grammar is built)
    kFail     // nothing fits (only while a grammar is built)
  };
  Kind kind = Kind::kFail;
  uint8_t low = 0, high = 0;
  uint32_t next = 0, other = 0;
  uint32_t rule = 0;  // that it belongs to
  bool operator==(const GrammarNode&) const = default;
};

// From every node that is left the end can be reached, and no rule calls itself before a byte.
struct GrammarProgram {
  struct Rule {
    uint32_t start = 0;
    bool nullable = false;  // may be empty
    uint32_t rank = 0;      // higher than that of rules which call it before a byte
    bool operator==(const Rule&) const = default;
  };
  std::vector<GrammarNode> nodes;
  std::vector<Rule> rules;
  uint32_t root = 0;
  // Bytes that no node tells apart are of one class; class_bytes has one of each.
  std::array<uint8_t, 256> class_of{};
  std::vector<uint8_t> class_bytes;
  bool operator==(const GrammarProgram&) const = default;
};

}  // namespace sllm
