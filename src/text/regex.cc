// PCRE2 (pcre2api): UTF, UCP, and limits on backtracking, depth and heap per match. These hold for
// one place where a match may start; so that time is looked at too, a call tries few places.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace sllm {
namespace {

// White_Space as \s means it elsewhere; PCRE2's own \s also holds U+180E.
constexpr const char* kSpaces =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Spells \s out, inside and outside of brackets, and \S outside of them. nullopt: the pattern has a
// verb or \G.
std::optional<std::string> spell_out_spaces(const std::string& pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escape = pattern[++i];
      if (escape == 's')
        out += in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces);
      else if (escape == 'S' && !in_class)
        out += fmt::format("[^{}]", kSpaces);
      else if (escape == 'G' && !in_class)
        return std::nullopt;
      else
        (out += c) += escape;
      continue;
    }
    if (const size_t end = pattern.find(":]", i);
        in_class && pattern.compare(i, 2, "[:") == 0 && end != pattern.npos) {  // [:alpha:]
      out.append(pattern, i, end + 2 - i);
      i = end + 1;
      continue;
    }
    if (c == '(' && !in_class && pattern.compare(i, 2, "(*") == 0) return std::nullopt;
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

constexpr uint32_t kMatchLimit = 1'000'000, kDepthLimit = 10'000, kHeapLimitKiB = 32 * 1024;
// Bytes where a match may start: in a search's first call, and at most in a later one.
constexpr size_t kFewStarts = 256, kManyStarts = 4096;

}  // namespace

struct Regex::Program {
  pcre2_code* code = nullptr;
  ~Program() { pcre2_code_free(code); }
};

Result<Regex> Regex::compile(const std::string& pattern) {
  if (pattern.size() > 65536) return bad_input("a pattern of {} bytes is too long", pattern.size());
  const std::optional<std::string> spelled = spell_out_spaces(pattern);
  if (!spelled)
    return bad_input("the pattern \"{}\" has \\G or (*, which is not supported", pattern);
  int error = 0;
  size_t position = 0;
  auto program = std::make_shared<Program>();
  program->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled->data()), spelled->size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT,
                    &error, &position, nullptr);
  if (!program->code) {
    unsigned char words[256] = "";
    pcre2_get_error_message(error, words, sizeof words);
    return bad_input("the pattern \"{}\" does not compile: {} (at {})", pattern,
                     reinterpret_cast<const char*>(words), position);
  }
  // Where the processor has no JIT the interpreter does the same, slower.
  pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);
  Regex regex;
  regex.program_ = std::move(program);
  regex.pattern_ = pattern;
  return regex;
}

namespace {

// What a thread's matches are made with and lie in.
struct Matching {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(64, nullptr);
  Matching() {
    SLLM_CHECK(context && data, "no memory for matching");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_depth_limit(context, kDepthLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
  }
  ~Matching() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  Matching(const Matching&) = delete;
  Matching& operator=(const Matching&) = delete;
};

}  // namespace

std::pair<size_t, size_t> Regex::find(std::string_view text, size_t from,
                                      TextBudget* budget) const {
  static thread_local Matching matching;
  Matching& m = matching;  // looked up once
  // The first match that starts from `from` to `last`.
  const auto match = [&](size_t last, uint32_t options) {
    pcre2_set_offset_limit(m.context, last);
    return pcre2_match(program_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, m.data, m.context);
  };
  const bool timed_search = budget && budget->times_search();
  for (size_t starts = kFewStarts;; starts = std::min(2 * starts, kManyStarts)) {
    const size_t last_start = from + std::min(starts, text.size() - from);
    const bool timed = timed_search || (budget && starts > 2 * kFewStarts);
    const int64_t begin = timed ? TextBudget::nanoseconds_now() : 0;
    int found = match(last_start, 0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(last_start, PCRE2_NO_JIT);
    if (timed) budget->searched(begin, pattern_);
    if (found >= 0) break;
    if (found != PCRE2_ERROR_NOMATCH)
      throw ResultError(with_hint(
          bad_input("the tokenizer's pattern \"{}\" needs too much backtracking on this text",
                    pattern_),
          "Use a tokenizer.json whose pre-tokenizer has a simpler pattern"));
    if (last_start == text.size()) return {std::string::npos, std::string::npos};
    from = last_start + 1;
    while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) ++from;
  }
  const size_t* offsets = pcre2_get_ovector_pointer(m.data);
  return {offsets[0], offsets[1]};
}

}  // namespace sllm
