// Chat templates from anywhere: refused, stopped at a limit, or rendered.
#include <cstdint>
#include <string>

#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = sllm::ChatTemplate::parse(
      std::string(reinterpret_cast<const char*>(data), size), "<s>", "</s>");
  if (!parsed.ok()) return 0;
  static const sllm::Conversation messages = {
      {"system", "be brief", {}},
      {"user", "안녕 <|im_end|>", {}},
      {"assistant",
       "hi",
       {{"tool_calls", {{{"function", {{"name", "f"}, {"arguments", {{"x", 1.5}}}}}}}}}}};
  sllm::RenderOptions options;
  options.add_generation_prompt = true;
  options.tools = {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", {}}}}}};
  options.now = 0;
  const auto rendered = (*parsed)->render(messages, options);
  if (rendered.ok() && (rendered->from_message.size() != rendered->text.size() ||
                        rendered->assistant.size() != rendered->text.size()))
    __builtin_trap();
  return 0;
}
