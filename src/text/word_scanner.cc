// The patterns of text/tokenizer_spec.h as scanners. Alternatives are tried in the pattern's order.
#include "text/word_scanner.h"

#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace sllm {

namespace {

using unicode::Case;
using unicode::case_of;
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

// [\p{L}\p{M}]+
const char* skip_letters_and_marks(const char* p, const char* end) {
  for (; p < end;) {
    const Char c = decode(p);
    if (class_of(c.code) != Class::kLetter && case_of(c.code) != Case::kMark) break;
    p += c.length;
  }
  return p;
}

size_t qwen35_length(const char* p, const char* end) {
  if (const size_t n = contraction_length(p, end, true)) return n;
  const Char c = decode(p);
  const Class first = class_of(c.code);
  if (first == Class::kNumber) return c.length;
  if (first != Class::kLetter && !is_newline(*p)) {
    const char* word = skip_letters_and_marks(p + c.length, end);
    if (word > p + c.length) return static_cast<size_t>(word - p);
  }
  if (const char* word = skip_letters_and_marks(p, end); word > p)
    return static_cast<size_t>(word - p);
  const char* q = *p == ' ' ? p + 1 : p;
  const char* symbols = q;
  while (symbols < end) {
    const Char s = decode(symbols);
    if (class_of(s.code) != Class::kOther || case_of(s.code) == Case::kMark) break;
    symbols += s.length;
  }
  if (symbols > q) {
    while (symbols < end && is_newline(*symbols)) ++symbols;
    return static_cast<size_t>(symbols - p);
  }
  if (const size_t n = line_break_length(p, end)) return n;
  return space_length(p, end);
}

// U* = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]* from p on; then L+ = [\p{Ll}\p{Lm}\p{Lo}\p{M}]+. Where no
// small letter follows, U* gives back what L+ needs: up to its last character that is in both.
// Null: no match.
const char* skip_cased(const char* p, const char* end) {
  const char* upper = p;
  const char* both = nullptr;
  while (upper < end) {
    const Char c = decode(upper);
    const Case kind = case_of(c.code);
    if (kind == Case::kNone || kind == Case::kLower) break;
    upper += c.length;
    if (kind != Case::kUpper) both = upper;
  }
  const char* lower = upper;
  while (lower < end) {
    const Char c = decode(lower);
    const Case kind = case_of(c.code);
    if (kind == Case::kNone || kind == Case::kUpper) break;
    lower += c.length;
  }
  return lower > upper ? lower : both;
}
// U+ from p on, where skip_cased() found nothing: capitals alone.
const char* skip_capitals(const char* p, const char* end) {
  while (p < end) {
    const Char c = decode(p);
    if (case_of(c.code) != Case::kUpper) break;
    p += c.length;
  }
  return p;
}

size_t o200k_length(const char* p, const char* end, size_t digits, bool contractions) {
  const Char c = decode(p);
  const Class first = class_of(c.code);
  if (first == Class::kNumber) return static_cast<size_t>(skip(p, end, first, digits) - p);
  const bool may_lead = first != Class::kLetter && !is_newline(*p);
  const char* after = p + c.length;
  const char* word = may_lead ? skip_cased(after, end) : nullptr;
  if (!word) word = skip_cased(p, end);
  if (!word && may_lead)
    if (const char* capitals = skip_capitals(after, end); capitals > after) word = capitals;
  if (!word)
    if (const char* capitals = skip_capitals(p, end); capitals > p) word = capitals;
  if (word) {
    if (contractions && word < end) word += contraction_length(word, end, true);
    return static_cast<size_t>(word - p);
  }
  const char* q = *p == ' ' ? p + 1 : p;
  const char* symbols = skip(q, end, Class::kOther);
  if (symbols > q) {
    while (symbols < end && (is_newline(*symbols) || *symbols == '/')) ++symbols;
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
  if (regex == kQwen35Pattern) return WordPattern::kQwen35;
  if (regex == kO200kPattern) return WordPattern::kO200k;
  if (regex == kTekkenPattern) return WordPattern::kTekken;
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
    case WordPattern::kQwen35:
      return qwen35_length(p, end);
    case WordPattern::kO200k:
      return o200k_length(p, end, 3, true);
    case WordPattern::kTekken:
      return o200k_length(p, end, 1, false);
  }
  return text.size();
}

}  // namespace sllm
