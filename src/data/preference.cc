// Rows of preferences in the formats that people have.
#include "data/preference.h"

#include <algorithm>

#include "data/row.h"
#include "data/row_fields.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHuman = "\n\nHuman:", kAssistant = "\n\nAssistant:";

// "\n\nHuman: hello\n\nAssistant: hi": the form of Anthropic's data (Bai et al. 2022).
Result<Conversation> dialogue_of(std::string_view text, const char* field) {
  if (!text.starts_with(kHuman) && !text.starts_with(kAssistant))
    return bad_input(
        "\"{}\" is a text without a prompt, expected a list of messages or turns behind "
        "\"\\n\\nHuman:\" and \"\\n\\nAssistant:\"",
        field);
  Conversation messages;
  while (!text.empty()) {
    const bool user = text.starts_with(kHuman);
    text.remove_prefix(user ? kHuman.size() : kAssistant.size());
    const size_t end = std::min({text.find(kHuman), text.find(kAssistant), text.size()});
    std::string_view content = text.substr(0, end);
    if (content.starts_with(' ')) content.remove_prefix(1);
    messages.push_back({user ? "user" : "assistant", std::string(content), {}});
    text.remove_prefix(end);
  }
  return messages;
}

Result<Conversation> whole_conversation(Json value, const char* field) {
  if (value.is_string()) return dialogue_of(value.get_ref<const std::string&>(), field);
  Conversation messages;
  SLLM_OK(append_side(messages, std::move(value), "assistant", field));
  return messages;
}

bool same(const Message& a, const Message& b) {
  return a.role == b.role && a.content == b.content && a.extra == b.extra;
}

// What stands before the answers, in whatever column it is; left empty where there is none.
Status take_prompt(Json& row, Conversation& prompt) {
  for (const char* field : {"prompt", "messages", "conversations", "question", "Question", "Q"})
    if (auto value = take_field(row, {field}); value && !value->is_null())
      return append_side(prompt, std::move(*value), "user", field);
  return has_field(row, {"instruction"}) ? append_instruction(row, prompt) : ok();
}

// Leaves what two whole conversations have in common in `p.prompt`, and the rest in the answers.
Status split_prompt(Preference& p) {
  const size_t shorter = std::min(p.chosen.size(), p.rejected.size());
  const auto end =
      std::mismatch(p.chosen.begin(), p.chosen.begin() + static_cast<ptrdiff_t>(shorter),
                    p.rejected.begin(), same);
  // At least the last message is an answer, also where both are the same.
  const auto alike =
      std::min<ptrdiff_t>(end.first - p.chosen.begin(), static_cast<ptrdiff_t>(shorter) - 1);
  if (alike <= 0)
    return bad_input(
        "\"chosen\" and \"rejected\" begin with different messages, expected answers to one "
        "prompt");
  p.prompt.assign(p.chosen.begin(), p.chosen.begin() + alike);
  p.chosen.erase(p.chosen.begin(), p.chosen.begin() + alike);
  p.rejected.erase(p.rejected.begin(), p.rejected.begin() + alike);
  return ok();
}

Status check_answer(const Conversation& answer, const char* field) {
  if (!answer.empty() && answer.back().role == "assistant") return ok();
  return bad_input("\"{}\" ends with {}, expected the assistant's message", field,
                   answer.empty() ? "nothing" : "a message of the " + answer.back().role);
}

// Whether a side that stands beside a prompt repeats it: the data sets that were made for whole
// conversations do.
bool is_whole(const Conversation& side) {
  return side.size() > 1 && (side.front().role == "user" || side.front().role == "system");
}

Status read_pair(Json& row, Preference& p) {
  Conversation prompt;
  SLLM_OK(take_prompt(row, prompt));
  Json chosen = *take_field(row, {"chosen"}), rejected = *take_field(row, {"rejected"});
  if (prompt.empty()) {
    SLLM_TRY(p.chosen, whole_conversation(std::move(chosen), "chosen"));
    SLLM_TRY(p.rejected, whole_conversation(std::move(rejected), "rejected"));
    return split_prompt(p);
  }
  SLLM_OK(append_side(p.chosen, std::move(chosen), "assistant", "chosen"));
  SLLM_OK(append_side(p.rejected, std::move(rejected), "assistant", "rejected"));
  if (is_whole(p.chosen) && is_whole(p.rejected)) return split_prompt(p);
  p.prompt = std::move(prompt);
  return ok();
}

Result<bool> label_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value == 0 || value == 1) return value == 1;
  if (value == "true" || value == "True" || value == "1") return true;
  if (value == "false" || value == "False" || value == "0") return false;
  return bad_input("field \"label\" is {}, expected true or false", value.dump());
}

}  // namespace

Result<Preference> preference_from_row(Json row, std::string source, const ReadOptions& options) {
  if (!row.is_object())
    return bad_input("a row is {}, expected an object {{...}}", row.type_name());
  rename_columns(row, options.columns);
  Preference p;
  p.source = source;
  if (has_field(row, {"chosen"}) && has_field(row, {"rejected"})) {
    if (auto tools = take_field(row, {"tools"}); tools && !tools->is_null())
      p.tools = std::move(*tools);
    const auto system = take_field(row, {"system"});
    SLLM_OK(read_pair(row, p));
    SLLM_OK(put_system(p.prompt, system, options.system));
    SLLM_OK(check_answer(p.chosen, "chosen"));
    SLLM_OK(check_answer(p.rejected, "rejected"));
    return p;
  }
  const auto label = take_field(row, {"label", "kto_tag"});
  if (!label)
    return with_hint(
        bad_input("no known set of columns (found: {}), expected chosen and rejected, or label",
                  column_names(row)),
        "A pair is {\"prompt\": ..., \"chosen\": ..., \"rejected\": ...}; an answer that stands "
        "alone {\"prompt\": ..., \"completion\": ..., \"label\": true}");
  SLLM_TRY(p.label, label_of(*label));
  SLLM_TRY(Example example, example_from_row(std::move(row), std::move(source), options));
  SLLM_OK(check_answer(example.messages, "messages"));
  p.chosen = {std::move(example.messages.back())};
  example.messages.pop_back();
  if (example.messages.empty()) return bad_input("there is no prompt before the answer");
  p.prompt = std::move(example.messages);
  p.tools = std::move(example.tools);
  return p;
}

Result<std::vector<Preference>> read_preferences(const fs::path& path, const ReadOptions& options,
                                                 std::vector<DroppedRow>* dropped) {
  std::vector<Preference> all;
  SLLM_OK(read_rows(path, options, dropped, [&](Json row, std::string source) -> Status {
    SLLM_TRY(Preference p, preference_from_row(std::move(row), std::move(source), options));
    all.push_back(std::move(p));
    return ok();
  }));
  return all;
}

}  // namespace sllm
