// Merging: the pair of lowest rank first, leftmost among equals. Short words by scanning, long ones
// with a heap over a linked list, so that a word of n bytes costs O(n log n).
#include "text/bpe_model.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <queue>

#include "text/byte_level.h"

namespace sllm {
namespace {

constexpr size_t kShortWord = 48;  // bytes; above it the heap pays

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
uint64_t mix(uint64_t x) {
  x *= 0x9E3779B97F4A7C15u;
  return x ^ x >> 29;
}
uint64_t hash_bytes(std::string_view s) {
  uint64_t h = s.size() * 0xFF51AFD7ED558CCDu;
  while (s.size() >= 8) {
    uint64_t block;
    std::memcpy(&block, s.data(), 8);
    h = mix(h ^ block);
    s.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, s.data(), s.size());
  return mix(h ^ tail);
}

}  // namespace

// One cache line; a slot is simply overwritten by the next word that hashes to it.
struct alignas(64) BpeModel::CachedWord {
  static constexpr size_t kBytes = 30, kIds = 6, kSlots = 1 << 13;
  uint32_t owner = 0;
  uint8_t length = 0, count = 0;
  char bytes[kBytes];
  TokenId ids[kIds];
};

Result<BpeModel> BpeModel::build(const TokenizerSpec& spec) {
  static std::atomic<uint32_t> next_owner{1};
  BpeModel model;
  model.owner_ = next_owner++;
  model.ignore_merges_ = spec.ignore_merges;
  model.fuse_unknown_ = spec.fuse_unknown;
  model.id_of_byte_.fill(-1);

  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(spec.tokens.size());
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (!spec.tokens[id].empty()) ids.emplace(spec.tokens[id], static_cast<TokenId>(id));
  const auto id_of = [&ids](std::string_view text) {
    const auto it = ids.find(text);
    return it == ids.end() ? -1 : it->second;
  };
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    model.id_of_byte_[static_cast<size_t>(b)] = id_of(token_text_of_bytes({&byte, 1}));
  }
  if (!spec.unknown.empty() && (model.unknown_ = id_of(spec.unknown)) < 0)
    return bad_input("the unknown token \"{}\" is not in the vocabulary", spec.unknown);
  if (spec.ignore_merges)
    for (const auto& [text, id] : ids)
      if (auto bytes = bytes_of_token_text(text)) model.whole_words_.emplace(*bytes, id);

  size_t slots = 16;
  while (slots < spec.merges.size() * 2) slots *= 2;
  model.merges_.resize(slots);
  std::string joined;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    joined.assign(left).append(right);
    const TokenId l = id_of(left), r = id_of(right), result = id_of(joined);
    if (l < 0 || r < 0 || result < 0)
      return bad_input("merge {} (\"{}\" with \"{}\"): \"{}\" is not in the vocabulary", rank, left,
                       right,
                       l < 0   ? left
                       : r < 0 ? right
                               : joined);
    model.insert({pair_key(l, r), static_cast<uint32_t>(rank), result});
  }
  return model;
}

const BpeModel::Merge* BpeModel::find(TokenId left, TokenId right) const {
  const uint64_t key = pair_key(left, right);
  const size_t mask = merges_.size() - 1;
  for (size_t slot = mix(key) & mask;; slot = (slot + 1) & mask) {
    if (merges_[slot].pair == key) return &merges_[slot];
    if (merges_[slot].result < 0) return nullptr;
  }
}

// A pair that is listed twice has its last rank, as in Hugging Face's library.
void BpeModel::insert(const Merge& merge) {
  const size_t mask = merges_.size() - 1;
  size_t slot = mix(merge.pair) & mask;
  while (merges_[slot].result >= 0 && merges_[slot].pair != merge.pair) slot = (slot + 1) & mask;
  merges_[slot] = merge;
}

void BpeModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (word.size() > CachedWord::kBytes) return merge_word(word, ids);
  static thread_local const std::unique_ptr<CachedWord[]> cache(new CachedWord[CachedWord::kSlots]);
  CachedWord& slot = cache[(hash_bytes(word) ^ owner_) & (CachedWord::kSlots - 1)];
  if (slot.owner == owner_ && slot.length == word.size() &&
      std::memcmp(slot.bytes, word.data(), word.size()) == 0) {
    ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
    return;
  }
  const size_t before = ids.size();
  merge_word(word, ids);
  const size_t count = ids.size() - before;
  if (count > CachedWord::kIds) return;
  slot.owner = owner_;
  slot.length = static_cast<uint8_t>(word.size());
  slot.count = static_cast<uint8_t>(count);
  std::memcpy(slot.bytes, word.data(), word.size());
  std::copy(ids.end() - static_cast<ptrdiff_t>(count), ids.end(), slot.ids);
}

void BpeModel::merge_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (ignore_merges_)
    if (const auto it = whole_words_.find(std::string(word)); it != whole_words_.end()) {
      ids.push_back(it->second);
      return;
    }
  std::vector<TokenId> symbols = symbols_of(word);
  symbols.size() <= kShortWord ? merge_short(symbols) : merge_long(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::vector<TokenId> BpeModel::symbols_of(std::string_view word) const {
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  bool after_unknown = false;
  for (const char byte : word) {
    const TokenId id = id_of_byte_[static_cast<uint8_t>(byte)];
    if (id >= 0)
      symbols.push_back(id);
    else if (unknown_ >= 0 && !(after_unknown && fuse_unknown_))
      symbols.push_back(unknown_);
    after_unknown = id < 0;
  }
  return symbols;
}

void BpeModel::merge_short(std::vector<TokenId>& symbols) const {
  while (symbols.size() > 1) {
    const Merge* best = nullptr;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i)
      if (const Merge* m = find(symbols[i], symbols[i + 1]); m && (!best || m->rank < best->rank))
        best = m, at = i;
    if (!best) return;
    symbols[at] = best->result;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

void BpeModel::merge_long(std::vector<TokenId>& symbols) const {
  constexpr uint32_t kNone = UINT32_MAX;
  const auto n = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(n), previous(n);
  for (uint32_t i = 0; i < n; ++i) next[i] = i + 1 < n ? i + 1 : kNone, previous[i] = i - 1;
  struct Candidate {
    uint32_t rank, at;
    TokenId left, right;  // what stood there when it was found; otherwise it is out of date
    bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
  };
  std::vector<Candidate> storage;
  const auto candidate = [&](uint32_t i) -> std::optional<Candidate> {
    if (i == kNone || next[i] == kNone) return std::nullopt;
    const Merge* m = find(symbols[i], symbols[next[i]]);
    if (!m) return std::nullopt;
    return Candidate{m->rank, i, symbols[i], symbols[next[i]]};
  };
  for (uint32_t i = 0; i + 1 < n; ++i)
    if (auto c = candidate(i)) storage.push_back(*c);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap(std::greater<>(),
                                                                              std::move(storage));
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    const uint32_t right = next[c.at];
    if (right == kNone || symbols[c.at] != c.left || symbols[right] != c.right) continue;
    symbols[c.at] = find(c.left, c.right)->result;
    symbols[right] = -1;
    next[c.at] = next[right];
    if (next[right] != kNone) previous[next[right]] = c.at;
    next[right] = kNone;
    if (auto after = candidate(c.at)) heap.push(*after);
    if (auto before = candidate(previous[c.at])) heap.push(*before);
  }
  std::erase(symbols, -1);
}

}  // namespace sllm
