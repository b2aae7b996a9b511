#include "text/tokenizer_convert.h"

#include <algorithm>

#include "text/tokenizer_writers.h"

namespace sllm {
namespace {

// What tells tokenizers apart: contractions, runs of digits and of white space, scripts, case,
// Hangul composed and in jamo, characters that few vocabularies hold, text at the start of a line.
constexpr std::string_view kProbes[] = {
    "Hello, world! It's what we'LL see: don't they've 1 22 333 4444 12345678.",
    "def f(x):\n\treturn  x**2   # 제곱\n\n\n    if x >= 10: pass",
    "안녕하세요. 오늘은 2026년 11월 27일입니다 — 날씨가 참 좋네요!",
    "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB\xE1\x84\x80\xE1\x85\xB3\xE1\x86\xAF",  // 한글 in jamo
    "ÄÖÜ straße naïve Ça İstanbul ﬁne ①②③ ½ x² ﾊﾝｶｸ",
    "日本語の文章と中文，混在。 ไทย हिन्दी عربى עברית ελληνικά русский",
    "🙂👩‍👩‍👧 🇰🇷 \xF0\x9F\xA7\xA0 ∑∫√ ♥ \xEE\x80\x80",
    "CamelCase snake_case kebab-case HTTPServer 3.14e-10 0xFF user@example.com https://a.b/c?d=e",
};

// The probes, and some of the tokenizer's own added tokens in the midst of text.
std::vector<std::string> probes_for(const TokenizerSpec& spec) {
  constexpr size_t kAdded = 64;
  std::vector<std::string> probes(std::begin(kProbes), std::end(kProbes));
  probes.push_back(std::string(150, 'a'));
  const size_t step = spec.added.size() / kAdded + 1;
  for (size_t i = 0; i < spec.added.size(); i += step)
    probes.push_back(fmt::format("a{0}b {0} c", spec.added[i].text));
  return probes;
}

Status check_same_ids(const TokenizerSpec& spec, const TokenizerSource& from,
                      const TokenizerSource& to) {
  SLLM_TRY(const auto a, Tokenizer::load(from));
  SLLM_TRY(const auto b, Tokenizer::load(to));
  for (const std::string& probe : probes_for(spec))
    for (const bool parse_special : {false, true}) {
      const EncodeOptions options{.add_special = true, .parse_special = parse_special};
      const std::vector<TokenId> before = a->encode(probe, options),
                                 after = b->encode(probe, options);
      if (before == after) continue;
      const auto at = std::ranges::mismatch(before, after).in1 - before.begin();
      std::string line = probe.substr(0, probe.find('\n'));
      return with_hint(bad_input("the tokenizer would not stay the same: of \"{}\" it would make "
                                 "other tokens from the {}. of {} on",
                                 line, at + 1, before.size()),
                       "Use the model in the format that it has now");
    }
  return ok();
}

bool is_empty(const TokenizerSource& source) {
  return !source.gguf && source.tokenizer_json.empty() && source.files.empty();
}

Result<TokenizerSource> to_gguf(const TokenizerSource& source, const ModelConfig& config) {
  SLLM_TRY(const TokenizerSpec spec, read_tokenizer(source));
  TokenizerSource out;
  SLLM_TRY(out.gguf, write_tokenizer_gguf(spec, config.V));
  if (out.gguf->bos_id < 0) out.gguf->bos_id = config.bos_id;
  if (out.gguf->eos_id < 0 && !config.eos_ids.empty()) out.gguf->eos_id = config.eos_ids.front();
  SLLM_OK(check_same_ids(spec, source, out));
  return out;
}

Result<TokenizerSource> to_files(const TokenizerSource& source, const std::string& chat_template,
                                 const ModelConfig& config) {
  SLLM_TRY(const TokenizerSpec spec, read_tokenizer(source));
  SLLM_TRY(TokenizerJson files, write_tokenizer_json(spec, chat_template, config.max_context));
  TokenizerSource out;
  out.tokenizer_json = std::move(files.tokenizer_json);
  out.tokenizer_config_json = std::move(files.config_json);
  SLLM_OK(check_same_ids(spec, source, out));
  return out;
}

}  // namespace

Result<TokenizerSource> tokenizer_for_gguf(const TokenizerSource& source,
                                           const ModelConfig& config) {
  if (source.gguf || is_empty(source)) return source;
  return to_gguf(source, config).context("writing the tokenizer to GGUF");
}

Result<TokenizerSource> tokenizer_for_folder(const TokenizerSource& source,
                                             const std::string& chat_template,
                                             const ModelConfig& config) {
  if (!source.gguf) return source;
  return to_files(source, chat_template, config).context("writing the tokenizer to tokenizer.json");
}

}  // namespace sllm
