// Token ids as commands take them; see token_lists.h.
#include "cli/token_lists.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace sllm::cli {

Result<std::vector<TokenId>> parse_ids(const std::string& text) {
  std::vector<TokenId> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    TokenId id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || (next != end && *next != ','))
      return usage_error("--ids: expected numbers and commas (1,2,3), got \"{}\"", text);
    ids.push_back(id);
    at = next == end ? end : next + 1;
  }
  return ids;
}

Result<std::vector<std::vector<TokenId>>> read_ids_file(const std::string& path) {
  SLLM_TRY(const std::string text, read_file(path));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto expected = [&] {
    return bad_input("{}: expected a JSON array of arrays of token ids: [[1,2],[3]]", path);
  };
  if (!json.is_array()) return expected();
  std::vector<std::vector<TokenId>> lists;
  for (const auto& list : json) {
    if (!list.is_array()) return expected();
    std::vector<TokenId> ids;
    for (const auto& id : list) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX) return expected();
      ids.push_back(id.get<TokenId>());
    }
    lists.push_back(std::move(ids));
  }
  return lists;
}

}  // namespace sllm::cli
