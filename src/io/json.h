// JSON files of models: parsed with a depth limit and no duplicate keys, and read field by field
// with the type checked.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sllm {

// Errors: kBadInput "file: line L, column C: ...". `file` is for messages. Nesting is limited to
// 128.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& file);

// An object's fields by name. null counts as absent, as in Hugging Face's configurations.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string file)
      : object_(object), file_(std::move(file)) {}

  bool has(const char* key) const { return find(key) != nullptr; }
  const nlohmann::json* find(const char* key) const;

  // Absent fields give nullopt; fields of another type an error naming the key.
  Result<std::optional<int64_t>> integer(const char* key) const;
  Result<std::optional<double>> number(const char* key) const;
  Result<std::optional<bool>> boolean(const char* key) const;
  Result<std::optional<std::string>> string(const char* key) const;
  // A required integer.
  Result<int64_t> need_integer(const char* key) const;

  Error wrong_type(const char* key, std::string_view wanted) const;
  const std::string& file() const { return file_; }

 private:
  const nlohmann::json& object_;
  std::string file_;
};

}  // namespace sllm
