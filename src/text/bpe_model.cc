// Merging: the pair of lowest rank first, leftmost among equals. Short words by scanning, long ones
// with a heap over a linked list, so that a word of n bytes costs O(n log n).
#include "text/bpe_model.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <queue>
#include <utility>

#include "text/byte_level.h"
#include "text/tokenizer_gguf.h"

namespace sllm {
namespace {

constexpr size_t kShortWord = 48;  // bytes; above it the heap pays

constexpr uint64_t kFree = UINT64_MAX;  // no pair: ids are not negative

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
}  // namespace

// One cache line; a slot is simply overwritten by the next word that hashes to it.
struct alignas(64) BpeModel::CachedWord {
  static constexpr size_t kBytes = 30, kIds = 6, kSlots = 1 << 15;
  uint32_t owner = 0;
  uint8_t length = 0, count = 0;
  char bytes[kBytes];
  TokenId ids[kIds];
};

Result<BpeModel> BpeModel::build(const TokenizerSpec& spec) {
  static std::atomic<uint32_t> next_owner{1};
  BpeModel model;
  model.owner_ = next_owner++;
  model.byte_level_ = spec.byte_level;
  model.fuse_unknown_ = spec.fuse_unknown;
  model.continuing_prefix_ = spec.continuing_prefix;
  model.end_suffix_ = spec.end_suffix;

  Ids ids;
  ids.reserve(spec.tokens.size());
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (!spec.tokens[id].empty() && (spec.matchable.empty() || spec.matchable[id]))
      ids.emplace(spec.tokens[id], static_cast<TokenId>(id));
  if (!spec.unknown.empty()) {
    const auto it = std::ranges::find(spec.tokens, spec.unknown);
    if (it == spec.tokens.end())
      return bad_input("the unknown token \"{}\" is not in the vocabulary", spec.unknown);
    model.unknown_ = static_cast<TokenId>(it - spec.tokens.begin());
  }
  model.add_symbols(spec, ids);
  if (spec.ignore_merges) {
    std::vector<std::pair<std::string, TokenId>> words;
    for (const auto& [text, id] : ids) {
      auto bytes = spec.byte_level ? bytes_of_token_text(text) : std::string(text);
      if (bytes) words.emplace_back(std::move(*bytes), id);
    }
    model.whole_words_.build(words);
  }
  if (spec.merge_by_score) {
    if (spec.scores.size() != spec.tokens.size())
      return bad_input("there are {} scores for {} tokens", spec.scores.size(), spec.tokens.size());
    model.add_merges_by_score(spec, ids);
  } else {
    SLLM_OK(model.add_merges(spec, ids));
  }
  model.find_cuts(spec, ids);
  if (spec.byte_level) {
    model.fill_byte_pairs();
    model.fill_starts(spec);
  }
  return model;
}

void BpeModel::add_symbols(const TokenizerSpec& spec, const Ids& ids) {
  id_of_byte_.fill(-1);
  if (byte_level_) {
    for (const auto& [text, id] : ids)
      if (const auto bytes = text.size() <= 2 ? bytes_of_token_text(text) : std::nullopt;
          bytes && bytes->size() == 1)
        id_of_byte_[static_cast<uint8_t>(bytes->front())] = id;
    return;
  }
  if (spec.byte_fallback) {
    for (size_t id = 0; id < spec.tokens.size(); ++id)
      if (const auto byte = byte_of_fallback_token(spec.tokens[id]))
        id_of_byte_[*byte] = static_cast<TokenId>(id);
    byte_fallback_ = std::ranges::count(id_of_byte_, -1) < 256;
  }
  id_of_char_.assign(0x10000, -1);
  for (const auto& [text, id] : ids) {
    const unicode::Char c = unicode::decode(text.data());
    if (c.length != text.size()) continue;
    if (c.code < id_of_char_.size())
      id_of_char_[c.code] = id;
    else
      id_of_rare_char_[c.code] = id;
  }
  if (!continuing_prefix_.empty() || !end_suffix_.empty())
    for (const auto& [text, id] : ids) affixed_.emplace(text, id);
  std::vector<std::pair<std::string_view, int32_t>> whole;
  for (size_t id = 0; id < spec.whole.size(); ++id)
    if (spec.whole[id]) whole.emplace_back(spec.tokens[id], static_cast<int32_t>(id));
  if (!whole.empty()) whole_ = ByteTrie(std::move(whole));
}

Status BpeModel::add_merges(const TokenizerSpec& spec, const Ids& ids) {
  const auto id_of = [&ids](std::string_view text) {
    const auto it = ids.find(text);
    return it == ids.end() ? -1 : it->second;
  };
  reserve_merges(spec.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    // tokenizers cuts as many bytes as the prefix has, whatever they are.
    const size_t cut = continuing_prefix_.size();
    if (cut > 0 && (right.size() < cut || !unicode::valid_utf8(right.substr(cut))))
      return bad_input(
          "merge {} (\"{}\" with \"{}\"): no {} bytes can be cut off for the "
          "continuing_subword_prefix \"{}\"",
          rank, left, right, cut, continuing_prefix_);
    const std::string_view tail = std::string_view(right).substr(cut);
    joined.assign(left).append(tail);
    const TokenId l = id_of(left), r = id_of(right), result = id_of(joined);
    if (l < 0 || r < 0 || result < 0)
      return bad_input("merge {} (\"{}\" with \"{}\"): \"{}\" is not in the vocabulary", rank, left,
                       right,
                       l < 0   ? left
                       : r < 0 ? right
                               : joined);
    insert(l, r, {static_cast<uint32_t>(rank), result});
  }
  return ok();
}

// Every cut of a token into two tokens is a merge; all of one token's have its score as rank.
void BpeModel::add_merges_by_score(const TokenizerSpec& spec, const Ids& ids) {
  std::vector<TokenId> order;
  for (const auto& [text, id] : ids)
    if (spec.whole.empty() || !spec.whole[static_cast<size_t>(id)]) order.push_back(id);
  const auto score = [&spec](TokenId id) { return spec.scores[static_cast<size_t>(id)]; };
  std::ranges::sort(order, [&](TokenId a, TokenId b) { return score(a) > score(b); });
  struct Pair {
    TokenId left, right;
    Merge merge;
  };
  std::vector<Pair> pairs;
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && score(order[i]) != score(order[i - 1])) ++rank;
    const std::string_view text = spec.tokens[static_cast<size_t>(order[i])];
    for (size_t at = unicode::decode(text.data()).length; at < text.size();
         at += unicode::decode(text.data() + at).length) {
      const auto left = ids.find(text.substr(0, at)), right = ids.find(text.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      const auto is_whole = [&](TokenId id) {
        return !spec.whole.empty() && spec.whole[static_cast<size_t>(id)];
      };
      if (!is_whole(left->second) && !is_whole(right->second))
        pairs.push_back({left->second, right->second, {rank, order[i]}});
    }
  }
  reserve_merges(pairs.size());
  for (const Pair& p : pairs) insert(p.left, p.right, p.merge);
}

// SentencePiece models take a whole text as one word. Where no token holds "x▁", it may be cut
// between the two without any effect on the merges.
void BpeModel::find_cuts(const TokenizerSpec& spec, const Ids& ids) {
  cuts_ = !byte_level_ && affixed_.empty() && ids.contains(kSpaceSymbol);
  for (const std::string& text : spec.tokens)
    for (size_t at = 1; cuts_ && (at = text.find(kSpaceSymbol, at)) != text.npos; ++at)
      joins_space_[static_cast<uint8_t>(text[at - 1])] = true;
}

size_t BpeModel::cut_after(std::string_view word, size_t from) const {
  for (size_t at = from + 1; (at = word.find(kSpaceSymbol, at)) != word.npos; ++at)
    if (!joins_space_[static_cast<uint8_t>(word[at - 1])]) return at;
  return word.size();
}

void BpeModel::reserve_merges(size_t count) {
  size_t slots = 16;
  while (slots < count + count / 2) slots *= 2;
  maybe_.assign(slots / 16, 0);  // four bits a slot
  pairs_.assign(slots, kFree);
  merges_.assign(slots, Merge{});
}

BpeModel::Merge BpeModel::find(TokenId left, TokenId right) const {
  const uint64_t key = pair_key(left, right);
  const uint64_t hash = mix_bits(key);
  if ((maybe_[hash >> 38 & (maybe_.size() - 1)] >> (hash >> 32 & 63) & 1) == 0) return {};
  const size_t mask = pairs_.size() - 1;
  for (size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (pairs_[slot] == key) return merges_[slot];
    if (pairs_[slot] == kFree) return {};
  }
}

// A pair that is listed twice has its last rank, as in Hugging Face's library.
void BpeModel::insert(TokenId left, TokenId right, Merge merge) {
  const uint64_t key = pair_key(left, right);
  const size_t mask = pairs_.size() - 1;
  const uint64_t hash = mix_bits(key);
  maybe_[hash >> 38 & (maybe_.size() - 1)] |= uint64_t{1} << (hash >> 32 & 63);
  size_t slot = hash & mask;
  while (pairs_[slot] != kFree && pairs_[slot] != key) slot = (slot + 1) & mask;
  pairs_[slot] = key;
  merges_[slot] = merge;
}

void BpeModel::fill_byte_pairs() {
  byte_pairs_.resize(size_t{1} << 16);
  for (size_t pair = 0; pair < byte_pairs_.size(); ++pair)
    byte_pairs_[pair] = find(id_of_byte_[pair >> 8], id_of_byte_[pair & 0xFF]);
}

void BpeModel::fill_starts(const TokenizerSpec& spec) {
  if (std::ranges::count(id_of_byte_, -1) > 0 || !continuing_prefix_.empty() ||
      !end_suffix_.empty())
    return;
  std::vector<HangulStarts::Edges> edges(spec.tokens.size());
  for (size_t id = 0; id < edges.size(); ++id)
    if (const auto bytes = bytes_of_token_text(spec.tokens[id]); bytes && !bytes->empty())
      edges[id] = {static_cast<uint8_t>(bytes->front()), static_cast<uint8_t>(bytes->back())};
  std::vector<HangulStarts::Merge> merges;
  for (size_t slot = 0; slot < pairs_.size(); ++slot)
    if (pairs_[slot] != kFree)
      merges.push_back({static_cast<TokenId>(pairs_[slot] >> 32),
                        static_cast<TokenId>(pairs_[slot] & UINT32_MAX), merges_[slot].result,
                        merges_[slot].rank});
  hangul_ = HangulStarts(id_of_byte_, edges, merges, [this](TokenId left, TokenId right) {
    const Merge merge = find(left, right);
    return HangulStarts::Merge{left, right, merge.result, merge.rank};
  });
}

void BpeModel::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (!cuts_) return encode_part(word, ids);
  for (size_t from = 0; from < word.size();) {
    const size_t to = cut_after(word, from);
    encode_part(word.substr(from, to - from), ids);
    from = to;
  }
}

void BpeModel::encode_traced(std::string_view word, std::vector<TokenId>& ids,
                             std::vector<size_t>& ends) const {
  Symbols symbols;
  for (size_t from = 0; from < word.size();) {
    const size_t to = cuts_ ? cut_after(word, from) : word.size();
    const std::string_view part = word.substr(from, to - from);
    merge_word(part, hash_bytes(part), symbols);
    size_t end = from;
    for (size_t i = 0; i < symbols.ids.size(); ++i) {
      ids.push_back(symbols.ids[i]);
      ends.push_back(i + 1 == symbols.ids.size() ? to : end += symbols.bytes[i]);
    }
    from = to;
  }
}

void BpeModel::encode_part(std::string_view word, std::vector<TokenId>& ids) const {
  static thread_local Symbols symbols;
  if (word.size() > CachedWord::kBytes) {
    merge_word(word, hash_bytes(word), symbols);
    ids.insert(ids.end(), symbols.ids.begin(), symbols.ids.end());
    return;
  }
  static thread_local const std::unique_ptr<CachedWord[]> cache(new CachedWord[CachedWord::kSlots]);
  const uint64_t hash = hash_bytes(word);
  CachedWord& slot = cache[(hash ^ owner_) & (CachedWord::kSlots - 1)];
  if (slot.owner == owner_ && slot.length == word.size() &&
      std::memcmp(slot.bytes, word.data(), word.size()) == 0) {
    ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
    return;
  }
  merge_word(word, hash, symbols);
  ids.insert(ids.end(), symbols.ids.begin(), symbols.ids.end());
  if (symbols.ids.size() > CachedWord::kIds) return;
  slot.owner = owner_;
  slot.length = static_cast<uint8_t>(word.size());
  slot.count = static_cast<uint8_t>(symbols.ids.size());
  std::memcpy(slot.bytes, word.data(), word.size());
  std::ranges::copy(symbols.ids, slot.ids);
}

void BpeModel::merge_word(std::string_view word, uint64_t hash, Symbols& symbols) const {
  symbols.ids.clear();
  symbols.bytes.clear();
  if (const TokenId id = whole_words_.find(word, hash); id >= 0) {
    symbols.ids.push_back(id);
    symbols.bytes.push_back(static_cast<uint32_t>(word.size()));
    return;
  }
  if (!hangul_.begin(word, symbols.ids, symbols.bytes))
    byte_level_ ? split_bytes(word, symbols) : split_chars(word, symbols);
  symbols.ids.size() <= kShortWord ? merge_short(word, symbols) : merge_long(symbols);
}

void BpeModel::split_bytes(std::string_view word, Symbols& symbols) const {
  bool after_unknown = false;
  uint32_t dropped = 0;
  for (const char byte : word) {
    TokenId id = id_of_byte_[static_cast<uint8_t>(byte)];
    const bool unknown = id < 0;
    if (unknown && unknown_ >= 0 && !(after_unknown && fuse_unknown_)) id = unknown_;
    after_unknown = unknown;
    if (id < 0) {
      ++dropped;
      continue;
    }
    symbols.ids.push_back(id);
    symbols.bytes.push_back(std::exchange(dropped, 0) + 1);
  }
}

TokenId BpeModel::id_of_char(std::string_view word, size_t from, size_t to, char32_t code) const {
  if (affixed_.empty()) {
    if (code < id_of_char_.size()) return id_of_char_[code];
    const auto it = id_of_rare_char_.find(code);
    return it == id_of_rare_char_.end() ? -1 : it->second;
  }
  std::string text = from > 0 ? continuing_prefix_ : "";
  text += word.substr(from, to - from);
  if (to == word.size()) text += end_suffix_;
  const auto it = affixed_.find(text);
  return it == affixed_.end() ? -1 : it->second;
}

void BpeModel::split_chars(std::string_view word, Symbols& symbols) const {
  bool after_unknown = false;
  uint32_t dropped = 0;
  const auto add = [&](TokenId id, uint32_t bytes) {
    symbols.ids.push_back(id);
    symbols.bytes.push_back(std::exchange(dropped, 0) + bytes);
  };
  const auto has_bytes = [&](std::string_view bytes) {
    return byte_fallback_ && std::ranges::none_of(bytes, [&](char b) {
             return id_of_byte_[static_cast<uint8_t>(b)] < 0;
           });
  };
  for (size_t at = 0; at < word.size();) {
    if (const auto [length, id] = whole_.longest_prefix(word.substr(at)); length > 0) {
      add(id, static_cast<uint32_t>(length));
      at += length;
      after_unknown = false;
      continue;
    }
    const unicode::Char c = unicode::decode(word.data() + at);
    const std::string_view bytes = word.substr(at, c.length);
    const TokenId id = id_of_char(word, at, at + c.length, c.code);
    at += c.length;
    if (id >= 0) {
      add(id, c.length);
    } else if (has_bytes(bytes)) {
      for (const char byte : bytes) add(id_of_byte_[static_cast<uint8_t>(byte)], 1);
    } else if (unknown_ >= 0 && !(after_unknown && fuse_unknown_)) {
      add(unknown_, c.length);
    } else {
      dropped += c.length;
    }
    after_unknown = id < 0;
  }
}

void BpeModel::merge_short(std::string_view word, Symbols& symbols) const {
  std::array<uint32_t, kShortWord> ranks;  // of each symbol with the next
  std::array<TokenId, kShortWord> results;
  size_t n = symbols.ids.size();
  TokenId* ids = symbols.ids.data();
  uint32_t* bytes = symbols.bytes.data();
  const auto set = [&](size_t i, Merge merge) {
    ranks[i] = merge.rank;
    results[i] = merge.result;
  };
  // Unless bytes were dropped or are unknown, the symbols of a byte-level model are its bytes.
  if (byte_level_ && n == word.size() && unknown_ < 0) {
    for (size_t i = 0; i + 1 < n; ++i)
      set(i, byte_pairs_[static_cast<size_t>(static_cast<uint8_t>(word[i])) << 8 |
                         static_cast<uint8_t>(word[i + 1])]);
  } else {
    for (size_t i = 0; i + 1 < n; ++i) set(i, find(ids[i], ids[i + 1]));
  }
  while (n > 1) {
    const auto at = static_cast<size_t>(
        std::min_element(ranks.begin(), ranks.begin() + static_cast<ptrdiff_t>(n - 1)) -
        ranks.begin());
    if (ranks[at] == kNoMerge) break;
    ids[at] = results[at];
    bytes[at] += bytes[at + 1];
    --n;
    for (size_t i = at + 1; i < n; ++i) {
      ids[i] = ids[i + 1];
      bytes[i] = bytes[i + 1];
      ranks[i - 1] = ranks[i];
      results[i - 1] = results[i];
    }
    if (at > 0) set(at - 1, find(ids[at - 1], ids[at]));
    if (at + 1 < n) set(at, find(ids[at], ids[at + 1]));
  }
  symbols.ids.resize(n);
  symbols.bytes.resize(n);
}

void BpeModel::merge_long(Symbols& all) const {
  std::vector<TokenId>& symbols = all.ids;
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
    const Merge m = find(symbols[i], symbols[next[i]]);
    if (m.rank == kNoMerge) return std::nullopt;
    return Candidate{m.rank, i, symbols[i], symbols[next[i]]};
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
    symbols[c.at] = find(c.left, c.right).result;
    symbols[right] = -1;
    all.bytes[c.at] += std::exchange(all.bytes[right], 0);
    next[c.at] = next[right];
    if (next[right] != kNone) previous[next[right]] = c.at;
    next[right] = kNone;
    if (auto after = candidate(c.at)) heap.push(*after);
    if (auto before = candidate(previous[c.at])) heap.push(*before);
  }
  std::erase(symbols, -1);
  std::erase(all.bytes, 0u);
}

}  // namespace sllm
