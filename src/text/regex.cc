// PCRE2 (pcre2api): UTF, UCP, and limits on backtracking, depth and heap per match.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include "base/check.h"

namespace sllm {
namespace {

// White_Space as \s means it elsewhere; PCRE2's own \s also holds U+180E.
constexpr const char* kSpaces =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Spells \s out, inside and outside of brackets, and \S outside of them.
std::string spell_out_spaces(const std::string& pattern) {
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
      else
        (out += c) += escape;
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

constexpr uint32_t kMatchLimit = 1'000'000, kDepthLimit = 10'000, kHeapLimitKiB = 32 * 1024;

}  // namespace

struct Regex::Program {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Program() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Result<Regex> Regex::compile(const std::string& pattern) {
  if (pattern.size() > 65536) return bad_input("a pattern of {} bytes is too long", pattern.size());
  const std::string spelled = spell_out_spaces(pattern);
  int error = 0;
  size_t position = 0;
  auto program = std::make_shared<Program>();
  program->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &position, nullptr);
  if (!program->code) {
    unsigned char words[256] = "";
    pcre2_get_error_message(error, words, sizeof words);
    return bad_input("the pattern \"{}\" does not compile: {} (at {})", pattern,
                     reinterpret_cast<const char*>(words), position);
  }
  // Where the processor has no JIT the interpreter does the same, slower.
  pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);
  program->context = pcre2_match_context_create(nullptr);
  SLLM_CHECK(program->context, "no memory for a match context");
  pcre2_set_match_limit(program->context, kMatchLimit);
  pcre2_set_depth_limit(program->context, kDepthLimit);
  pcre2_set_heap_limit(program->context, kHeapLimitKiB);
  Regex regex;
  regex.program_ = std::move(program);
  regex.pattern_ = pattern;
  return regex;
}

std::pair<size_t, size_t> Regex::find(std::string_view text, size_t from) const {
  struct Free {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  };
  static thread_local const std::unique_ptr<pcre2_match_data, Free> data(
      pcre2_match_data_create(64, nullptr));
  SLLM_CHECK(data, "no memory for match data");
  const auto match = [&](uint32_t options) {
    return pcre2_match(program_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, data.get(), program_->context);
  };
  int found = match(0);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return {std::string::npos, std::string::npos};
  if (found < 0)
    throw ResultError(with_hint(
        bad_input("the tokenizer's pattern \"{}\" needs too much backtracking on this text",
                  pattern_),
        "Use a tokenizer.json whose pre-tokenizer has a simpler pattern"));
  const size_t* offsets = pcre2_get_ovector_pointer(data.get());
  return {offsets[0], offsets[1]};
}

}  // namespace sllm
