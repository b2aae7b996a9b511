// The API's requests as checked values: everything that can be judged without the model's text.
// Field names and ranges are those of the OpenAI API reference; `top_k`, `min_p`,
// `repetition_penalty`, `ignore_eos`, `grammar`, `chat_template_kwargs` and `sllm` are known
// extensions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "infer/engine.h"
#include "serve/api_error.h"
#include "serve/json_reader.h"
#include "text/message.h"
#include "tools/tool.h"

namespace sllm {

inline constexpr int kMaxChoices = 8;
inline constexpr int kMaxStops = 16;
inline constexpr int kMaxBias = 1024;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxMessages = 4096;
inline constexpr int kMaxInputs = 2048;

struct GenerationParams {
  std::string model;  // "": the base
  int n = 1;
  std::optional<int64_t> max_tokens;
  std::optional<uint64_t> seed;
  SamplingOptions sampling;  // its seed is not set yet
  bool temperature_given = false;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int top_logprobs = -1;
  std::shared_ptr<const Grammar> grammar;  // of "response_format" or "grammar"; null: anything
  bool stream = false, include_usage = false;
  ToolUse tools;  // of conversations
};

struct ChatRequest : GenerationParams {
  Conversation messages;
  nlohmann::ordered_json template_kwargs;
  bool ground = false;  // "sllm": {"ground": true}
};

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest : GenerationParams {
  std::vector<Prompt> prompts;
  bool echo = false;
};

struct EmbeddingRequest {
  std::string model;
  std::vector<Prompt> inputs;
  bool base64 = false;
};

struct AskRequest : GenerationParams {
  std::string question;
};

// `vocab`: token ids in prompts and logit_bias must lie below it.
ApiResult<ChatRequest> parse_chat_request(std::string_view body, int64_t vocab);
ApiResult<CompletionRequest> parse_completion_request(std::string_view body, int64_t vocab);
ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body, int64_t vocab);
ApiResult<AskRequest> parse_ask_request(std::string_view body);

// Fields that other APIs have too (serve/ollama.h): "messages"; "stop", a text or several.
void read_messages(Fields& f, Conversation& messages);
void read_stop(Fields& f, std::vector<std::string>& stop);

}  // namespace sllm
