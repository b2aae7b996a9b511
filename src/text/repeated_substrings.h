// The substrings of words that occur more than once: what a unigram vocabulary grows from.
#pragma once

#include <string_view>
#include <vector>

#include "text/word_counter.h"

namespace sllm {

struct RepeatedSubstring {
  std::string_view text;
  uint64_t count = 0;       // occurrences in all words, repeated words repeatedly
  uint32_t characters = 0;  // 2 to `longest`
};

// Of those that always go on in the same way only the longest: the inner nodes of the words' suffix
// tree, found by sorting all suffixes (Abouelhoda et al. 2004, "Replacing suffix trees with
// enhanced suffix arrays"), each up to its word's end and `longest` characters. `words` must be
// UTF-8.
std::vector<RepeatedSubstring> repeated_substrings(const std::vector<WordCount>& words,
                                                   uint32_t longest);

}  // namespace sllm
