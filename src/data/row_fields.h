// What the row formats take out of a row, a JSON object: texts, messages, sides of a pair. For the
// files of this folder.
#pragma once

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/message.h"

namespace sllm {

// Removes the first of `names` that the row has, and returns it.
std::optional<nlohmann::ordered_json> take_field(nlohmann::ordered_json& row,
                                                 std::initializer_list<const char*> names);
bool has_field(const nlohmann::ordered_json& row, std::initializer_list<const char*> names);

// Errors of these: kBadInput naming the field and what was expected.
Result<std::string> text_of(const nlohmann::ordered_json& value, std::string_view field);
// OpenAI's and ShareGPT's names of roles and contents.
Result<Conversation> messages_of(nlohmann::ordered_json list, std::string_view field);
// A side of a pair: text of the given role, one message, or TRL's list of messages.
Status append_side(Conversation& messages, nlohmann::ordered_json value, const char* role,
                   const char* field);
// Takes {instruction, input} as what the user says.
Status append_instruction(nlohmann::ordered_json& row, Conversation& messages);
// Puts the row's `system`, or what is used otherwise, before a conversation that has no system
// message.
Status put_system(Conversation& messages, const std::optional<nlohmann::ordered_json>& system,
                  const std::string& otherwise);

std::string column_names(const nlohmann::ordered_json& row);
void rename_columns(nlohmann::ordered_json& row, const std::map<std::string, std::string>& columns);

}  // namespace sllm
