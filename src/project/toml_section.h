// One table of a TOML file read strictly: types are checked, and a key that nobody asked for is an
// error with its line and the nearest key that exists.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm::project {

// Smallest edit distance first; "" when nothing is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

class TomlSection {
 public:
  // `table` may be null: every key keeps its default. `name`: "purpose", for messages.
  TomlSection(const toml::table* table, std::string name, std::string file)
      : table_(table), name_(std::move(name)), file_(std::move(file)) {}

  bool present() const { return table_ != nullptr; }
  const toml::node* find(const std::string& key);
  Status read(const std::string& key, std::string& out);
  Status read(const std::string& key, std::vector<std::string>& out);  // a text or a list of them
  Status read(const std::string& key, double& out, double low, double high);
  Status read(const std::string& key, int64_t& out, int64_t low, int64_t high);
  Status read(const std::string& key, bool& out);
  // Text that must be one of `allowed`.
  Status read_choice(const std::string& key, std::string& out,
                     const std::vector<std::string>& allowed);
  Status require(const std::string& key, bool given) const;
  // Unknown keys; every read() so far names a known one.
  Status finish() const;
  std::string where(const toml::node& node) const;
  Error wrong(const std::string& key, const toml::node& node, std::string_view expected) const;

 private:
  const toml::table* table_;
  std::string name_, file_;
  std::vector<std::string> known_;
};

}  // namespace sllm::project
