// A pre-tokenizer's regular expression: PCRE2 with Unicode classes and bounded matching.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "text/text_budget.h"

namespace sllm {

class Regex {
 public:
  // Errors: kBadInput with PCRE2's words and the position, or for \G and verbs such as (*SKIP),
  // which have no meaning where a search is made in parts.
  static Result<Regex> compile(const std::string& pattern);
  // Offsets of the first match at or after `from` in valid UTF-8; {npos, npos} when none. Throws
  // ResultError (kBadInput) when the pattern needs more backtracking than is allowed, or more time
  // than the budget has.
  std::pair<size_t, size_t> find(std::string_view text, size_t from,
                                 TextBudget* budget = nullptr) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
  std::string pattern_;
};

}  // namespace sllm
