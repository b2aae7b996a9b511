// One row of a data file, a JSON object, to an Example: the formats people have, told apart by
// their columns.
#pragma once

#include <string>
#include <string_view>

#include "data/dataset.h"

namespace sllm {

// Parses one JSON value: at most 128 levels deep, valid UTF-8, no NaN. Errors: kBadInput "column N:
// what" (without file and line).
Result<nlohmann::ordered_json> parse_json(std::string_view text);

// Errors: kBadInput naming the field and what was expected.
Result<Example> example_from_row(nlohmann::ordered_json row, std::string source,
                                 const ReadOptions& options);

}  // namespace sllm
