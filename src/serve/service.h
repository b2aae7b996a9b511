// What each endpoint does, without HTTP: bodies to jobs for the engine, names to models.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/engine.h"
#include "serve/api_request.h"
#include "serve/reply.h"
#include "tools/tool_template.h"

namespace sllm {

// One request, ready for the engine. Choices are in the reply's order.
struct Job {
  std::vector<GenerateRequest> choices;
  std::unique_ptr<Reply> reply;
  // The answer where it is known without the model: nothing was found to answer from.
  std::optional<std::string> answered;
  bool stream = false, include_usage = false;
};

struct EmbeddingJob {
  std::vector<std::vector<TokenId>> inputs;
  std::string model;
  std::function<Json(const std::vector<std::vector<float>>& vectors)> reply;
};

struct ServiceOptions {
  std::string version = "0";                    // of this program
  std::string model_name;                       // what /v1/models calls the base
  std::map<std::string, std::string> adapters;  // public name -> the engine's name for it
};

// Thread-safe; the calls that take a body render and tokenize, so they belong on worker threads.
class Service {
 public:
  Service(ServiceOptions options, std::shared_ptr<Engine> engine,
          std::shared_ptr<const GroundedAnswerer> answerer);

  Json models() const;
  ApiResult<Json> model(std::string_view id) const;
  ApiResult<Job> chat(std::string_view body) const;
  ApiResult<Job> completion(std::string_view body) const;
  ApiResult<Job> ask(std::string_view body) const;
  ApiResult<EmbeddingJob> embeddings(std::string_view body) const;

  Engine& engine() const { return *engine_; }

  // What other APIs are made of (serve/ollama.h).
  struct Name {
    std::string shown, adapter;
  };
  std::vector<std::string> names() const;                   // the base's, then the adapters'
  ApiResult<Name> resolve(const std::string& model) const;  // "": the base
  // A conversation, in the words of the model's template, as a job of params.n choices.
  ApiResult<Job> converse(const GenerationParams& params, const Conversation& messages,
                          const nlohmann::ordered_json& kwargs, const char* id_prefix,
                          const std::function<std::unique_ptr<Reply>(ReplyHead)>& make_reply) const;
  // The shared end: room in the context, a seed.
  ApiResult<GenerateRequest> request(const GenerationParams& params, std::vector<TokenId> prompt,
                                     const std::string& adapter) const;
  // All but the reply.
  ApiResult<EmbeddingJob> embed(const std::string& model, const std::vector<Prompt>& inputs) const;

 private:
  Json describe(const std::string& id, bool adapter) const;
  // Of the model's chat template; found out with the first request that needs it.
  const ToolTemplate& tool_template() const;
  std::shared_ptr<const CallSyntax> call_syntax(const ToolUse& use,
                                                std::span<const TokenId> prompt) const;
  // Of answers with calls, or in the form that was asked for besides.
  static ApiResult<std::shared_ptr<const Grammar>> grammar_of(const CallSyntax& calls,
                                                              const Grammar* form);
  ApiResult<GroundedPrompt> ground(std::string_view question, GenerationParams& params) const;
  int64_t vocab() const { return engine_->tokenizer()->vocab_size(); }

  ServiceOptions options_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<const GroundedAnswerer> answerer_;
  int64_t started_;
  mutable std::once_flag tool_template_made_;
  mutable std::optional<ToolTemplate> tool_template_;
};

// "chatcmpl-" and 24 random hexadecimal digits.
std::string make_id(std::string_view prefix);

}  // namespace sllm
