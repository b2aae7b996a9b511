// Rules by which a teacher's answers are accepted (data/distill.h), by name, with the comparisons
// of answer_metrics.h.
#pragma once

#include <string>

#include "data/distill.h"

namespace sllm::eval {

// "json": is a JSON value. "exact", "json-equal", "contains", "f1:0.8": beside the reference, white
// space at the ends aside. "contains:TEXT", "excludes:TEXT", "matches:REGEX" (PCRE2), "longest:N",
// "shortest:N" (characters): by themselves. Errors: kUsage, with the rules there are.
Result<AnswerRule> find_answer_rule(const std::string& text);
// The names with their arguments, for --help.
std::string answer_rules();

}  // namespace sllm::eval
