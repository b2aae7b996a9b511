// Prompts from the files that hold training rows, or half of such.
#include <algorithm>
#include <cctype>

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
  } else if (has({"text"})) {
    row["prompt"] = row["text"], row["completion"] = "";
    row.erase("text");
  }
}

Result<DistillPrompt> prompt_of(Example example) {
  DistillPrompt prompt;
  prompt.source = std::move(example.source);
  if (!example.tools.is_null())
    return bad_input("{}: has tools, which a distillation does not offer", prompt.source);
  prompt.messages = std::move(example.messages);
  if (!prompt.messages.empty() && prompt.messages.back().role == "assistant") {
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

// Every line of a text is a prompt.
Status read_lines(const fs::path& path, const RowSink& take) {
  SLLM_TRY(const DecodedText decoded, read_text(path));
  const std::string_view text = decoded.text;
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string source = fmt::format("{}:{}", path.string(), line);
    SLLM_OK(take({{"prompt", std::string(row)}}, source).context(source));
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
  const auto take_row = [&](Json row, std::string source) -> Status {
    add_answer_column(row);
    SLLM_TRY(Example example, example_from_row(std::move(row), std::move(source), options));
    examples.push_back(std::move(example));
    return ok();
  };
  const auto take_text = [&](std::string text, std::string source) {
    return take_row({{"prompt", std::move(text)}}, std::move(source));
  };
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  SLLM_OK(extension == ".txt" ? read_lines(path, take_row)
                              : read_rows(path, options, nullptr, take_row, take_text));
  std::vector<DistillPrompt> prompts;
  for (Example& example : examples) {
    SLLM_TRY(DistillPrompt prompt, prompt_of(std::move(example)));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return bad_input("{}: has no prompts", path.string());
  return prompts;
}

}  // namespace sllm
