// Cuts text into words before the model, as tokenizer.json's pre_tokenizer says.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "text/piece.h"
#include "text/regex.h"
#include "text/tokenizer_spec.h"
#include "text/word_scanner.h"

namespace sllm {

class PreTokenizer {
 public:
  // Errors: kBadInput for a pattern that does not compile or too many steps.
  static Result<PreTokenizer> build(const std::vector<PreTokenizerStep>& steps);

  size_t step_count() const { return steps_.size(); }
  // Calls word(piece) for each word of `piece` in order. A word lives as long as the call. Throws
  // ResultError when the piece's budget is spent.
  template <class Word>
  void split(const Piece& piece, bool trace, Word&& word) const {
    if (!only_scanner_) return split_from(0, piece, trace, word);
    const size_t size = piece.text.size();
    for (size_t at = 0; at < size;) {
      const size_t length = word_length(*only_scanner_, piece.text.substr(at));
      word(piece.sub(at, at + length));
      at += length;
    }
  }

 private:
  using Sink = std::function<void(const Piece& word)>;
  struct Step {
    PreTokenizerStep what;
    std::string name;
    std::optional<WordPattern> scanner;  // instead of regex where we have one
    std::optional<Regex> regex;
  };
  void split_from(size_t index, const Piece& piece, bool trace, const Sink& word) const;
  std::vector<Step> steps_;
  std::optional<WordPattern> only_scanner_;  // the whole list is this one
  bool shows_bytes_ = false;                 // a step has put printable characters for bytes
};

}  // namespace sllm
