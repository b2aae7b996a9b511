// Log-probabilities of tokens in JSON: the rows' own form, and OpenAI's.
#include "data/said_tokens.h"

#include <set>

#include "data/openai_server.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

Json token_to_json(const std::string& bytes) {
  if (unicode::sanitize_utf8(bytes) == bytes) return bytes;
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

Result<std::string> token_from_json(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  const Error odd = bad_input("logprobs: expected a token, a text or a list of bytes");
  if (!json.is_array()) return odd;
  std::string bytes;
  for (const Json& byte : json) {
    if (!byte.is_number_integer() || byte.get<int64_t>() < 0 || byte.get<int64_t>() > 255)
      return odd;
    bytes += static_cast<char>(byte.get<int>());
  }
  return bytes;
}

Result<std::pair<std::string, double>> pair_from_json(const Json& json, size_t size) {
  if (!json.is_array() || json.size() != size || !json[1].is_number())
    return bad_input("logprobs: expected [token, log-probability{}]",
                     size > 2 ? ", [[token, log-probability], ...]" : "");
  SLLM_TRY(std::string bytes, token_from_json(json[0]));
  const double logprob = json[1];
  if (!(logprob <= 1e-3)) return bad_input("logprobs: {} is no log-probability", logprob);
  return std::pair(std::move(bytes), std::min(logprob, 0.0));
}

// One of OpenAI's objects: {"token", "bytes", "logprob"}.
std::pair<std::string, double> pair_of_object(const Json& object) {
  std::pair<std::string, double> pair{"", -1e9};
  if (const Json* token = OpenAiServer::field(object, "token"); token && token->is_string())
    pair.first = *token;
  if (const Json* bytes = OpenAiServer::field(object, "bytes"); bytes && bytes->is_array())
    if (auto exact = token_from_json(*bytes); exact.ok()) pair.first = *exact;
  if (const Json* logprob = OpenAiServer::field(object, "logprob"); logprob && logprob->is_number())
    pair.second = std::min(logprob->get<double>(), 0.0);
  return pair;
}

}  // namespace

Json to_json(const std::vector<SaidToken>& tokens) {
  Json list = Json::array();
  for (const SaidToken& token : tokens) {
    Json top = Json::array();
    for (const auto& [bytes, logprob] : token.top)
      top.push_back(Json::array({token_to_json(bytes), logprob}));
    list.push_back(Json::array({token_to_json(token.bytes), token.logprob, std::move(top)}));
  }
  return list;
}

Result<std::vector<SaidToken>> said_tokens_from_json(const Json& json) {
  if (!json.is_array()) return bad_input("logprobs: expected a list");
  std::vector<SaidToken> tokens;
  for (const Json& each : json) {
    SLLM_TRY(auto own, pair_from_json(each, 3));
    SaidToken token{std::move(own.first), own.second, {}};
    constexpr size_t kMost = 1024;  // of a server there are 20
    if (each[2].size() > kMost)
      return bad_input("logprobs: {} alternatives to a token, at most {}", each[2].size(), kMost);
    if (!each[2].is_array()) return bad_input("logprobs: expected a list of alternatives");
    for (const Json& other : each[2]) {
      SLLM_TRY(auto pair, pair_from_json(other, 2));
      token.top.push_back(std::move(pair));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void mark_ends(std::vector<SaidToken>& tokens, const std::string& text) {
  std::set<std::string> ends;
  size_t at = 0;
  for (SaidToken& token : tokens) {
    if (at >= text.size()) ends.insert(token.bytes);
    at += token.bytes.size();
  }
  const auto mark = [&](std::string& bytes) {
    if (ends.contains(bytes)) bytes.clear();
  };
  at = 0;
  for (SaidToken& token : tokens) {
    const size_t size = token.bytes.size();
    if (at >= text.size()) mark(token.bytes);
    for (auto& [bytes, logprob] : token.top) mark(bytes);
    at += size;
  }
}

std::vector<SaidToken> said_tokens_of_choice(const Json& choice) {
  std::vector<SaidToken> tokens;
  const Json* logprobs = OpenAiServer::field(choice, "logprobs");
  const Json* content = logprobs ? OpenAiServer::field(*logprobs, "content") : nullptr;
  if (!content || !content->is_array()) return tokens;
  for (const Json& each : *content) {
    auto own = pair_of_object(each);
    SaidToken token{std::move(own.first), own.second, {}};
    if (const Json* top = OpenAiServer::field(each, "top_logprobs"); top && top->is_array())
      for (const Json& other : *top) token.top.push_back(pair_of_object(other));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace sllm
