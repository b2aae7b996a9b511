// Rule-based synthetic data: a small hand-written grammar is expanded into question-answer pairs.
//
// A grammar is a TOML file:
//   system = "..."                        the system message of every pair ("" for none)
//   share = {en = 2, ko = 1}              relative numbers of pairs per language
//   [slot.room]                           a slot's values: canonical name -> what people say, per
//   language kitchen = {en = ["kitchen"], ko = ["부엌", "주방"]} [slot.level] or numbers, said and
//   written alike numbers = {from = 5, to = 100, step = 5} [frame.en] wrapped around every command
//   of that language before = ["", "please "] after = ["", ", thanks"]
//   [[rule]]
//   answer = '{"device": "light", "place": "{room}"}'   slots stand for canonical values here
//   en = ["(turn|switch) on the {room} light"]          (a|b) chooses, {slot} is what people say
//   ko = ["{room} 불{을/를} 켜줘"]                      {을/를} fits the syllable before it
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sllm {

struct AugmentOptions {
  int64_t count = 600;
  uint64_t seed = 1;
};

struct SyntheticPair {
  std::string language;
  std::string system, command, answer;
};

class PairGrammar {
 public:
  // Errors (kUsage): file, line and what is wrong: an unknown key, an undefined slot, a rule
  // without phrases, unbalanced brackets.
  static Result<PairGrammar> read(const fs::path& path);
  static Result<PairGrammar> parse(std::string_view toml, const std::string& name);

  // `count` different pairs, rules in turn, the same for the same seed. Error (kUsage) when the
  // grammar cannot make that many different commands, with the number it can.
  Result<std::vector<SyntheticPair>> expand(const AugmentOptions& options) const;

 private:
  struct Value {
    std::string canonical;
    std::map<std::string, std::vector<std::string>> said;  // by language; empty: said as written
  };
  struct Frame {
    std::vector<std::string> before, after;
  };
  struct Rule {
    std::string answer;
    std::map<std::string, std::vector<std::string>> phrases;  // by language
  };
  class Expansion;

  std::string system_;
  std::map<std::string, double> share_;
  std::map<std::string, std::vector<Value>> slots_;
  std::map<std::string, Frame> frames_;
  std::vector<Rule> rules_;
};

// JSON Lines: {"id", "lang", "messages"}.
std::string to_jsonl(const std::vector<SyntheticPair>& pairs);

}  // namespace sllm
