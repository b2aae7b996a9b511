// Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): what follows is guessed from where the
// text said the same before. Answers that copy (edits, quotes, code) are mostly such repetitions. A
// guess costs a row of the next step and changes nothing: only what the model says itself is kept.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "infer/guess_budget.h"
#include "text/tokenizer.h"

namespace sllm {

class PromptLookup {
 public:
  // At most `most` tokens that followed the latest earlier place where the last tokens of `text`
  // stood: four of them, or else two. `text` only ever grows from call to call.
  std::vector<TokenId> guess(std::span<const TokenId> text, int64_t most);
  GuessRecord record;

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
};

}  // namespace sllm
