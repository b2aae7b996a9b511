// Task files from anywhere, their Python literals and their rows: refused with a sentence, or read.
#include <cstdint>
#include <string>

#include "eval/python_text.h"
#include "eval/task_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto task = sllm::eval::parse_task_config(text, "/nonexistent/f.yaml");
  if (!task.ok() && task.error().message.empty()) __builtin_trap();
  if (task.ok() && (task->task.empty() || task->metrics.empty())) __builtin_trap();
  (void)sllm::eval::parse_python_literal(text);
  (void)sllm::eval::parse_json_rows(text, "f.jsonl");
  (void)sllm::eval::parse_table(text, "f.tsv", {.delimiter = '\t'});
  return 0;
}
