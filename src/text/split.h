// Cutting text at matches: what tokenizers' SplitDelimiterBehavior does with them.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace sllm {

inline constexpr std::pair<size_t, size_t> kNoMatch{std::string::npos, std::string::npos};

namespace split_detail {

struct Part {
  size_t from, to;
  bool is_match;
};

// Calls part(from, to, is_match) for the matches in `text` and what lies between, in order.
// next_match(from) gives the first match at or after `from`, kNoMatch when there is none.
template <class NextMatch, class Emit>
void each_part(std::string_view text, NextMatch&& next_match, Emit&& part) {
  size_t done = 0, search = 0;
  std::optional<size_t> last_end;
  while (search <= text.size()) {
    const auto [from, to] = next_match(search);
    if (from == std::string::npos) break;
    if (from != to || last_end != from) {
      if (done < from) part(done, from, false);
      part(from, to, true);
      done = to;
      last_end = to;
    }
    search = to;
    if (from == to) search += to < text.size() ? unicode::decode(text.data() + to).length : 1;
  }
  if (done < text.size()) part(done, text.size(), false);
}

// Joins each match to its left (or, going backwards, right) neighbour, once.
template <class Iterator>
std::vector<Part> merge_with_neighbour(Iterator begin, Iterator end) {
  std::vector<Part> merged;
  bool previous = false;
  for (; begin != end; ++begin) {
    if (begin->is_match && !previous && !merged.empty()) {
      merged.back().from = std::min(merged.back().from, begin->from);
      merged.back().to = std::max(merged.back().to, begin->to);
    } else {
      merged.push_back(*begin);
    }
    previous = begin->is_match;
  }
  return merged;
}

inline std::vector<Part> join_runs(const std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool previous = false;
  for (const Part& p : parts) {
    if (p.is_match == previous && !joined.empty())
      joined.back().to = p.to;
    else
      joined.push_back(p);
    previous = p.is_match;
  }
  return joined;
}

}  // namespace split_detail

// Calls emit(from, to) for the pieces of `text`.
template <class NextMatch, class Emit>
void split_at_matches(std::string_view text, SplitBehaviour behaviour, bool invert,
                      NextMatch&& next_match, Emit&& emit) {
  using split_detail::Part;
  const auto emit_part = [&](size_t from, size_t to) {
    if (from < to) emit(from, to);
  };
  if (behaviour == SplitBehaviour::kIsolated || behaviour == SplitBehaviour::kRemoved) {
    const bool keep_matches = behaviour == SplitBehaviour::kIsolated;
    return split_detail::each_part(text, next_match, [&](size_t from, size_t to, bool is_match) {
      if (keep_matches || is_match == invert) emit_part(from, to);
    });
  }
  std::vector<Part> parts;
  split_detail::each_part(text, next_match, [&](size_t from, size_t to, bool is_match) {
    parts.push_back({from, to, is_match != invert});
  });
  if (behaviour == SplitBehaviour::kMergedWithPrevious) {
    parts = split_detail::merge_with_neighbour(parts.begin(), parts.end());
  } else if (behaviour == SplitBehaviour::kMergedWithNext) {
    parts = split_detail::merge_with_neighbour(parts.rbegin(), parts.rend());
    std::reverse(parts.begin(), parts.end());
  } else {
    parts = split_detail::join_runs(parts);
  }
  for (const Part& p : parts) emit_part(p.from, p.to);
}

// The first character at or after `from` for which is(code) holds, alone or with those like it
// that follow.
template <class Is>
std::pair<size_t, size_t> next_char(std::string_view text, size_t from, bool run, Is&& is) {
  while (from < text.size()) {
    const unicode::Char c = unicode::decode(text.data() + from);
    if (is(c.code)) break;
    from += c.length;
  }
  if (from >= text.size()) return kNoMatch;
  size_t to = from + unicode::decode(text.data() + from).length;
  while (run && to < text.size()) {
    const unicode::Char c = unicode::decode(text.data() + to);
    if (!is(c.code)) break;
    to += c.length;
  }
  return {from, to};
}

}  // namespace sllm
