// Scores of one free answer against the expected one.
#pragma once

#include <string>
#include <vector>

#include "eval/documents.h"

namespace sllm::eval {

// Equal apart from white space at both ends.
bool answer_equal(const std::string& answer, const std::string& expected);
// Both are JSON and equal as values: key order and spacing aside, 1 equals 1.0.
bool json_equal(const std::string& answer, const std::string& expected);
// Overlap F1 of words after SQuAD's normalisation (Rajpurkar et al. 2016: lower case, no
// punctuation, no articles); of characters when `expected` is Korean, as KorQuAD 1.0's script
// counts (Lim et al. 2019), so that particles cost little.
double token_f1(const std::string& answer, const std::string& expected);
// Every fact occurs in the answer, case and spacing aside; an array as a fact means any of it.
bool holds_facts(const std::string& answer, const Json& facts);

// "ko", "ja", "zh" or "en" by the script of most letters.
std::string guess_language(const std::string& text);

}  // namespace sllm::eval
