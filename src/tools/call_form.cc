#include "tools/call_form.h"

#include <algorithm>
#include <iterator>

#include "tools/write_arguments.h"

namespace sllm {
namespace {

#define SLLM_JSON_CALL(arguments) "{~\"name\"~: \"$N\"~, \"" arguments "\"~: $A~}"

// Qwen2.5-Coder leaves the marks out more often than not.
constexpr CallForm kHermesWithoutMarks = {"Hermes without marks",
                                          "",
                                          ArgumentsForm::kJson,
                                          "",
                                          SLLM_JSON_CALL("arguments"),
                                          "",
                                          "",
                                          "",
                                          {},
                                          true};

// The first whose mark a template holds is its form, so narrower marks come first.
constexpr CallForm kForms[] = {
    {"Gemma 4",
     "<|tool_call>call:",
     ArgumentsForm::kGemma,
     "<|tool_call>",
     "call:$N$A",
     "",
     "<tool_call|>",
     "",
     {"<|tool_call>", "<tool_call|>", "<|\"|>"}},
    {"Qwen3-Coder and Qwen3.5",
     "<parameter=",
     ArgumentsForm::kXml,
     "<tool_call>\n",
     "<function=$N>\n$A",
     "",
     "\n</tool_call>",
     "\n",
     {"<tool_call>", "</tool_call>"}},
    {"LFM2",
     "List of tools: ",
     ArgumentsForm::kPython,
     "<|tool_call_start|>[",
     "$N$A",
     ", ",
     "]<|tool_call_end|>",
     "",
     {"<|tool_call_start|>", "<|tool_call_end|>"}},
    {"Ministral 3",
     "[ARGS]",
     ArgumentsForm::kJson,
     "[TOOL_CALLS]",
     "$N[ARGS]$A",
     "",
     "",
     "",
     {"[TOOL_CALLS]", "[ARGS]"}},
    {"Mistral",
     "[TOOL_CALLS]",
     ArgumentsForm::kJson,
     "[TOOL_CALLS]~[~",
     SLLM_JSON_CALL("arguments"),
     "~, ",
     "~]",
     "",
     {"[TOOL_CALLS]"}},
    {"Phi-4-mini",
     "<|/tool_call|>",
     ArgumentsForm::kJson,
     "<|tool_call|>~",
     SLLM_JSON_CALL("arguments"),
     "",
     "~<|/tool_call|>",
     "",
     {"<|tool_call|>", "<|/tool_call|>"}},
    {"Granite 3",
     "<|tool_call|>",
     ArgumentsForm::kJson,
     "<|tool_call|>~[~",
     SLLM_JSON_CALL("arguments"),
     "~, ",
     "~]",
     "",
     {"<|tool_call|>"}},
    {"HyperCLOVA X",
     "tool/function_call",
     ArgumentsForm::kJson,
     "-> tool/function_call\n[~",
     SLLM_JSON_CALL("arguments"),
     "~, ",
     "~]",
     "",
     {}},
    {"Hermes",
     "<tool_call>",
     ArgumentsForm::kJson,
     "<tool_call>\n",
     SLLM_JSON_CALL("arguments"),
     "",
     "\n</tool_call>",
     "\n",
     {"<tool_call>", "</tool_call>"},
     false,
     &kHermesWithoutMarks},
    {"Llama 3",
     "\"parameters\": ",
     ArgumentsForm::kJson,
     "",
     SLLM_JSON_CALL("parameters"),
     "",
     "",
     "",
     {},
     true},
};

}  // namespace

const CallForm& hermes_form() {
  static const CallForm& form =
      *std::ranges::find(kForms, std::string_view("Hermes"), &CallForm::name);
  return form;
}

const CallForm& call_form_of(std::string_view source) {
  const auto* found = std::ranges::find_if(
      kForms, [&](const CallForm& form) { return source.find(form.mark) != source.npos; });
  return found == std::end(kForms) ? hermes_form() : *found;
}

std::vector<const CallForm*> call_forms() {
  std::vector<const CallForm*> forms;
  for (const CallForm& form : kForms) forms.push_back(&form);
  return forms;
}

std::string opening_of(const CallForm& form) {
  std::string opening;
  for (const char c : std::string(form.before) + form.call) {
    if (c == '\n' || c == '~' || c == '$') break;
    opening += c;
  }
  return opening;
}

std::string spelled(std::string_view pattern, std::string_view name) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i, 2) == "$N")
      text += name, ++i;
    else if (pattern[i] != '~')
      text += pattern[i];
  }
  return text;
}

WrittenCalls write_calls(const CallForm& form, const nlohmann::ordered_json& calls) {
  const bool list = *form.between != '\0';
  const std::string_view call = form.call;
  const size_t arguments = call.find("$A");
  WrittenCalls written;
  const auto add = [&](const std::string& text) {
    const size_t begin = written.text.size();
    written.text += text;
    written.form.emplace_back(begin, written.text.size());
  };
  std::string before = spelled(form.before, "");
  const std::string again =
      list ? spelled(form.between, "") : spelled(form.after, "") + form.separator + before;
  for (const auto& one : calls) {
    add(before + spelled(call.substr(0, arguments), one["name"].get<std::string>()));
    written.text += write_arguments(form.arguments, one["arguments"]);
    add(spelled(call.substr(arguments + 2), ""));
    before = again;
  }
  add(spelled(form.after, ""));
  return written;
}

}  // namespace sllm
