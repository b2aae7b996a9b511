// The tokens of an answer as a teacher saw them: bytes and log-probabilities, which mean the same
// to a model with other tokens.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace sllm {

struct SaidToken {
  std::string bytes;   // "": a special token, such as the one that ends an answer
  double logprob = 0;  // natural logarithm, at temperature 1
  std::vector<std::pair<std::string, double>> top;  // the likeliest in its place
};

// As rows hold them, in the column "logprobs": [[token, logprob, [[token, logprob], ...]], ...]; a
// token is its text, or a list of its bytes where they are no whole characters.
nlohmann::ordered_json to_json(const std::vector<SaidToken>& tokens);
// kBadInput saying what was expected.
Result<std::vector<SaidToken>> said_tokens_from_json(const nlohmann::ordered_json& json);

// From a reply of a server: choice.logprobs.content of /v1/chat/completions. Empty where it gives
// none.
std::vector<SaidToken> said_tokens_of_choice(const nlohmann::ordered_json& choice);
// Servers spell the tokens that end an answer: those behind its text, and alternatives of the same
// spelling, are special.
void mark_ends(std::vector<SaidToken>& tokens, const std::string& text);

}  // namespace sllm
