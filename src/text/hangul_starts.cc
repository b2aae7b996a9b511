// Why beginning with merged syllables gives the same tokens: merging takes the lowest rank first.
// Let x be a symbol that is at a syllable's edge at some time of its own merging, and `need` the
// highest rank among its own merges up to the one that takes x up (all of them for the symbol that
// stays). Where every merge of x with a symbol beyond the edge has a higher rank than `need`, the
// own merges always come first: a merge that is possible only because the syllable was merged
// beforehand has a higher rank than those it would have waited for. Any token that ends or begins
// as Hangul does counts as a symbol beyond the edge.
#include "text/hangul_starts.h"

#include <algorithm>

#include "text/unicode.h"

namespace sllm {
namespace {

struct Alone {
  std::vector<TokenId> ids;
  std::vector<uint8_t> bytes;
  struct Passing {  // a symbol that is at an edge at some time, the last one too
    TokenId id;
    uint32_t need;
  };
  std::vector<Passing> firsts, lasts;
};

Alone merge_alone(std::string_view text, const std::array<TokenId, 256>& id_of_byte,
                  const HangulStarts::Find& find) {
  Alone a;
  for (const char byte : text) {
    a.ids.push_back(id_of_byte[static_cast<uint8_t>(byte)]);
    a.bytes.push_back(1);
  }
  uint32_t highest = 0;
  while (a.ids.size() > 1) {
    HangulStarts::Merge best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < a.ids.size(); ++i)
      if (const auto merge = find(a.ids[i], a.ids[i + 1]); merge.rank < best.rank)
        best = merge, at = i;
    if (best.rank == HangulStarts::kNever) break;
    highest = std::max(highest, best.rank);
    if (at == 0) a.firsts.push_back({a.ids.front(), highest});
    if (at + 2 == a.ids.size()) a.lasts.push_back({a.ids.back(), highest});
    const auto next = static_cast<ptrdiff_t>(at) + 1;
    a.ids[at] = best.result;
    a.bytes[at] = static_cast<uint8_t>(a.bytes[at] + a.bytes[at + 1]);
    a.ids.erase(a.ids.begin() + next);
    a.bytes.erase(a.bytes.begin() + next);
  }
  a.firsts.push_back({a.ids.front(), highest});
  a.lasts.push_back({a.ids.back(), highest});
  return a;
}

bool begins_hangul(HangulStarts::Edges e) { return e.first >= 0xEA && e.first <= 0xED; }
bool ends_hangul(HangulStarts::Edges e) { return e.last >= 0x80 && e.last <= 0xBF; }

}  // namespace

HangulStarts::HangulStarts(const std::array<TokenId, 256>& id_of_byte, std::span<const Edges> edges,
                           std::span<const Merge> merges, const Find& find) {
  // The lowest ranks of each token's merges with what may stand beyond its edges.
  std::vector<uint32_t> before(edges.size(), kNever), behind(edges.size(), kNever);
  for (const Merge& m : merges) {
    const auto left = static_cast<size_t>(m.left), right = static_cast<size_t>(m.right);
    if (ends_hangul(edges[left])) before[right] = std::min(before[right], m.rank);
    if (begins_hangul(edges[right])) behind[left] = std::min(behind[left], m.rank);
  }
  const auto safe = [](const std::vector<Alone::Passing>& passing,
                       const std::vector<uint32_t>& beyond) {
    return std::ranges::all_of(passing, [&](const Alone::Passing& p) {
      return beyond[static_cast<size_t>(p.id)] > p.need;
    });
  };
  for (const bool spaced : {false, true})
    for (uint32_t i = 0; i < kCount; ++i) {
      std::string text = spaced ? " " : "";
      unicode::append_utf8(text, kFirst + i);
      Alone a = merge_alone(text, id_of_byte, find);
      if (!safe(a.lasts, behind) || (!spaced && !safe(a.firsts, before)))
        a = merge_alone(text, id_of_byte, [](TokenId, TokenId) { return Merge{}; });
      Start start{.count = static_cast<uint32_t>(a.ids.size())};
      std::ranges::copy(a.ids, start.ids.begin());
      std::ranges::copy(a.bytes, start.bytes.begin());
      (spaced ? spaced_ : plain_).push_back(start);
    }
}

bool HangulStarts::begin(std::string_view word, std::vector<TokenId>& ids,
                         std::vector<uint32_t>& bytes) const {
  const bool spaced = word.starts_with(' ');
  if (plain_.empty() || word.size() < 3 || word.size() % 3 != (spaced ? 1 : 0)) return false;
  for (size_t at = spaced ? 1 : 0; at < word.size(); at += 3) {
    const unicode::Char c = unicode::decode(word.data() + at);
    const uint32_t index = c.code - kFirst;
    if (c.length != 3 || index >= kCount) return ids.clear(), bytes.clear(), false;
    const Start& start = spaced && at == 1 ? spaced_[index] : plain_[index];
    for (uint32_t i = 0; i < start.count; ++i) {
      ids.push_back(start.ids[i]);
      bytes.push_back(start.bytes[i]);
    }
  }
  return true;
}

}  // namespace sllm
