// One row of a data file, a JSON object, to an Example: the formats people have, told apart by
// their columns.
#pragma once

#include <functional>
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

// What takes a file's rows, with "file:line" of each: kBadInput is an error of the row, any other
// ends the reading.
using RowSink = std::function<Status(nlohmann::ordered_json row, std::string source)>;
using TextSink = std::function<Status(std::string text, std::string source)>;

// Every row of a .jsonl, .json, .csv or .tsv file, in order; the texts of a document go to `texts`,
// without which documents are refused. Bad rows as ReadOptions says.
Status read_rows(const fs::path& path, const ReadOptions& options, std::vector<DroppedRow>* dropped,
                 const RowSink& rows, const TextSink& texts = {});

}  // namespace sllm
