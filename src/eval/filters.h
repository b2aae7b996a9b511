// Filters that turn a generated text into the answer to score (lm-evaluation-harness filters/), and
// the exact_match metric that follows them.
#pragma once

#include <string>
#include <vector>

#include "eval/task_config.h"

namespace sllm::eval {

// Python's re.sub and re.findall on UTF-8, with limits on matching work. A pattern with groups
// yields the first non-empty group, as the harness takes it.
class Pattern {
 public:
  static Result<Pattern> compile(const std::string& pattern);
  std::vector<std::string> find_all(std::string_view text) const;
  std::string remove_all(std::string_view text) const;

 private:
  std::shared_ptr<void> code_;
};

// Applies the steps in order to one document's responses and takes the first of what is left.
// Errors: kUsage for an unknown filter or option, by name.
Result<std::string> apply_filter(const FilterConfig& filter, std::vector<std::string> responses);

struct ExactMatchOptions {
  bool ignore_case = false, ignore_punctuation = false, ignore_numbers = false;
  std::vector<Pattern> ignore;
  static Result<ExactMatchOptions> from(const Json& options);
};
bool exact_match(std::string prediction, std::string reference, const ExactMatchOptions& options);

}  // namespace sllm::eval
