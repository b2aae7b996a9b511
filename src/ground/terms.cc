// Text to index terms: one pass over the folded text, by runs of one script.
#include "ground/terms.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <unordered_set>

#include "text/unicode.h"

namespace sllm {
namespace {

enum class Kind { kNone, kLatin, kDigit, kPairs, kOther };

constexpr size_t kMaxTermBytes = 64;

Kind kind_of(UChar32 c) {
  if (c < 0x80) {
    if (c >= 'a' && c <= 'z') return Kind::kLatin;
    if (c >= '0' && c <= '9') return Kind::kDigit;
    return Kind::kNone;
  }
  if (!u_isalnum(c)) return Kind::kNone;
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(c, &error)) {
    case USCRIPT_LATIN:
      return Kind::kLatin;
    case USCRIPT_HANGUL:
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
      return Kind::kPairs;
    default:
      return Kind::kOther;
  }
}

// Width, case and compatibility forms folded ("ＡＢ" -> "ab"), Hangul composed.
std::string fold(std::string_view text) {
  return unicode::nfkc_casefold(unicode::sanitize_utf8(text.substr(0, unicode::kMaxNormalized)));
}

// "café" -> "cafe".
std::string without_accents(const std::string& word) {
  if (std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return word;
  const std::string decomposed = unicode::normalize(unicode::Form::kNfd, word);
  std::string out;
  for (int32_t i = 0, n = static_cast<int32_t>(decomposed.size()); i < n;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(decomposed.data(), i, n, c);
    if (c < 0 || u_charType(c) == U_NON_SPACING_MARK) continue;
    out.append(decomposed, static_cast<size_t>(start), static_cast<size_t>(i - start));
  }
  return out;
}

// Adjacent pairs of the run's characters; a run of one is its own term.
void add_pairs(std::string_view run, bool keep_ending, std::vector<std::string>& terms) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < run.size(); ++i)
    if ((run[i] & 0xC0) != 0x80) starts.push_back(i);
  starts.push_back(run.size());
  if (starts.size() == 2) terms.emplace_back(run);
  const size_t pairs = starts.size() - 2, dropped = !keep_ending && pairs > 1 ? 1 : 0;
  for (size_t i = 0; i < pairs - dropped; ++i)
    terms.emplace_back(run.substr(starts[i], starts[i + 2] - starts[i]));
}

void add_run(Kind kind, std::string_view run, bool keep_ending, std::vector<std::string>& terms) {
  if (kind == Kind::kPairs) return add_pairs(run, keep_ending, terms);
  // Over-long runs (base64, hashes) are findable by their start.
  size_t size = std::min(run.size(), kMaxTermBytes);
  while (size < run.size() && size > 0 && (run[size] & 0xC0) == 0x80) --size;
  std::string word(run.substr(0, size));
  if (kind == Kind::kLatin) word = porter_stem(without_accents(word));
  if (!word.empty()) terms.push_back(std::move(word));
}

std::vector<std::string> terms_of(std::string_view text, bool keep_endings) {
  const std::string folded = fold(text);
  std::vector<std::string> terms;
  Kind run_kind = Kind::kNone;
  size_t run_start = 0;
  const auto n = static_cast<int32_t>(folded.size());
  for (int32_t i = 0; i <= n;) {
    const int32_t start = i;
    Kind kind = Kind::kNone;
    if (i < n) {
      UChar32 c;
      U8_NEXT(folded.data(), i, n, c);
      kind = c < 0 ? Kind::kNone : kind_of(c);
    } else {
      ++i;
    }
    if (kind == run_kind) continue;
    if (run_kind != Kind::kNone)
      add_run(run_kind,
              std::string_view(folded).substr(run_start, static_cast<size_t>(start) - run_start),
              keep_endings, terms);
    run_kind = kind;
    run_start = static_cast<size_t>(start);
  }
  return terms;
}

}  // namespace

std::vector<std::string> index_terms(std::string_view text) { return terms_of(text, true); }

std::vector<std::string> key_terms(std::string_view text) {
  std::vector<std::string> terms = terms_of(text, false);
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> keys;
  for (const std::string& term : terms)
    if (!is_stop_term(term) && seen.insert(term).second) keys.push_back(term);
  return keys;
}

std::vector<std::string> syllables(std::string_view text) {
  static const std::unordered_set<std::string_view> kCommon = {
      "에서", "으로", "에는", "하는", "하고", "한다", "있는", "되는", "대한", "위해",
      "통해", "해야", "려면", "때",   "것",   "수",   "그",   "은",   "는",   "이",
      "가",   "을",   "를",   "의",   "에",   "와",   "과",   "도",   "로",   "만",
      "다",   "요",   "까",   "나",   "고",   "지",   "서"};
  const std::string folded = fold(text);
  std::vector<std::string> out;
  for (int32_t i = 0, n = static_cast<int32_t>(folded.size()); i < n;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(folded.data(), i, n, c);
    if (c < 0xAC00 || c > 0xD7A3) continue;
    std::string syllable = folded.substr(static_cast<size_t>(start), 3);
    if (!kCommon.contains(syllable)) out.push_back(std::move(syllable));
  }
  return out;
}

bool is_stop_term(std::string_view term) {
  // Stems of English function words and question words, and pairs that Korean particles, endings
  // and question words make.
  static const std::unordered_set<std::string_view> kStop = {
      "a",      "about", "after", "all",   "also",  "am",     "an",   "and",  "ani",   "ar",
      "are",    "as",    "at",    "be",    "been",  "befor",  "but",  "by",   "can",   "could",
      "did",    "do",    "doe",   "for",   "from",  "had",    "ha",   "have", "he",    "her",
      "hi",     "how",   "i",     "if",    "in",    "into",   "is",   "it",   "its",   "may",
      "me",     "my",    "no",    "not",   "of",    "on",     "or",   "our",  "s",     "she",
      "should", "so",    "some",  "such",  "t",     "than",   "that", "the",  "their", "them",
      "then",   "there", "these", "thei",  "thi",   "those",  "to",   "us",   "wa",    "we",
      "were",   "what",  "when",  "where", "which", "while",  "who",  "whom", "whose", "why",
      "will",   "with",  "would", "you",   "your",  "accord", "입니", "니다", "니까",  "습니",
      "인가",   "가요",  "나요",  "는가",  "까요",  "에요",   "어요", "무엇", "엇인",  "엇을",
      "어디",   "디에",  "어떤",  "어떻",  "떻게",  "누구",   "언제", "은",   "는",    "이",
      "가",     "을",    "를",    "의",    "에",    "와",     "과",   "도",   "로",    "몇",
      "왜",     "뭐"};
  return kStop.contains(term);
}

}  // namespace sllm
