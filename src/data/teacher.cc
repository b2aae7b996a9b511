#include "data/teacher.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kChat = "/v1/chat/completions";

class EngineTeacher final : public Teacher {
 public:
  EngineTeacher(std::shared_ptr<Engine> engine, std::string name, std::string fingerprint)
      : engine_(std::move(engine)), name_(std::move(name)), fingerprint_(std::move(fingerprint)) {}
  const std::string& name() const override { return name_; }
  std::string fingerprint() const override { return fingerprint_; }
  const char* kind() const override { return "local"; }

  Result<TeacherAnswer> answer(const TeacherRequest& asked) override {
    GenerateRequest request;
    request.max_tokens = asked.max_tokens;
    request.sampling.temperature = static_cast<float>(asked.temperature);
    request.sampling.top_p = static_cast<float>(asked.top_p);
    request.sampling.seed = asked.seed;
    if (asked.top_logprobs > 0) request.top_logprobs = asked.top_logprobs;
    SLLM_TRY(GenerateResult result, engine_->chat(asked.messages, std::move(request)));
    TeacherAnswer answer{std::move(result.text), result.reason == FinishReason::kStop,
                         static_cast<int64_t>(result.tokens.size())};
    const auto tokenizer = engine_->tokenizer();
    const auto bytes = [&](TokenId id) {
      return tokenizer->is_special(id) ? "" : std::string(tokenizer->token_bytes(id));
    };
    for (const TokenLogprob& said : result.logprobs) {
      SaidToken token{bytes(said.id), said.logprob, {}};
      for (const auto& [id, logprob] : said.top) token.top.emplace_back(bytes(id), logprob);
      answer.logprobs.push_back(std::move(token));
    }
    return answer;
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::string name_, fingerprint_;
};

class ServerTeacher final : public Teacher {
 public:
  ServerTeacher(OpenAiServer server, std::string model)
      : server_(std::move(server)),
        model_(std::move(model)),
        name_(fmt::format("{} {}", server_.url(), model_)) {}
  const std::string& name() const override { return name_; }
  const char* kind() const override { return "server"; }

  Result<TeacherAnswer> answer(const TeacherRequest& asked) override {
    Json body = {{"model", model_},
                 {"messages", Json::array()},
                 {"temperature", asked.temperature},
                 {"max_tokens", asked.max_tokens},
                 {"seed", asked.seed}};
    if (asked.top_p < 1) body["top_p"] = asked.top_p;
    if (asked.top_logprobs > 0) body["logprobs"] = true, body["top_logprobs"] = asked.top_logprobs;
    for (const Message& message : asked.messages)
      body["messages"].push_back(message_to_json(message));
    SLLM_TRY(const Json reply, server_.post(kChat, body));
    const Json* choices = OpenAiServer::field(reply, "choices");
    if (!choices || !choices->is_array() || choices->empty())
      return server_.odd(kChat, "no choices");
    const Json& choice = choices->front();
    const Json* message = OpenAiServer::field(choice, "message");
    if (!message) return server_.odd(kChat, "no message");
    TeacherAnswer answer;
    if (const Json* content = OpenAiServer::field(*message, "content");
        content && content->is_string())
      answer.text = *content;
    const Json* reason = OpenAiServer::field(choice, "finish_reason");
    answer.ended = reason && *reason == "stop";
    if (const Json* usage = OpenAiServer::field(reply, "usage"))
      if (const Json* tokens = OpenAiServer::field(*usage, "completion_tokens");
          tokens && tokens->is_number_integer())
        answer.tokens = *tokens;
    if (asked.top_logprobs > 0) {
      answer.logprobs = said_tokens_of_choice(choice);
      if (answer.ended) mark_ends(answer.logprobs, answer.text);
      if (answer.logprobs.empty() && !answer.text.empty())
        return with_hint(server_.odd(kChat, "no log-probabilities"),
                         "Ask without --logprobs, or another server");
    }
    return answer;
  }

 private:
  OpenAiServer server_;
  std::string model_, name_;
};

}  // namespace

std::unique_ptr<Teacher> engine_teacher(std::shared_ptr<Engine> engine, std::string name,
                                        std::string fingerprint) {
  return std::make_unique<EngineTeacher>(std::move(engine), std::move(name),
                                         std::move(fingerprint));
}

Result<std::unique_ptr<Teacher>> server_teacher(ServerTeacherOptions options) {
  OpenAiServer server(std::move(options.server));
  std::string model = std::move(options.model);
  if (model.empty()) {
    SLLM_TRY(const Json first, server.first_model());
    const Json* id = OpenAiServer::field(first, "id");
    if (!id || !id->is_string())
      return with_hint(server.odd("/v1/models", "a model without a name"),
                       "Name the model with --server-model");
    model = *id;
  }
  return std::unique_ptr<Teacher>(
      std::make_unique<ServerTeacher>(std::move(server), std::move(model)));
}

}  // namespace sllm
