// Any bytes as a JSONL row: parsed, read as a preference and as an example, cleaned, and written
// back the same.
#include "data/clean.h"
#include "data/preference.h"
#include "data/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sllm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = parse_json(text);
  if (!json.ok()) return 0;
  const auto preference = preference_from_row(*json, "fuzz:1", {});
  if (preference.ok() && (preference->prompt.empty() || preference->chosen.empty()))
    __builtin_trap();
  auto example = example_from_row(std::move(*json), "fuzz:1", {});
  if (!example.ok()) return 0;
  const std::string line = to_jsonl(*example);
  auto again = example_from_row(parse_json(line).value(), "fuzz:1", {});
  if (again.value().key() != example->key()) __builtin_trap();
  clean_example(*example, {});
  example->question();
  example->answer();
  return 0;
}
