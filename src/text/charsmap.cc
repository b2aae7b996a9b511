// Reads the double array defensively: an index outside of it ends the search, and so does a rule
// without end (the array may lead in a circle).
#include "text/charsmap.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "text/tokenizer_spec.h"

namespace sllm {

static_assert(std::endian::native == std::endian::little);  // as the file is

Result<Charsmap> Charsmap::read(std::string_view blob) {
  Charsmap map;
  if (blob.empty()) return map;
  uint32_t trie_bytes = 0;
  if (blob.size() < 4) return bad_input("precompiled_charsmap has {} bytes", blob.size());
  std::memcpy(&trie_bytes, blob.data(), 4);
  if (trie_bytes > blob.size() - 4 || trie_bytes < 4 || trie_bytes % 4 != 0)
    return bad_input("precompiled_charsmap says that its table has {} bytes; {} follow", trie_bytes,
                     blob.size() - 4);
  auto tables = std::make_shared<Tables>();
  tables->units.resize(trie_bytes / 4);
  std::memcpy(tables->units.data(), blob.data() + 4, trie_bytes);
  tables->replacements = blob.substr(4 + trie_bytes);
  for (size_t at = 0, end; at < tables->replacements.size(); at = end + 1) {
    end = std::min(tables->replacements.find('\0', at), tables->replacements.size());
    if (end - at > kMaxTokenBytes)
      return bad_input("precompiled_charsmap has a replacement of {} bytes", end - at);
  }
  map.tables_ = std::move(tables);
  return map;
}

Charsmap::Match Charsmap::find(std::string_view text, bool longest) const {
  if (!tables_) return {};
  const std::vector<uint32_t>& units = tables_->units;
  const auto children = [](uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); };
  Match match;
  size_t replacement = 0;
  uint32_t node = children(units[0]);
  for (size_t i = 0; i < std::min(text.size(), kMaxRule); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units.size() || (units[node] & (1u << 31 | 0xFFu)) != byte) break;
    const bool has_leaf = (units[node] >> 8 & 1) != 0;
    node ^= children(units[node]);
    if (!has_leaf || node >= units.size()) continue;
    const uint32_t at = units[node] & 0x7FFFFFFFu;
    if (at >= tables_->replacements.size()) break;
    match.length = i + 1;
    replacement = at;
    if (!longest) break;
  }
  if (match.length > 0) match.replacement = tables_->replacements.c_str() + replacement;
  return match;
}

}  // namespace sllm
