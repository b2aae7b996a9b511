// What `show`, `quantize`, `merge` and `import` print about a model.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/command.h"
#include "compress/convert.h"

namespace sllm::cli {

// {"Q4_1": {"tensors": 210, "bytes": 66355200}, ...}
nlohmann::ordered_json types_json(const WrittenModel& model);
// "Q4_1 66.4 MB (210 tensors), F32 0.1 MB (61 tensors)"
std::string types_text(const WrittenModel& model);
std::string megabytes(int64_t bytes);  // "98.4 MB", "1.12 GB"
// Before any work: whether a model read from `inputs` may be written to `out`. kUsage when that
// would remove an input, or a folder that holds something else than such a model.
Status check_output(const fs::path& out, const std::vector<fs::path>& inputs);
Status check_output_file(const fs::path& out, const std::vector<fs::path>& inputs);  // of any kind
// "500M", "2GB" (thousands, as gguf-split counts) in bytes; 0 when empty.
Result<uint64_t> parse_size(const std::string& text);
// --split-max-size.
void add_split_flag(CLI::App& app, std::string& size);
// Prints where a model was written, how large it is and how it is stored.
void report_written(const Globals& globals, const std::string& command, const fs::path& out,
                    const WrittenModel& model);

}  // namespace sllm::cli
