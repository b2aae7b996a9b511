// Any text as an answer with calls, in the form that the first byte chooses: whole and byte by byte
// it says the same, a complete call has a JSON object of arguments, and without calls nothing is
// lost.
#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"
#include "tools/call_parser.h"

namespace {

using Kind = sllm::CallEvent::Kind;

// Neighbouring events of a kind are one, so that what came in pieces can be compared.
std::vector<sllm::CallEvent> parse(const std::shared_ptr<const sllm::CallSyntax>& syntax,
                                   std::string_view text, bool guaranteed, size_t piece) {
  sllm::CallParser parser(syntax, guaranteed);
  std::vector<sllm::CallEvent> all;
  const auto add = [&](std::vector<sllm::CallEvent> events) {
    for (sllm::CallEvent& event : events) {
      const bool more = !all.empty() && all.back().kind == event.kind &&
                        (event.kind == Kind::kText || event.kind == Kind::kArguments);
      if (more)
        all.back().text += event.text;
      else
        all.push_back(std::move(event));
    }
  };
  for (size_t at = 0; at < text.size(); at += piece) add(parser.push(text.substr(at, piece)));
  add(parser.finish());
  return all;
}

void check(const std::vector<sllm::CallEvent>& events, std::string_view text) {
  std::string said, arguments;
  bool called = false;
  for (const sllm::CallEvent& event : events) {
    if (event.kind == Kind::kText) said += event.text;
    if (event.kind == Kind::kCall) arguments.clear(), called = true;
    if (event.kind == Kind::kArguments) arguments += event.text;
    if (event.kind == Kind::kCalled &&
        !nlohmann::json::parse(arguments, nullptr, false).is_object())
      __builtin_trap();
  }
  if (!called && said != text) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const auto forms = sllm::call_forms();
  auto syntax = std::make_shared<sllm::CallSyntax>();
  syntax->form = forms[data[0] % forms.size()];
  const size_t options = data[0] / forms.size();
  syntax->think = options & 1 ? &sllm::kThinkMarks[0] : nullptr;
  syntax->thinks_first = options & 2;
  for (const char* name : {"f", "weather"}) {
    sllm::Tool tool;
    tool.name = name;
    tool.parameters = {{"type", "object"}, {"properties", {{"a", {{"type", "string"}}}}}};
    syntax->use.tools.push_back(std::move(tool));
  }
  const std::string text = sllm::unicode::sanitize_utf8(
      std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  for (const bool guaranteed : {false, true}) {
    const auto whole = parse(syntax, text, guaranteed, text.size() + 1);
    check(whole, text);
    if (parse(syntax, text, guaranteed, 1) != whole) __builtin_trap();
  }
  return 0;
}
