// Who answers the prompts of a distillation: a model on this machine, or a server that speaks the
// OpenAI API.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "data/openai_server.h"
#include "data/said_tokens.h"
#include "infer/engine.h"
#include "text/message.h"

namespace sllm {

struct TeacherRequest {
  Conversation messages;
  double temperature = 0.7, top_p = 1;
  int64_t max_tokens = 512;
  uint64_t seed = 0;     // below 2^31, which every server takes
  int top_logprobs = 0;  // of each token so many alternatives; 0: no log-probabilities
};

struct TeacherAnswer {
  std::string text;
  bool ended = false;                    // by itself, not at max_tokens
  int64_t tokens = 0;                    // of the answer; 0: not said
  std::vector<SaidToken> logprobs = {};  // of its tokens, where they were asked for
};

class Teacher {
 public:
  virtual ~Teacher() = default;
  virtual const std::string& name() const = 0;  // as it is written beside its answers
  virtual const char* kind() const = 0;         // "local", "server"
  // Tells another teacher of the same name from this one, or "".
  virtual std::string fingerprint() const { return ""; }
  // From any thread, several at a time. Errors: kBadInput and kUsage concern this request alone
  // (too long, refused); after any other nobody need ask again.
  virtual Result<TeacherAnswer> answer(const TeacherRequest& request) = 0;
};

// Answers with the engine's own template, batched with what other threads ask.
std::unique_ptr<Teacher> engine_teacher(std::shared_ptr<Engine> engine, std::string name,
                                        std::string fingerprint = "");

struct ServerTeacherOptions {
  OpenAiOptions server;
  std::string model;  // "": the first that the server names
};
// Asks which model is served unless one is named. Errors as OpenAiServer::first_model().
Result<std::unique_ptr<Teacher>> server_teacher(ServerTeacherOptions options);

}  // namespace sllm
