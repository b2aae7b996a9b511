// The GPT-2, Llama-3 and Qwen2 patterns as scanners. Alternatives are tried in the pattern's order.
#include "text/word_scanner.h"

#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace sllm {

namespace {

using unicode::Char;
using unicode::Class;
using unicode::class_of;
using unicode::decode;

const char* skip(const char* p, const char* end, Class wanted, size_t at_most = SIZE_MAX) {
  for (; p < end && at_most > 0; --at_most) {
    const Char c = decode(p);
    if (class_of(c.code) != wanted) break;
    p += c.length;
  }
  return p;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// 's 't 're 've 'm 'll 'd; folded: also in capitals, and U+017F, which folds to s. 0: none.
size_t contraction_length(const char* p, const char* end, bool fold) {
  if (end - p < 2 || *p != '\'') return 0;
  const auto letter = [&](const char* q) -> char {
    return fold && *q >= 'A' && *q <= 'Z' ? static_cast<char>(*q | 0x20) : *q;
  };
  const char first = letter(p + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (end - p < 3) return 0;
  if (fold && p[1] == '\xC5' && p[2] == '\xBF') return 3;
  const char second = letter(p + 2);
  return (first == 'r' || first == 'v') && second == 'e' ? 3
         : first == 'l' && second == 'l'                 ? 3
                                                         : 0;
}

// \s+(?!\S)|\s+ : a run of white space gives its last character to the word after it.
size_t space_length(const char* p, const char* end) {
  const char* run = skip(p, end, Class::kSpace);
  if (run == end) return static_cast<size_t>(run - p);
  const char* last = run - unicode::decode_before(run).length;
  return static_cast<size_t>((last == p ? run : last) - p);
}

// \s*[\r\n]+ : up to the last line break of the run of white space. 0: none in it.
size_t line_break_length(const char* p, const char* end) {
  const char* after = nullptr;
  for (const char* q = p; q < end;) {
    const Char c = decode(q);
    if (class_of(c.code) != Class::kSpace) break;
    q += c.length;
    if (c.code == '\r' || c.code == '\n') after = q;
  }
  return after ? static_cast<size_t>(after - p) : 0;
}

size_t gpt2_length(const char* p, const char* end) {
  if (const size_t n = contraction_length(p, end, false)) return n;
  const char* q = *p == ' ' && end - p > 1 ? p + 1 : p;
  const Class first = class_of(decode(q).code);
  if (first == Class::kSpace) return space_length(p, end);
  return static_cast<size_t>(skip(q, end, first) - p);
}

size_t llama3_length(const char* p, const char* end, size_t digits) {
  if (const size_t n = contraction_length(p, end, true)) return n;
  const Char c = decode(p);
  const Class first = class_of(c.code);
  if (first == Class::kLetter) return static_cast<size_t>(skip(p, end, Class::kLetter) - p);
  if (first == Class::kNumber) return static_cast<size_t>(skip(p, end, first, digits) - p);
  if (!is_newline(*p)) {
    const char* word = skip(p + c.length, end, Class::kLetter);
    if (word > p + c.length) return static_cast<size_t>(word - p);
  }
  const char* q = *p == ' ' ? p + 1 : p;
  const char* symbols = skip(q, end, Class::kOther);
  if (symbols > q) {
    while (symbols < end && is_newline(*symbols)) ++symbols;
    return static_cast<size_t>(symbols - p);
  }
  if (const size_t n = line_break_length(p, end)) return n;
  return space_length(p, end);
}

}  // namespace

std::optional<WordPattern> known_pattern(std::string_view regex) {
  if (regex == kGpt2Pattern) return WordPattern::kGpt2;
  if (regex == kLlama3Pattern) return WordPattern::kLlama3;
  if (regex == kQwen2Pattern) return WordPattern::kQwen2;
  return std::nullopt;
}

size_t word_length(WordPattern pattern, std::string_view text) {
  const char* p = text.data();
  const char* end = p + text.size();
  switch (pattern) {
    case WordPattern::kGpt2:
      return gpt2_length(p, end);
    case WordPattern::kLlama3:
      return llama3_length(p, end, 3);
    case WordPattern::kQwen2:
      return llama3_length(p, end, 1);
  }
  return text.size();
}

}  // namespace sllm
