// Rows of a data set that lies on this machine: JSON, JSON lines, CSV or TSV, plain or compressed
// (gzip, bzip2, xz, zstd), with the types that the Python `datasets` package would give them.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sllm::eval {

using Json = nlohmann::ordered_json;

struct TableOptions {
  char delimiter = ',';
  std::vector<std::string> column_names;  // empty: the first row names them
};

// Whole file decompressed by what its first bytes say. Errors: kBadInput when it is missing, broken
// or larger than `limit` once decompressed.
Result<std::string> read_decompressed(const fs::path& path, uint64_t limit = uint64_t{1} << 30);
// JSON lines, one array of objects, or {"data": [...]} (`field` names another key).
Result<std::vector<Json>> parse_json_rows(std::string_view text, const std::string& source,
                                          const std::string& field = {});
// RFC 4180. A column whose values are all integers, numbers or True/False becomes such values;
// empty cells become null.
Result<std::vector<Json>> parse_table(std::string_view text, const std::string& source,
                                      const TableOptions& options);

}  // namespace sllm::eval
