// An object of tokenizer.json, read strictly: a field that is absent or null has the default that
// Hugging Face's tokenizers gives it, one of another type or without a default is refused by name.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sllm::tokenizer_json {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

class JsonPart {
 public:
  // Errors: kBadInput saying near which byte `json` stops being JSON. The parts live as long as
  // `parser` keeps its document.
  static Result<JsonPart> parse(simdjson::dom::parser& parser, const std::string& json);

  // Where it stands ("pre_tokenizer.pretokenizers[1]"), and where its field does.
  const std::string& where() const { return where_; }
  std::string at(std::string_view key) const;
  bool has(std::string_view key) const;  // false for null

  // Without `otherwise` the field is required.
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text(std::string_view key, std::string_view otherwise) const;
  Result<bool> flag(std::string_view key, bool otherwise) const;
  Result<size_t> count(std::string_view key) const;
  Result<size_t> count(std::string_view key, size_t otherwise) const;
  Result<double> number(std::string_view key, double otherwise) const;
  Result<element> value(std::string_view key) const;
  Result<std::vector<element>> list(std::string_view key) const;
  Result<object> map(std::string_view key) const;  // whose keys may be many
  Result<JsonPart> part(std::string_view key) const;
  Result<std::vector<JsonPart>> parts(std::string_view key) const;  // a list of objects

 private:
  JsonPart(object fields, std::string where) : fields_(fields), where_(std::move(where)) {}
  static Result<JsonPart> of(const element& value, std::string where);
  template <class T>
  Result<T> get(std::string_view key, const char* expected) const;

  object fields_;
  std::string where_;
};

}  // namespace sllm::tokenizer_json
