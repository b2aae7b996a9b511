// ask(): retrieval, the model, and the check, in a row.
#include <chrono>

#include "ground/answer.h"

namespace sllm {

Result<GroundedAnswer> ask(Engine& engine, const Index& index, std::string_view question,
                           const GroundOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  SLLM_TRY(const GroundedPrompt prompt, ground_question(index, question, options));
  if (!prompt.supported) {
    GroundedAnswer answer = check_reply(prompt, "", options);
    answer.seconds = answer.seconds_to_first = seconds();
    return answer;
  }
  GenerateRequest request;
  request.max_tokens = options.max_tokens;
  request.sampling = options.sampling;
  const double retrieval = seconds();
  SLLM_TRY(const GenerateResult reply, engine.chat(prompt.messages, std::move(request)));
  GroundedAnswer answer = check_reply(prompt, reply.text, options);
  answer.seconds_to_first = retrieval + reply.seconds_to_first;
  answer.seconds = seconds();
  return answer;
}

}  // namespace sllm
