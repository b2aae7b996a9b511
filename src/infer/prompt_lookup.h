// Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): what follows is guessed from where the
// text said the same before. Answers that copy (edits, quotes, code) are mostly such repetitions. A
// guess costs a row of the next step and changes nothing: only what the model says itself is kept.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace sllm {

class PromptLookup {
 public:
  // At most `most` tokens that followed the latest earlier place where the last tokens of `text`
  // stood: four of them, or else two. `text` only ever grows from call to call.
  std::vector<TokenId> guess(std::span<const TokenId> text, int64_t most);
  // Of the last guess, so many tokens were what the model said.
  void learn(int64_t guessed, int64_t right);
  // How likely the next guessed token is right. Tends to one half while nothing is guessed, so that
  // what was given up is tried again.
  double likelihood() const { return (right_ + 1) / (right_ + wrong_ + 2); }
  void rest();  // nothing was guessed in this step

 private:
  // Where the tokens after the latest occurrence of `n` tokens begin, by a hash of these.
  struct Places {
    // Behind the latest earlier place of the last n tokens; 0: there is none.
    size_t find(std::span<const TokenId> text);
    size_t n;
    size_t seen = 0;  // tokens of the text whose n-grams are in `after`
    std::unordered_map<uint64_t, size_t> after = {};
  };
  Places four_{4}, two_{2};
  double right_ = 0, wrong_ = 0;  // of tokens that were looked at, the old ones fading
};

// How many rows of guesses a step bears. A step takes a + b * rows seconds, fitted to the steps
// that were measured; a row that is right with probability p is worth its time while it raises the
// tokens per second of the whole step. So guessing ends by itself where rows are dear or guesses
// are bad.
class GuessBudget {
 public:
  void measured(int64_t rows, double seconds);  // of a step that read no prompts
  // The number of tokens to guess for each of these sequences, at most `most` each and `all`
  // together.
  std::vector<int64_t> share(const std::vector<double>& likelihoods, int64_t most,
                             int64_t all) const;

 private:
  // Weighted sums over the measured steps, the old ones fading.
  double weight_ = 0, rows_ = 0, seconds_ = 0, rows_rows_ = 0, rows_seconds_ = 0;
};

}  // namespace sllm
