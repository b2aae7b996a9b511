// Cuts text into words before BPE, as tokenizer.json's pre_tokenizer says.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer_spec.h"
#include "text/word_scanner.h"

namespace sllm {

class PreTokenizer {
 public:
  static Result<PreTokenizer> build(const std::vector<PreTokenizerStep>& steps);

  // Calls word(bytes, end) for each word of `text` in order; `end` is where it ends in `text`.
  using Sink = std::function<void(std::string_view word, size_t end)>;
  void split(std::string_view text, const Sink& word) const;

 private:
  struct Step {
    PreTokenizerStep what;
    std::optional<WordPattern> scanner;  // instead of regex where we have one
    std::optional<Regex> regex;
  };
  void split_from(size_t step, std::string_view text, size_t offset, const Sink& word) const;
  std::vector<Step> steps_;
};

}  // namespace sllm
