// Answers from documents: retrieve, ask the model with numbered passages, check that what it cites
// supports what it says, and say "I don't know" when nothing does.
#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ground/index.h"
#include "infer/engine.h"
#include "text/message.h"

namespace sllm {

struct GroundOptions {
  size_t passages = 3;           // given to the model
  size_t max_characters = 3600;  // of passages together (fits small contexts)
  double min_coverage = 0.2;     // weaker retrieval than this is answered "I don't know"
  double min_support = 0.5;      // share of the answer's key terms that its citations must hold
  int64_t max_tokens = 256;
  SamplingOptions sampling = {.temperature = 0};
};

// What the model is asked. For training data, evaluation, streaming and ask() alike, so that a
// model is tuned on exactly the prompt that it will see.
struct GroundedPrompt {
  std::string question;
  bool korean = false;              // language of the question
  bool supported = false;           // false: retrieval is too weak; do not ask the model
  std::vector<SearchHit> passages;  // [1], [2], ... in the prompt
  Conversation messages;
};

struct Citation {
  int number = 0;  // [1] in the answer
  Chunk chunk;
  double support = 0;  // share of the answer's key terms found in this chunk
};

struct GroundedAnswer {
  std::string text;  // with [1] marks; the refusal when !known
  bool known = false;
  std::vector<Citation> citations;
  double support = 0;   // of the cited chunks together
  std::string warning;  // "" or why the text cannot be trusted ("citation 4 does not exist")
  double seconds_to_first = 0, seconds = 0;
  nlohmann::ordered_json to_json() const;
};

// "I don't know: ..." in the question's language.
std::string refusal(bool korean);
// True when a model's reply says that it does not know, in either language.
bool is_refusal(std::string_view reply);

// "Question: ..." in the question's language: the last line of a prompt, and all of a further
// question about the same passages.
std::string question_line(std::string_view question);

// The prompt over given passages (training data is made with this), and over what `index` finds.
GroundedPrompt ground_prompt(std::string_view question, std::vector<SearchHit> passages,
                             const GroundOptions& options = {});
Result<GroundedPrompt> ground_question(const Index& index, std::string_view question,
                                       const GroundOptions& options = {});
// Turns the model's reply into a checked answer: citations that exist and support it are kept, one
// is added where the model gave none but a passage clearly supports the answer.
GroundedAnswer check_reply(const GroundedPrompt& prompt, std::string_view reply,
                           const GroundOptions& options = {});
// All of it. Errors: those of Index::search and Engine.
Result<GroundedAnswer> ask(Engine& engine, const Index& index, std::string_view question,
                           const GroundOptions& options = {});

}  // namespace sllm
