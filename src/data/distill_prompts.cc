// Prompts from the files that hold training rows, or half of such.
#include <algorithm>

#include "data/charset.h"
#include "data/dataset.h"
#include "data/distill.h"
#include "data/row.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

// A row without an answer is as good as one: its column is there, and empty.
void add_answer_column(Json& row) {
  if (!row.is_object() || row.contains("messages") || row.contains("conversations")) return;
  const auto has = [&](std::initializer_list<const char*> names) {
    return std::ranges::any_of(names, [&](const char* name) { return row.contains(name); });
  };
  if (has({"instruction"})) {
    if (!has({"output", "response"})) row["output"] = "";
  } else if (has({"prompt"})) {
    if (!has({"completion"})) row["completion"] = "";
  } else if (has({"question", "Question", "Q"})) {
    if (!has({"answer", "Answer", "A"})) row["answer"] = "";
  }
}

Result<DistillPrompt> prompt_of(Example example, const std::string& system) {
  DistillPrompt prompt;
  prompt.source = std::move(example.source);
  if (!example.tools.is_null())
    return bad_input("{}: has tools, which a distillation does not offer", prompt.source);
  prompt.messages = std::move(example.messages);
  if (prompt.messages.empty()) {
    if (!system.empty()) prompt.messages.push_back({"system", system, {}});
    prompt.messages.push_back({"user", std::move(example.text), {}});
  }
  if (prompt.messages.back().role == "assistant") {
    prompt.reference = std::move(prompt.messages.back().content);
    prompt.messages.pop_back();
  }
  const auto asks = [](const Message& m) { return m.role == "user" || m.role == "tool"; };
  if (prompt.messages.empty() || !asks(prompt.messages.back()))
    return bad_input("{}: has no user message for an answer to follow", prompt.source);
  prompt.extra = std::move(example.extra);
  if (prompt.extra.is_object() && prompt.extra.contains("reference")) {
    if (!prompt.extra["reference"].is_string())
      return bad_input("{}: \"reference\" is {}, expected a text", prompt.source,
                       prompt.extra["reference"].type_name());
    prompt.reference = prompt.extra["reference"];
    prompt.extra.erase("reference");
  }
  return prompt;
}

template <class F>
Status for_each_line(std::string_view text, F f) {
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (row.find_first_not_of(" \t\r") != std::string_view::npos) SLLM_OK(f(row, line));
  }
  return ok();
}

}  // namespace

Result<std::vector<DistillPrompt>> read_prompts(const fs::path& path, const std::string& system) {
  std::error_code error;
  if (!fs::exists(path, error)) return bad_input("{}: no such file", path.string());
  ReadOptions options;
  options.system = system;
  std::vector<Example> examples;
  const std::string extension = path.extension().string();
  const bool lines = extension == ".jsonl" || extension == ".ndjson", plain = extension == ".txt";
  if (lines || plain) {
    SLLM_TRY(const DecodedText decoded, read_text(path));
    SLLM_OK(for_each_line(decoded.text, [&](std::string_view text, size_t line) -> Status {
      const std::string source = fmt::format("{}:{}", path.string(), line);
      Json row = {{"prompt", std::string(text)}};
      if (lines) {
        SLLM_TRY(row, parse_json(text).context(source));
      }
      add_answer_column(row);
      SLLM_TRY(Example example, example_from_row(std::move(row), source, options).context(source));
      examples.push_back(std::move(example));
      return ok();
    }));
  } else {
    SLLM_TRY(examples, read_examples(path, options));
  }
  std::vector<DistillPrompt> prompts;
  for (Example& example : examples) {
    SLLM_TRY(DistillPrompt prompt, prompt_of(std::move(example), system));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return bad_input("{}: has no prompts", path.string());
  return prompts;
}

}  // namespace sllm
