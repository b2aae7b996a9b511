#include "text/repeated_substrings.h"

#include <algorithm>

#include "text/unicode.h"

namespace sllm {
namespace {

struct Suffix {
  std::string_view text;
  uint64_t count;
};

// A branch of the tree that is still open: the first `bytes` of `text`.
struct Branch {
  size_t bytes;
  uint64_t count;
  std::string_view text;
};

std::vector<Suffix> suffixes_of(const std::vector<WordCount>& words, uint32_t longest) {
  std::vector<Suffix> suffixes;
  std::vector<size_t> begins;
  for (const auto& [word, count] : words) {
    begins.clear();
    for (size_t at = 0; at < word.size(); at += unicode::decode(word.data() + at).length)
      begins.push_back(at);
    for (size_t i = 0; i < begins.size(); ++i) {
      const size_t end = i + longest < begins.size() ? begins[i + longest] : word.size();
      suffixes.push_back({word.substr(begins[i], end - begins[i]), count});
    }
  }
  return suffixes;
}

// Bytes of the whole characters that both begin with.
size_t common_prefix(std::string_view a, std::string_view b) {
  auto same = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  const auto inside = [&](std::string_view s) {
    return same < s.size() && (static_cast<uint8_t>(s[same]) & 0xC0) == 0x80;
  };
  while (same > 0 && (inside(a) || inside(b))) --same;
  return same;
}

uint32_t count_characters(std::string_view text) {
  return static_cast<uint32_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::vector<RepeatedSubstring> repeated_substrings(const std::vector<WordCount>& words,
                                                   uint32_t longest) {
  std::vector<Suffix> suffixes = suffixes_of(words, longest);
  std::ranges::sort(suffixes, {}, &Suffix::text);
  std::vector<RepeatedSubstring> found;
  std::vector<Branch> open{{0, 0, {}}};
  // Ends every branch that is longer than `bytes`; what it counts belongs to the one below it too.
  const auto close = [&](size_t bytes) {
    uint64_t carried = 0;
    std::string_view text;
    while (open.back().bytes > bytes) {
      Branch& done = open.back();
      done.count += carried;
      carried = done.count;
      text = done.text;
      const std::string_view branch = text.substr(0, done.bytes);
      const uint32_t characters = count_characters(branch);
      if (done.count > 1 && characters > 1) found.push_back({branch, done.count, characters});
      open.pop_back();
    }
    if (carried == 0) return;
    if (open.back().bytes < bytes)
      open.push_back({bytes, carried, text});
    else
      open.back().count += carried;
  };
  for (const Suffix& s : suffixes) {
    close(common_prefix(open.back().text.substr(0, open.back().bytes), s.text));
    if (open.back().bytes < s.text.size())
      open.push_back({s.text.size(), s.count, s.text});
    else
      open.back().count += s.count;
  }
  close(0);
  return found;
}

}  // namespace sllm
