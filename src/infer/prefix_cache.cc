// Kept states by what was read; see prefix_cache.h.
#include "infer/prefix_cache.h"

#include <algorithm>

#include "base/checked.h"

namespace sllm {

int64_t common_beginning(std::span<const TokenId> a, std::span<const TokenId> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

int64_t PrefixCache::cost(const Entry& entry) {
  return round_up(std::ssize(entry.tokens), KvView::kBlockTokens);
}

int64_t PrefixCache::serves(const Entry& entry, ReadWith with,
                            std::span<const TokenId> text) const {
  if (!(entry.with == with) || text.empty()) return 0;
  const int64_t alike = common_beginning(entry.tokens, text.first(text.size() - 1));
  const int64_t served = !whole_ || alike == std::ssize(entry.tokens) ? alike : 0;
  return served >= kLeast ? served : 0;
}

// {entry, tokens that it serves}; end() and 0 when none does.
template <class List>
auto PrefixCache::best(List& entries, ReadWith with, std::span<const TokenId> text) const {
  auto found = entries.end();
  int64_t most = 0;
  for (auto it = entries.begin(); it != entries.end(); ++it)
    if (const int64_t n = serves(*it, with, text); n > most) found = it, most = n;
  return std::pair(found, most);
}

PrefixCache::Entries::iterator PrefixCache::drop(Entries::iterator entry) {
  kept_ -= cost(*entry);
  return entries_.erase(entry);
}

void PrefixCache::keep(ReadWith with, std::span<const TokenId> tokens, SequenceState state) {
  if (max_tokens_ == 0 || std::ssize(tokens) < kLeast) return;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const int64_t alike = it->with == with ? common_beginning(it->tokens, tokens) : 0;
    // With recurrent layers the shorter one serves texts that the longer one does not.
    if (alike == std::ssize(tokens) && (!whole_ || alike == std::ssize(it->tokens))) {
      entries_.splice(entries_.begin(), entries_, it);  // nothing new
      return;
    }
    it = !whole_ && alike == std::ssize(it->tokens) ? drop(it) : std::next(it);
  }
  entries_.push_front({with, {tokens.begin(), tokens.end()}, std::move(state)});
  kept_ += cost(entries_.front());
  while (kept_ > max_tokens_) drop_oldest();
}

int64_t PrefixCache::length_of(ReadWith with, std::span<const TokenId> text) const {
  return best(entries_, with, text).second;
}

std::optional<SequenceState> PrefixCache::find(ReadWith with, std::span<const TokenId> text) {
  const auto [entry, length] = best(entries_, with, text);
  if (length == 0) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, entry);
  SequenceState state = entry->state.fork();
  state.truncate(length);
  return state;
}

bool PrefixCache::drop_oldest() {
  if (entries_.empty()) return false;
  drop(std::prev(entries_.end()));
  return true;
}

void PrefixCache::clear() {
  entries_.clear();
  kept_ = 0;
}

}  // namespace sllm
