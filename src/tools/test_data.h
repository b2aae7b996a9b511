// For the tests of this folder: functions, and answers taken apart.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/call_parser.h"

namespace sllm::testing {

inline Tool tool(const std::string& name, const char* parameters) {
  Tool t;
  t.name = name;
  t.parameters = nlohmann::ordered_json::parse(parameters);
  t.described = {{"type", "function"},
                 {"function", {{"name", name}, {"parameters", t.parameters}}}};
  return t;
}

inline std::vector<Tool> some_tools() {
  return {tool("weather", R"({"type":"object","properties":{"city":{"type":"string"},
               "days":{"type":"integer"},"now":{"type":"boolean"},
               "more":{"type":"object"}},"required":["city"]})"),
          tool("lamp", R"({"type":"object","properties":{"room":{"enum":["거실","kitchen"],
               "type":"string"},"on":{"type":"boolean"}},"required":["room","on"]})"),
          tool("time", R"({"type":"object","properties":{}})")};
}

inline const CallForm& form_named(std::string_view name) {
  for (const CallForm* form : call_forms())
    if (form->name == name) return *form;
  throw std::out_of_range(std::string(name));
}

inline std::shared_ptr<CallSyntax> syntax_of(const CallForm& form,
                                             const ThinkMarks* think = nullptr) {
  auto syntax = std::make_shared<CallSyntax>();
  syntax->form = &form;
  syntax->think = think;
  syntax->use.tools = some_tools();
  return syntax;
}

// Events as one text: what is said as it stands, calls as "«name(arguments)»", a call that did not
// end without its last two characters.
inline std::string shown(const std::vector<CallEvent>& events) {
  std::string text;
  for (const CallEvent& event : events) switch (event.kind) {
      case CallEvent::Kind::kText:
        text += event.text;
        break;
      case CallEvent::Kind::kCall:
        text += "«" + event.text + "(";
        break;
      case CallEvent::Kind::kArguments:
        text += event.text;
        break;
      case CallEvent::Kind::kCalled:
        text += ")»";
        break;
    }
  return text;
}

// The text in pieces: bytes [0, split) and the rest; split 0: byte by byte.
inline std::string parsed(const std::shared_ptr<const CallSyntax>& syntax, std::string_view text,
                          bool guaranteed = false, size_t split = SIZE_MAX) {
  CallParser parser(syntax, guaranteed);
  std::vector<CallEvent> events;
  const auto push = [&](std::string_view piece) {
    for (CallEvent& event : parser.push(piece)) events.push_back(std::move(event));
  };
  if (split == 0) {
    for (size_t i = 0; i < text.size(); ++i) push(text.substr(i, 1));
  } else {
    push(text.substr(0, split));
    if (split < text.size()) push(text.substr(split));
  }
  for (CallEvent& event : parser.finish()) events.push_back(std::move(event));
  return shown(events);
}

}  // namespace sllm::testing
