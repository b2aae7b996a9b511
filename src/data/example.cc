// Example: its identity, and its JSONL form.
#include "data/dataset.h"

namespace sllm {

std::string Example::key() const {
  // \x1f and \x1e cannot occur in cleaned text, so that different examples have different keys.
  std::string key = text;
  for (const Message& m : messages) {
    key += '\x1e' + m.role + '\x1f' + m.content;
    if (!m.extra.is_null()) key += '\x1f' + m.extra.dump();
  }
  if (!tools.is_null()) key += '\x1e' + tools.dump();
  return key;
}

std::string_view Example::question() const {
  for (auto m = messages.rbegin(); m != messages.rend(); ++m)
    if (m->role == "user") return m->content;
  return text;
}

std::string_view Example::answer() const {
  for (auto m = messages.rbegin(); m != messages.rend(); ++m)
    if (m->role == "assistant") return m->content;
  return {};
}

std::string to_jsonl(const Example& example) {
  nlohmann::ordered_json row = nlohmann::ordered_json::object();
  if (example.messages.empty()) {
    row["text"] = example.text;
  } else {
    row["messages"] = nlohmann::ordered_json::array();
    for (const Message& m : example.messages) {
      nlohmann::ordered_json item = {{"role", m.role}, {"content", m.content}};
      if (m.extra.is_object()) item.update(m.extra);
      row["messages"].push_back(std::move(item));
    }
  }
  if (!example.tools.is_null()) row["tools"] = example.tools;
  if (example.extra.is_object())
    for (const auto& [name, value] : example.extra.items())
      if (!row.contains(name)) row[name] = value;
  return row.dump() + "\n";
}

Status write_examples(const fs::path& path, const std::vector<Example>& examples) {
  SLLM_TRY(AtomicFile file, AtomicFile::create(path));
  for (const Example& e : examples) SLLM_OK(file.write(to_jsonl(e)));
  return file.commit();
}

}  // namespace sllm
