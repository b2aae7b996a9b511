// The steps of a pre-tokenizer, each cutting what the one before it left.
#include "text/pre_tokenizer.h"

#include <algorithm>

namespace sllm {
namespace {

struct Part {
  size_t from, to;
  bool is_match;
};

// Calls part(from, to, is_match) for the matches in `text` and what lies between, in order.
// next_match(from) gives the first match at or after `from`, {npos, npos} when there is none.
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

std::vector<Part> join_runs(const std::vector<Part>& parts) {
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

// Hands out the pieces of `text` as tokenizers' SplitDelimiterBehavior says.
template <class NextMatch, class Emit>
void split_by(const SplitStep& step, std::string_view text, NextMatch&& next_match, Emit&& emit) {
  const auto emit_part = [&](size_t from, size_t to) {
    if (from < to) emit(from, to);
  };
  if (step.behaviour == SplitBehaviour::kIsolated || step.behaviour == SplitBehaviour::kRemoved) {
    const bool keep_matches = step.behaviour == SplitBehaviour::kIsolated;
    return each_part(text, next_match, [&](size_t from, size_t to, bool is_match) {
      if (keep_matches || is_match == step.invert) emit_part(from, to);
    });
  }
  std::vector<Part> parts;
  each_part(text, next_match, [&](size_t from, size_t to, bool is_match) {
    parts.push_back({from, to, is_match != step.invert});
  });
  if (step.behaviour == SplitBehaviour::kMergedWithPrevious) {
    parts = merge_with_neighbour(parts.begin(), parts.end());
  } else if (step.behaviour == SplitBehaviour::kMergedWithNext) {
    parts = merge_with_neighbour(parts.rbegin(), parts.rend());
    std::reverse(parts.begin(), parts.end());
  } else {
    parts = join_runs(parts);
  }
  for (const Part& p : parts) emit_part(p.from, p.to);
}

// The first run of digits (or single digit) at or after `from`.
std::pair<size_t, size_t> next_number(std::string_view text, size_t from, bool individual) {
  const auto number_at = [&](size_t at) -> size_t {
    const unicode::Char c = unicode::decode(text.data() + at);
    return unicode::class_of(c.code) == unicode::Class::kNumber ? c.length : 0;
  };
  while (from < text.size() && number_at(from) == 0)
    from += unicode::decode(text.data() + from).length;
  if (from >= text.size()) return {std::string::npos, std::string::npos};
  size_t to = from + number_at(from);
  while (!individual && to < text.size() && number_at(to) > 0) to += number_at(to);
  return {from, to};
}

}  // namespace

Result<PreTokenizer> PreTokenizer::build(const std::vector<PreTokenizerStep>& steps) {
  PreTokenizer result;
  for (const PreTokenizerStep& what : steps) {
    Step step{what, std::nullopt, std::nullopt};
    if (const auto* split = std::get_if<SplitStep>(&what)) {
      if (split->behaviour == SplitBehaviour::kIsolated && !split->invert)
        step.scanner = known_pattern(split->regex);
      if (!step.scanner) {
        SLLM_TRY(step.regex, Regex::compile(split->regex));
      }
    }
    result.steps_.push_back(std::move(step));
  }
  return result;
}

void PreTokenizer::split(std::string_view text, const Sink& word) const {
  if (!text.empty()) split_from(0, text, 0, word);
}

void PreTokenizer::split_from(size_t index, std::string_view text, size_t offset,
                              const Sink& word) const {
  if (index == steps_.size()) return word(text, offset + text.size());
  const Step& step = steps_[index];
  const auto emit = [&](size_t from, size_t to) {
    split_from(index + 1, text.substr(from, to - from), offset + from, word);
  };
  if (step.scanner) {
    const bool last = index + 1 == steps_.size();
    for (size_t at = 0; at < text.size();) {
      const size_t length = word_length(*step.scanner, text.substr(at));
      last ? word(text.substr(at, length), offset + at + length) : emit(at, at + length);
      at += length;
    }
  } else if (const auto* split = std::get_if<SplitStep>(&step.what)) {
    split_by(
        *split, text, [&](size_t from) { return step.regex->find(text, from); }, emit);
  } else if (const auto* digits = std::get_if<DigitsStep>(&step.what)) {
    split_by(
        SplitStep{}, text, [&](size_t from) { return next_number(text, from, digits->individual); },
        emit);
  } else if (text.front() == ' ') {  // PrefixSpaceStep
    emit(0, text.size());
  } else {
    const std::string spaced = " " + std::string(text);
    const size_t end = offset + text.size();
    split_from(index + 1, spaced, 0, [&](std::string_view piece, size_t piece_end) {
      word(piece, std::min(end, offset + piece_end - 1));
    });
  }
}

}  // namespace sllm
