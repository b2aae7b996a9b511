// The automaton of Aho and Corasick (1975) as a graph. A state stands for the longest beginning of
// a word that the text ends with.
#include "grammar/watched_text.h"

#include <array>
#include <optional>

#include "base/check.h"

namespace sllm {
namespace {

struct State {
  std::array<uint32_t, 256> next{};  // 0: none, and where the text begins
  uint32_t shorter = 0;              // the state of the longest beginning that this one ends with
  std::optional<size_t> word;        // that is complete here
};

std::vector<State> states_of(const std::vector<std::string>& words) {
  std::vector<State> states(1);
  for (size_t i = 0; i < words.size(); ++i) {
    SLLM_CHECK(!words[i].empty(), "a word to watch for is empty");
    uint32_t at = 0;
    for (const char c : words[i]) {
      const auto byte = static_cast<uint8_t>(c);
      if (states[at].next[byte] == 0) {
        states[at].next[byte] = static_cast<uint32_t>(states.size());
        states.emplace_back();
      }
      at = states[at].next[byte];
    }
    states[at].word = i;
  }
  // Shorter states first, so that what they go on to is known.
  std::vector<uint32_t> order{0};
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t at = order[i];
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t fallen = at == 0 ? 0 : states[states[at].shorter].next[byte];
      uint32_t& next = states[at].next[byte];
      if (next == 0) {
        next = fallen;
        continue;
      }
      states[next].shorter = fallen;
      if (!states[next].word) states[next].word = states[fallen].word;
      order.push_back(next);
    }
  }
  return states;
}

}  // namespace

WatchedText watched_text(GrammarBuilder& builder, const std::vector<std::string>& words,
                         std::optional<uint32_t> leave) {
  const std::vector<State> states = states_of(words);
  WatchedText watched;
  for (size_t i = 0; i < words.size(); ++i) watched.ends.push_back(builder.point());
  std::vector<uint32_t> points;
  for (const State& state : states)
    points.push_back(state.word ? watched.ends[*state.word] : builder.point());
  for (size_t i = 0; i < states.size() && !builder.full(); ++i) {
    if (states[i].word) continue;
    const auto& next = states[i].next;
    std::vector<uint32_t> ways;
    if (leave) ways.push_back(*leave);
    for (size_t low = 0, high; low < 256; low = high + 1) {
      for (high = low; high < 255 && next[high + 1] == next[low];) ++high;
      const auto bytes = builder.byte(static_cast<uint8_t>(low), static_cast<uint8_t>(high));
      builder.link(bytes.end, points[next[low]]);
      ways.push_back(bytes.start);
    }
    builder.link(points[i], builder.choice(ways));
  }
  watched.start = points[0];
  return watched;
}

}  // namespace sllm
