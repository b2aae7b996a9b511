// UTF-8 and the few Unicode properties that tokenizers ask for; the property tables are ICU's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sllm::unicode {

bool valid_utf8(std::string_view text);
// Invalid sequences become U+FFFD, one per maximal subpart (Unicode 15 §3.9, Python's "replace").
std::string sanitize_utf8(std::string_view text);
void append_utf8(std::string& out, char32_t code);

struct Char {
  char32_t code;
  uint32_t length;  // bytes
};
// The character at the start of `p`, which must be valid UTF-8 and not empty.
inline Char decode(const char* p) {
  const auto byte = [p](int i) { return static_cast<uint8_t>(p[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {char32_t((lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu)), 2};
  if (lead < 0xF0)
    return {char32_t((lead & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu)), 3};
  return {char32_t((lead & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 |
                   (byte(3) & 0x3Fu)),
          4};
}
// The character that ends just before `p`.
inline Char decode_before(const char* p) {
  int back = 1;
  while ((static_cast<uint8_t>(p[-back]) & 0xC0) == 0x80) ++back;
  return decode(p - back);
}

// What pre-tokenizer patterns distinguish: \p{L}, \p{N}, White_Space (\s), the rest.
enum class Class : uint8_t { kOther, kLetter, kNumber, kSpace };
const Class* class_table();  // 0x110000 entries
inline Class class_of(char32_t code) {
  static const Class* const table = class_table();
  return table[code];
}
inline bool is_space(char32_t code) { return class_of(code) == Class::kSpace; }
bool is_word(char32_t code);  // \w: letters, marks, digits, connectors
bool is_mark(char32_t code);  // \p{M}
bool is_nonspacing_mark(char32_t code);
bool is_other(char32_t code);  // \p{C}: controls, formats, private, not assigned
// ASCII punctuation and \p{P}.
bool is_punctuation(char32_t code);
// What \p{Lu}\p{Lt} and \p{Ll} are, for patterns that cut before capitals.
enum class Case : uint8_t { kNone, kUpper, kLower, kEither, kMark };  // kEither: Lm, Lo
const Case* case_table();                                             // 0x110000 entries
inline Case case_of(char32_t code) {
  static const Case* const table = case_table();
  return table[code];
}
int script_of(char32_t code);   // ICU's UScriptCode
int version_of(char32_t code);  // the major version of Unicode that added it; 0: none yet
// Lower case of one character, without context (Rust's char::to_lowercase).
void append_lowercase(std::string& out, char32_t code);
// Bytes of the extended grapheme cluster at the start of each entry: lengths in order.
std::vector<size_t> grapheme_lengths(std::string_view text);

// The most bytes of a text that the functions below take: ICU counts in int32, and a text can
// become 11 times as long.
constexpr size_t kMaxNormalized = INT32_MAX / 32;
enum class Form : uint8_t { kNone, kNfc, kNfd, kNfkc, kNfkd };
bool is_normalized(Form form, std::string_view text);
// `source_ends`, when wanted, receives for every byte of the result the number of source bytes
// consumed when that byte's character is complete.
std::string normalize(Form form, std::string_view text, std::vector<size_t>* source_ends = nullptr);
// NFKC_Casefold: width, case and compatibility forms folded, what cannot be seen left out.
std::string nfkc_casefold(std::string_view text);

}  // namespace sllm::unicode
