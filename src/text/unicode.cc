// UTF-8 checks, property table and normal forms on top of ICU and simdjson.
#include "text/unicode.h"

#include <simdjson.h>
#include <unicode/brkiter.h>
#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace sllm::unicode {
namespace {

// Length of the well-formed sequence at text[i], or 0; `skip` is then its maximal subpart.
size_t sequence_length(std::string_view text, size_t i, size_t& skip) {
  const auto byte = [&](size_t k) -> uint32_t {
    return k < text.size() ? static_cast<uint8_t>(text[k]) : 0u;
  };
  const uint32_t lead = byte(i);
  skip = 1;
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0) return 0;
  const uint32_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint32_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(i + 1) < low || byte(i + 1) > high) return 0;
  for (skip = 2; skip < length; ++skip)
    if ((byte(i + skip) & 0xC0) != 0x80) return 0;
  return length;
}

UBool set_class(const void* context, UChar32 start, UChar32 limit, UCharCategory category) {
  auto* table = static_cast<Class*>(const_cast<void*>(context));
  const uint32_t mask = U_MASK(category);
  const Class value = mask & U_GC_L_MASK   ? Class::kLetter
                      : mask & U_GC_N_MASK ? Class::kNumber
                                           : Class::kOther;
  std::fill(table + start, table + limit, value);
  return true;
}

const icu::Normalizer2& normalizer(Form form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* n = form == Form::kNfc    ? icu::Normalizer2::getNFCInstance(status)
                              : form == Form::kNfd  ? icu::Normalizer2::getNFDInstance(status)
                              : form == Form::kNfkc ? icu::Normalizer2::getNFKCInstance(status)
                                                    : icu::Normalizer2::getNFKDInstance(status);
  SLLM_CHECK(U_SUCCESS(status) && n, "ICU has no normalizer: {}", u_errorName(status));
  return *n;
}

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  return true;
}

}  // namespace

bool valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string sanitize_utf8(std::string_view text) {
  if (valid_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t skip = 0;
    if (const size_t length = sequence_length(text, i, skip)) {
      out.append(text.substr(i, length));
      i += length;
    } else {
      out += "\xEF\xBF\xBD";
      i += skip;
    }
  }
  return out;
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

const Class* class_table() {
  static const std::vector<Class> table = [] {
    std::vector<Class> t(0x110000, Class::kOther);
    u_enumCharTypes(set_class, t.data());
    for (UChar32 c = 0; c <= 0x3000; ++c)
      if (u_isUWhiteSpace(c)) t[static_cast<size_t>(c)] = Class::kSpace;
    return t;
  }();
  return table.data();
}

bool is_word(char32_t code) {
  const auto c = static_cast<UChar32>(code);
  return u_isUAlphabetic(c) || (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK));
}

bool is_mark(char32_t code) {
  return (U_GET_GC_MASK(static_cast<UChar32>(code)) & U_GC_M_MASK) != 0;
}
bool is_nonspacing_mark(char32_t code) {
  return u_charType(static_cast<UChar32>(code)) == U_NON_SPACING_MARK;
}
bool is_other(char32_t code) {
  return (U_GET_GC_MASK(static_cast<UChar32>(code)) & U_GC_C_MASK) != 0;
}
bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return code > ' ' && code != 0x7F && class_of(code) == Class::kOther;  // also $ + < = > ^ ` | ~
  if (code == 0x166D) return true;  // until Unicode 12, and in the tables of tokenizers
  return (U_GET_GC_MASK(static_cast<UChar32>(code)) & U_GC_P_MASK) != 0;
}

namespace {
UBool set_case(const void* context, UChar32 start, UChar32 limit, UCharCategory category) {
  auto* table = static_cast<Case*>(const_cast<void*>(context));
  const uint32_t mask = U_MASK(category);
  const Case value = mask & (U_GC_LU_MASK | U_GC_LT_MASK)   ? Case::kUpper
                     : mask & U_GC_LL_MASK                  ? Case::kLower
                     : mask & (U_GC_LM_MASK | U_GC_LO_MASK) ? Case::kEither
                     : mask & U_GC_M_MASK                   ? Case::kMark
                                                            : Case::kNone;
  std::fill(table + start, table + limit, value);
  return true;
}
}  // namespace

const Case* case_table() {
  static const std::vector<Case> table = [] {
    std::vector<Case> t(0x110000, Case::kNone);
    u_enumCharTypes(set_case, t.data());
    return t;
  }();
  return table.data();
}

int script_of(char32_t code) {
  UErrorCode status = U_ZERO_ERROR;
  return uscript_getScript(static_cast<UChar32>(code), &status);
}

int version_of(char32_t code) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(code), age);
  return age[0];
}

void append_lowercase(std::string& out, char32_t code) {
  if (code == 0x130) {  // the one character whose lower case is two
    out += "i\xCC\x87";
    return;
  }
  append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(code))));
}

std::vector<size_t> grapheme_lengths(std::string_view text) {
  std::vector<size_t> lengths;
  UErrorCode status = U_ZERO_ERROR;
  UText* utext = utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status);
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
  SLLM_CHECK(U_SUCCESS(status) && breaks, "ICU has no grapheme rules: {}", u_errorName(status));
  breaks->setText(utext, status);
  int32_t from = breaks->first();
  for (int32_t to = breaks->next(); to != icu::BreakIterator::DONE; to = breaks->next()) {
    lengths.push_back(static_cast<size_t>(to - from));
    from = to;
  }
  utext_close(utext);
  return lengths;
}

namespace {

// ICU puts marks into canonical order by insertion, which takes the square of their number where a
// text has nothing but marks. A longer stretch than this is put into order before ICU sees it.
constexpr size_t kLongStretch = 128;       // bytes
constexpr size_t kPart = size_t{1} << 30;  // ICU counts in int32

struct Stretch {
  size_t from, to;
};

bool begins_apart(const icu::Normalizer2& n, std::string_view text, size_t at) {
  return (static_cast<uint8_t>(text[at]) & 0xC0) != 0x80 &&
         n.hasBoundaryBefore(static_cast<UChar32>(decode(text.data() + at).code));
}

// The next long stretch at or after `begin` inside of which normalization has no boundary; {size,
// size}: none. Whatever is longer than kLongStretch covers one of the places that are looked at.
Stretch next_long_stretch(const icu::Normalizer2& n, std::string_view text, size_t begin) {
  for (size_t at = begin; text.size() - at > kLongStretch; at += kLongStretch) {
    size_t from = at + kLongStretch;
    while ((static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) --from;
    if (begins_apart(n, text, from)) continue;
    size_t to = from + 1;
    while (to < text.size() && !begins_apart(n, text, to)) ++to;
    while (from > begin && !begins_apart(n, text, from)) --from;
    const Char first = decode(text.data() + from);
    if (n.hasBoundaryAfter(static_cast<UChar32>(first.code))) from += first.length;
    if (to - from > kLongStretch) return {from, to};
  }
  return {text.size(), text.size()};
}

// The text decomposed and in canonical order, of which every form is what it is of the text itself;
// nullopt: it was in order.
std::optional<std::string> in_canonical_order(const icu::Normalizer2& n, std::string_view text) {
  std::vector<uint32_t> codes;  // combining class << 24 | code
  const auto add = [&codes](UChar32 code) {
    codes.push_back(static_cast<uint32_t>(u_getCombiningClass(code)) << 24 |
                    static_cast<uint32_t>(code));
  };
  icu::UnicodeString parts;
  for (size_t at = 0; at < text.size();) {
    const Char c = decode(text.data() + at);
    at += c.length;
    if (n.getDecomposition(static_cast<UChar32>(c.code), parts))
      for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1)) add(parts.char32At(i));
    else
      add(static_cast<UChar32>(c.code));
  }
  const auto class_of_mark = [](uint32_t code) { return code >> 24; };
  bool changed = false;
  for (auto from = codes.begin(); from != codes.end();) {
    const auto to = std::find_if(from, codes.end(), [&](uint32_t c) { return c >> 24 == 0; });
    if (!std::ranges::is_sorted(from, to, {}, class_of_mark)) {
      std::ranges::stable_sort(from, to, {}, class_of_mark);
      changed = true;
    }
    from = std::find_if(to, codes.end(), [&](uint32_t c) { return c >> 24 != 0; });
  }
  if (!changed) return std::nullopt;
  std::string sorted;
  for (const uint32_t code : codes) append_utf8(sorted, code & 0xFFFFFF);
  return sorted;
}

void append_normal_form(const icu::Normalizer2& n, std::string_view text, std::string& out,
                        icu::Edits* edits) {
  SLLM_CHECK(text.size() < INT32_MAX, "normalizing {} bytes at once", text.size());
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  n.normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, edits,
                  status);
  SLLM_CHECK(U_SUCCESS(status), "normalizing failed: {}", u_errorName(status));
}

void append_source_ends(const icu::Edits& edits, size_t begin, std::vector<size_t>& ends) {
  UErrorCode status = U_ZERO_ERROR;
  icu::Edits::Iterator it = edits.getFineIterator();
  while (it.next(status))
    for (int32_t k = 0; k < it.newLength(); ++k)
      ends.push_back(begin + static_cast<size_t>(it.hasChange() ? it.sourceIndex() + it.oldLength()
                                                                : it.sourceIndex() + k + 1));
}

}  // namespace

bool is_normalized(Form form, std::string_view text) {
  if (form == Form::kNone || is_ascii(text)) return true;
  const icu::Normalizer2& n = normalizer(form);
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  return text.size() < INT32_MAX && next_long_stretch(n, text, 0).from == text.size() &&
         n.isNormalizedUTF8(piece, status) && U_SUCCESS(status);
}

namespace {

std::string normalize_by(const icu::Normalizer2& n, std::string_view text,
                         std::vector<size_t>* source_ends) {
  std::string out;
  if (source_ends) source_ends->clear();
  Stretch marks = next_long_stretch(n, text, 0);
  for (size_t begin = 0; begin < text.size();) {
    if (begin == marks.to) marks = next_long_stretch(n, text, begin);
    size_t end = begin < marks.from ? marks.from : marks.to;
    if (begin < marks.from && end - begin > kPart)
      for (end = begin + kPart; !begins_apart(n, text, end);) --end;
    const std::string_view part = text.substr(begin, end - begin);
    const auto sorted = begin == marks.from ? in_canonical_order(n, part) : std::nullopt;
    icu::Edits edits;
    append_normal_form(n, sorted ? *sorted : part, out, source_ends && !sorted ? &edits : nullptr);
    if (source_ends && sorted)  // as ICU's edits say of characters that change places
      source_ends->resize(out.size(), end);
    else if (source_ends)
      append_source_ends(edits, begin, *source_ends);
    begin = end;
  }
  return out;
}

}  // namespace

std::string normalize(Form form, std::string_view text, std::vector<size_t>* source_ends) {
  return normalize_by(normalizer(form), text, source_ends);
}

std::string nfkc_casefold(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* n = icu::Normalizer2::getNFKCCasefoldInstance(status);
  SLLM_CHECK(U_SUCCESS(status) && n, "ICU has no casefold: {}", u_errorName(status));
  return normalize_by(*n, text, nullptr);
}

}  // namespace sllm::unicode
