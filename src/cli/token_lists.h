// Token ids on the command line: "1,2,3", or a file with a JSON array of arrays.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace sllm::cli {

Result<std::vector<TokenId>> parse_ids(const std::string& text);
Result<std::vector<std::vector<TokenId>>> read_ids_file(const std::string& path);

}  // namespace sllm::cli
