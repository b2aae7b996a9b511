#include "text/word_table.h"

namespace sllm {

void WordTable::build(const std::vector<std::pair<std::string, TokenId>>& words) {
  size_t size = 16;
  while (size < words.size() * 2) size *= 2;
  slots_.assign(size, Slot{});
  for (const auto& [text, id] : words) {
    const uint64_t hash = hash_bytes(text);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t slot = hash & (size - 1);
    for (; slots_[slot].entry != 0; slot = (slot + 1) & (size - 1))
      if (slots_[slot].tag == tag && word(entries_[slots_[slot].entry - 1]) == text) break;
    if (slots_[slot].entry != 0) {
      entries_[slots_[slot].entry - 1].id = id;
      continue;
    }
    entries_.push_back({bytes_.size(), text.size(), id});
    bytes_ += text;
    slots_[slot] = {tag, static_cast<uint32_t>(entries_.size())};
  }
}

TokenId WordTable::find(std::string_view text, uint64_t hash) const {
  if (slots_.empty()) return -1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t slot = hash & (slots_.size() - 1); slots_[slot].entry != 0;
       slot = (slot + 1) & (slots_.size() - 1))
    if (slots_[slot].tag == tag)
      if (const Entry& e = entries_[slots_[slot].entry - 1]; word(e) == text) return e.id;
  return -1;
}

}  // namespace sllm
