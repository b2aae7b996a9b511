// What the comparison of two models asks them: conversations and texts made by the program itself,
// the same on every machine. They are meant to bring out what conversions get wrong: system
// prompts, several turns, Korean in both Unicode forms, emoji of many code points, code, digits,
// white space, control-token strings inside messages, tools.
#pragma once

#include <string_view>
#include <vector>

#include "text/chat_template.h"

namespace sllm::eval {

struct Probe {
  Conversation messages;
  bool add_generation_prompt = false;
  nlohmann::ordered_json tools;  // null or an array
  RenderOptions options() const;
};

// The first `count` of an endless list. Probes with tools have a call and its answer; a template
// that takes none leaves them out or refuses, and two equal templates do the same.
std::vector<Probe> probe_conversations(int64_t count);
// Short questions that end with the user's turn, to be answered greedily.
std::vector<Conversation> probe_questions(int64_t count);
// Paragraphs of English, Korean and code, to compare logits on: written for this, so that no model
// was trained on them.
std::vector<std::string_view> probe_texts();

}  // namespace sllm::eval
