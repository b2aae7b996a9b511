// Tokens back to text, as tokenizer.json's decoder says.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/text_budget.h"
#include "text/tokenizer_spec.h"

namespace sllm {

class Decoder {
 public:
  // Errors: kBadInput for a pattern that does not compile, or what no real file has
  // (text_budget.h).
  static Result<Decoder> build(const std::vector<DecoderStep>& steps);

  size_t step_count() const { return steps_.size(); }
  // The text of all tokens together, invalid UTF-8 as it is. Throws ResultError where the steps
  // make too much of them, and so does the next.
  std::string decode(std::span<const std::string_view> tokens) const;
  // What one token adds to a text that has already begun, in bytes.
  std::string bytes_of(std::string_view token, TextBudget& budget) const;
  // What a text loses in front when it begins: at most so many of these.
  size_t spaces_to_trim() const { return trim_; }
  // True when a text is its tokens' bytes_of() one after the other.
  bool plain() const { return plain_; }

 private:
  struct Step {
    DecoderStep what;
    std::string name;
    std::optional<Regex> regex;
  };
  std::vector<Step> steps_;
  size_t trim_ = 0;
  bool plain_ = false;
};

}  // namespace sllm
