// Preferences: which of two answers to a prompt is the better one, or whether an answer is wanted.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "data/dataset.h"
#include "text/message.h"

namespace sllm {

struct Preference {
  Conversation prompt;            // what both answers follow; not empty
  Conversation chosen, rejected;  // ending with the assistant; `rejected` is empty with a label
  std::optional<bool> label;      // of an answer that stands alone: whether `chosen` is wanted
  nlohmann::ordered_json tools;   // null or an array of tool descriptions for the template
  std::string source;             // "pairs.jsonl:12", for messages to people
};

// Pairs: {chosen, rejected} behind a {prompt}, {messages|conversations}, {instruction, input} or
// {question}; without any of them, chosen and rejected are whole conversations (lists of messages,
// or Anthropic's "\n\nHuman: ...\n\nAssistant: ..."), and the prompt is what they begin with alike.
// Each of prompt, chosen and rejected is a text, a message or a list of messages. Answers that
// stand alone: {label} (or {kto_tag}) beside any row that read_examples takes as a conversation,
// whose last message is the answer. Errors: kBadInput naming the field and what was expected.
Result<Preference> preference_from_row(nlohmann::ordered_json row, std::string source,
                                       const ReadOptions& options);
// Of a .jsonl, .json, .csv or .tsv file. Errors as read_examples.
Result<std::vector<Preference>> read_preferences(const fs::path& path,
                                                 const ReadOptions& options = {},
                                                 std::vector<DroppedRow>* dropped = nullptr);

}  // namespace sllm
