// Functions that a model may ask its caller to call.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace sllm {

struct Tool {
  std::string name;                   // letters, digits, '_', '-' and '.', at most 64
  nlohmann::ordered_json parameters;  // JSON schema of an object
  nlohmann::ordered_json described;   // what a template is given, in OpenAI's form
  bool strict = false;                // a schema that is not understood whole is an error
};

struct ToolUse {
  enum class Choice { kNone, kAuto, kRequired };
  std::vector<Tool> tools;
  Choice choice = Choice::kAuto;
  std::string only;      // the one that must be called; "": any
  bool parallel = true;  // several calls in one answer

  bool none() const { return tools.empty() || choice == Choice::kNone; }
};

// Of the characters that names are made of.
inline bool is_tool_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}
inline constexpr size_t kMaxToolName = 64;

}  // namespace sllm
