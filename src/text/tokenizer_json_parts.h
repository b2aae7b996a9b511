// The parts of tokenizer.json that are lists of steps, and helpers for reading its objects.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm::tokenizer_json {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

inline bool is_null(const object& o, std::string_view key) {
  element value;
  return o[key].get(value) != simdjson::SUCCESS || value.is_null();
}
inline std::string text_or(const object& o, std::string_view key, std::string_view otherwise = "") {
  std::string_view value;
  return std::string(o[key].get(value) == simdjson::SUCCESS ? value : otherwise);
}
inline bool flag_or(const object& o, std::string_view key, bool otherwise) {
  bool value = otherwise;
  return o[key].get(value) == simdjson::SUCCESS ? value : otherwise;
}
// The elements of an array that may be absent or null.
inline std::vector<element> items_of(const object& o, std::string_view key) {
  array values;
  std::vector<element> items;
  if (o[key].get(values) == simdjson::SUCCESS)
    for (const element e : values) items.push_back(e);
  return items;
}

// Errors: kBadInput naming the step that is not known.
Status read_normalizer(const object& o, TokenizerSpec& spec, int depth = 0);
// Sets spec.byte_level where there is a ByteLevel step.
Status read_pre_tokenizer(const object& o, TokenizerSpec& spec);
Status read_decoder(const object& o, TokenizerSpec& spec, int depth = 0);

}  // namespace sllm::tokenizer_json
