// Guessing from the text itself; see prompt_lookup.h.
#include "infer/prompt_lookup.h"

#include <algorithm>

namespace sllm {
namespace {

uint64_t hash(std::span<const TokenId> tokens) {
  uint64_t h = 0;
  for (const TokenId t : tokens) {
    h = (h ^ static_cast<uint32_t>(t)) * 0x9E3779B97F4A7C15;
    h ^= h >> 32;
  }
  return h;
}

}  // namespace

size_t PromptLookup::Places::find(std::span<const TokenId> text) {
  // The last n tokens themselves enter with the next call: what follows them is not known yet.
  for (size_t end = std::max(seen, n); end < text.size(); ++end)
    after[hash(text.subspan(end - n, n))] = end;
  seen = text.size();
  if (text.size() <= n) return 0;
  const auto last = text.last(n);
  const auto found = after.find(hash(last));
  if (found == after.end()) return 0;
  return std::ranges::equal(text.subspan(found->second - n, n), last) ? found->second : 0;
}

std::vector<TokenId> PromptLookup::guess(std::span<const TokenId> text, int64_t most) {
  size_t at = four_.find(text);
  if (at == 0) at = two_.find(text);
  if (at == 0) return {};
  const auto follows = text.subspan(at);
  return {follows.begin(),
          follows.begin() + std::min<int64_t>(most, static_cast<int64_t>(follows.size()))};
}

}  // namespace sllm
