// A model behind the OpenAI API: what its replies say.
#include "data/openai_server.h"
#include "eval/artefact.h"

namespace sllm::eval {
namespace {

using Json = nlohmann::ordered_json;

class ServerArtefact final : public Artefact {
 public:
  ServerArtefact(std::string url, std::string key)
      : server_({.url = std::move(url), .key = std::move(key)}) {}

  // Which model it serves, and in which numerics when it says so.
  Status ask_model() {
    SLLM_TRY(const Json first, server_.first_model());
    if (const Json* id = field(first, "id"); id && id->is_string()) model_ = *id;
    if (const Json* own = field(first, "sllm"))
      if (const Json* said = field(*own, "numerics"); said && said->is_string()) {
        says_numerics_ = true;
        numerics_ = *said == "exact"  ? Numerics::kExact
                    : *said == "bf16" ? Numerics::kBf16
                                      : Numerics::kFast;
      }
    return ok();
  }

  const std::string& name() const override { return server_.url(); }
  std::string kind() const override {
    return says_numerics_ ? fmt::format("server, {}", sllm::name(numerics_)) : "server";
  }
  Numerics numerics() const override { return numerics_; }

  Result<int64_t> prompt_tokens(const Conversation& messages) override {
    SLLM_TRY(const Json reply, chat(messages, 1, false));
    const Json* usage = field(reply, "usage");
    const Json* count = usage ? field(*usage, "prompt_tokens") : nullptr;
    if (!count || !count->is_number_integer()) return server_.odd(kChat, "no usage.prompt_tokens");
    return count->get<int64_t>();
  }

  Result<std::vector<Answer>> answers(const std::vector<Conversation>& questions,
                                      int64_t tokens) override {
    std::vector<Answer> out;
    for (const Conversation& question : questions) {
      SLLM_TRY(const Json reply, chat(question, tokens, true));
      const Json* choices = field(reply, "choices");
      if (!choices || !choices->is_array() || choices->empty())
        return server_.odd(kChat, "no choices");
      const Json& choice = choices->front();
      Answer answer;
      const Json* message = field(choice, "message");
      const Json* content = message ? field(*message, "content") : nullptr;
      if (content && content->is_string()) answer.text = *content;
      const Json* reason = field(choice, "finish_reason");
      answer.ended = reason && *reason == "stop";
      if (const Json* logprobs = field(choice, "logprobs"))
        if (const Json* list = field(*logprobs, "content"); list && list->is_array())
          for (const Json& item : *list) answer.tokens.push_back(chat_chances(item));
      out.push_back(std::move(answer));
    }
    return out;
  }

  Result<std::vector<Chances>> chances(const ApiPrompt& prompt) override {
    Json body = {{"model", model_},
                 {"max_tokens", 1},
                 {"echo", true},
                 {"logprobs", kTopTokens},
                 {"temperature", 0}};
    body["prompt"] = prompt.ids.empty() ? Json(prompt.text) : Json(prompt.ids);
    SLLM_TRY(const Json reply, server_.post("/v1/completions", body));
    const Json* choices = field(reply, "choices");
    const Json* logprobs = choices && choices->is_array() && !choices->empty()
                               ? field(choices->front(), "logprobs")
                               : nullptr;
    const Json* tokens = logprobs ? field(*logprobs, "tokens") : nullptr;
    const Json* values = logprobs ? field(*logprobs, "token_logprobs") : nullptr;
    const Json* tops = logprobs ? field(*logprobs, "top_logprobs") : nullptr;
    for (const Json* list : {tokens, values, tops})
      if (!list || !list->is_array() || list->size() != tokens->size())
        return server_.odd("/v1/completions", "no log-probabilities of the prompt");
    std::vector<Chances> out;
    // The first has nothing before it; the last is the one token that had to be asked for.
    for (size_t i = 1; i + 1 < tokens->size(); ++i) {
      Chances one;
      if (!(*tokens)[i].is_string() || !(*values)[i].is_number() || !(*tops)[i].is_object())
        return server_.odd("/v1/completions", "no log-probabilities of the prompt");
      one.token = (*tokens)[i];
      one.logprob = (*values)[i];
      for (const auto& [token, value] : (*tops)[i].items())
        if (value.is_number()) one.top.emplace(token, value.get<double>());
      out.push_back(std::move(one));
    }
    return out;
  }

 private:
  static constexpr const char* kChat = "/v1/chat/completions";

  static const Json* field(const Json& object, const char* key) {
    return OpenAiServer::field(object, key);
  }

  Result<Json> chat(const Conversation& messages, int64_t tokens, bool logprobs) const {
    Json body = {{"model", model_}, {"max_tokens", tokens}, {"temperature", 0}};
    body["messages"] = Json::array();
    for (const Message& message : messages) body["messages"].push_back(message_to_json(message));
    if (logprobs) body["logprobs"] = true, body["top_logprobs"] = kTopTokens;
    return server_.post(kChat, body);
  }

  // {"token": ..., "bytes": [...], "logprob": ..., "top_logprobs": [...]}
  static std::string name_in(const Json& item) {
    if (const Json* bytes = field(item, "bytes"); bytes && bytes->is_array()) {
      std::string text;
      for (const Json& byte : *bytes)
        if (byte.is_number_integer()) text += static_cast<char>(byte.get<int>());
      return token_name(text);
    }
    const Json* token = field(item, "token");
    return token && token->is_string() ? token->get<std::string>() : std::string();
  }
  static double logprob_in(const Json& item) {
    const Json* value = field(item, "logprob");
    return value && value->is_number() ? value->get<double>() : 0;
  }
  static Chances chat_chances(const Json& item) {
    Chances out;
    out.token = name_in(item);
    out.logprob = logprob_in(item);
    if (const Json* top = field(item, "top_logprobs"); top && top->is_array())
      for (const Json& other : *top) out.top.emplace(name_in(other), logprob_in(other));
    return out;
  }

  OpenAiServer server_;
  std::string model_;
  bool says_numerics_ = false;
  Numerics numerics_ = Numerics::kExact;
};

}  // namespace

Result<std::unique_ptr<Artefact>> open_server(const std::string& url, const std::string& key) {
  auto server = std::make_unique<ServerArtefact>(url, key);
  SLLM_OK(server->ask_model());
  return std::unique_ptr<Artefact>(std::move(server));
}

}  // namespace sllm::eval
