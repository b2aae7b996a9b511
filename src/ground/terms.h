// The terms by which text is found: Latin words folded and stemmed (Porter 1980), numbers as they
// are, Hangul and Han by pairs of syllables within a word, so that two-syllable words are found
// inside longer ones whatever particle follows them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sllm {

// Changes with every change of what index_terms returns; an index of another version is rebuilt.
constexpr int kTermsVersion = 2;

// In the text's order. Terms hold no ASCII but letters and digits.
std::vector<std::string> index_terms(std::string_view text);

// True for terms that say little by themselves: English function words, Korean particles' and
// question words' pairs.
bool is_stop_term(std::string_view term);

// The terms that carry what a question or an answer says: no stop terms, each once, and without the
// last pair of a Hangul word of three or more syllables, which is mostly a particle or an ending.
std::vector<std::string> key_terms(std::string_view text);

// Each Hangul syllable by itself, in order, without the commonest particles' and endings'. Verbs
// change behind their first syllable ("끊기면", "끊겼는데"), so that pairs alone miss them.
std::vector<std::string> syllables(std::string_view text);

// The stem of a lower-case ASCII word.
std::string porter_stem(std::string word);

}  // namespace sllm
