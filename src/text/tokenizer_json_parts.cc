// Normalizers, pre-tokenizers and decoders of tokenizer.json. Whatever would change ids and is not
// understood is refused by name.
#include "text/tokenizer_json_parts.h"

#include <algorithm>

#include "text/base64.h"

namespace sllm {

std::string regex_of_text(std::string_view text) {
  std::string regex;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80 && !std::isalnum(byte)) regex += '\\';
    regex += c;
  }
  return regex;
}

std::optional<std::string> text_of_regex(std::string_view regex) {
  std::string text;
  for (size_t i = 0; i < regex.size(); ++i) {
    const bool escaped = regex[i] == '\\';
    if (escaped && ++i == regex.size()) return std::nullopt;
    const bool letter = std::isalnum(static_cast<uint8_t>(regex[i])) != 0;
    const bool syntax = std::string_view("^$.|?*+()[]{}").find(regex[i]) != std::string_view::npos;
    if (escaped ? letter : syntax) return std::nullopt;
    text += regex[i];
  }
  return text;
}

namespace tokenizer_json {
namespace {

// Calls read(inner) for the objects in a Sequence's list.
template <class Read>
Status each_inner(const object& o, const char* key, const char* what, int depth, Read&& read) {
  if (depth > 4) return bad_input("{} sequences are nested too deeply", what);
  for (const element e : items_of(o, key)) {
    object inner;
    if (e.get(inner) != simdjson::SUCCESS) return bad_input("a {} is not an object", what);
    SLLM_OK(read(inner));
  }
  return ok();
}

// {"Regex": ...} or {"String": ...}
Result<std::string> read_pattern(const object& o, const std::string& where) {
  object pattern;
  if (o["pattern"].get(pattern) != simdjson::SUCCESS) return bad_input("{} has no pattern", where);
  if (!is_null(pattern, "Regex")) return text_or(pattern, "Regex");
  return regex_of_text(text_or(pattern, "String"));
}

Result<SplitBehaviour> read_behaviour(const object& o, const std::string& where,
                                      std::string_view otherwise = "") {
  static constexpr std::pair<std::string_view, SplitBehaviour> kBehaviours[] = {
      {"Removed", SplitBehaviour::kRemoved},
      {"Isolated", SplitBehaviour::kIsolated},
      {"MergedWithPrevious", SplitBehaviour::kMergedWithPrevious},
      {"MergedWithNext", SplitBehaviour::kMergedWithNext},
      {"Contiguous", SplitBehaviour::kContiguous}};
  const std::string behaviour = text_or(o, "behavior", otherwise);
  for (const auto& [name, value] : kBehaviours)
    if (behaviour == name) return value;
  return bad_input("{} behavior \"{}\" is unknown", where, behaviour);
}

BertStep read_bert(const object& o) {
  BertStep step;
  step.clean_text = flag_or(o, "clean_text", true);
  step.chinese_apart = flag_or(o, "handle_chinese_chars", true);
  step.lowercase = flag_or(o, "lowercase", true);
  step.strip_accents = flag_or(o, "strip_accents", step.lowercase);
  return step;
}

Result<MetaspaceStep::Prepend> read_prepend(const object& o) {
  using Prepend = MetaspaceStep::Prepend;
  const bool old = flag_or(o, "add_prefix_space", true);
  const std::string scheme = text_or(o, "prepend_scheme", old ? "always" : "never");
  if (scheme == "always") return Prepend::kAlways;
  if (scheme == "first") return Prepend::kFirst;
  if (scheme == "never") return Prepend::kNever;
  return bad_input("Metaspace's prepend_scheme \"{}\" is unknown", scheme);
}

// A text that is looked for until no more of it is found: never empty.
Result<std::string> text_to_find(const object& o, const char* key, std::string_view otherwise) {
  std::string text = text_or(o, key, otherwise);
  if (text.empty()) return bad_input("{}: its {} is empty", text_or(o, "type"), key);
  return text;
}

size_t count_or(const object& o, std::string_view key, size_t otherwise) {
  uint64_t value = 0;
  return o[key].get(value) == simdjson::SUCCESS ? static_cast<size_t>(value) : otherwise;
}

// Reads one pre-tokenizer; a ByteLevel stays a BytesStep until it is known to be the last.
Status read_step(const object& o, std::vector<PreTokenizerStep>& steps, int depth) {
  const std::string type = text_or(o, "type");
  if (type == "Sequence")
    return each_inner(o, "pretokenizers", "pre-tokenizer", depth,
                      [&](const object& inner) { return read_step(inner, steps, depth + 1); });
  if (type == "Split") {
    SplitStep step;
    SLLM_TRY(step.regex, read_pattern(o, "a Split pre-tokenizer"));
    step.invert = flag_or(o, "invert", false);
    SLLM_TRY(step.behaviour, read_behaviour(o, "Split"));
    steps.push_back(std::move(step));
  } else if (type == "Digits") {
    steps.push_back(DigitsStep{flag_or(o, "individual_digits", false)});
  } else if (type == "ByteLevel") {
    if (flag_or(o, "add_prefix_space", true)) steps.push_back(PrefixSpaceStep{});
    if (flag_or(o, "use_regex", true)) steps.push_back(SplitStep{kGpt2Pattern});
    steps.push_back(BytesStep{});
  } else if (type == "Punctuation") {
    SLLM_TRY(const auto behaviour, read_behaviour(o, "Punctuation", "Isolated"));
    steps.push_back(PunctuationStep{behaviour});
  } else if (type == "Whitespace" || type == "WhitespaceSplit") {
    steps.push_back(WhitespaceStep{type == "Whitespace"});
  } else if (type == "BertPreTokenizer") {
    steps.push_back(BertSplitStep{});
  } else if (type == "UnicodeScripts") {
    steps.push_back(ScriptsStep{});
  } else if (type == "CharDelimiterSplit") {
    steps.push_back(
        SplitStep{regex_of_text(text_or(o, "delimiter")), SplitBehaviour::kRemoved, false});
  } else if (type == "Metaspace") {
    MetaspaceStep step;
    SLLM_TRY(step.replacement, text_to_find(o, "replacement", step.replacement));
    SLLM_TRY(step.prepend, read_prepend(o));
    step.split = flag_or(o, "split", true);
    steps.push_back(std::move(step));
  } else {
    return bad_input("pre-tokenizer \"{}\" is not supported", type);
  }
  return ok();
}

}  // namespace

Status read_normalizer(const object& o, TokenizerSpec& spec, int depth) {
  const std::string type = text_or(o, "type");
  if (type == "Sequence")
    return each_inner(o, "normalizers", "normalizer", depth,
                      [&](const object& inner) { return read_normalizer(inner, spec, depth + 1); });
  using unicode::Form;
  static constexpr std::pair<std::string_view, Form> kForms[] = {
      {"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}};
  for (const auto& [name, form] : kForms)
    if (type == name) return spec.normalizers.push_back(FormStep{form}), ok();
  if (type == "Prepend") {
    spec.normalizers.push_back(PrependStep{text_or(o, "prepend")});
  } else if (type == "Replace") {
    SLLM_TRY(std::string pattern, read_pattern(o, "a Replace normalizer"));
    spec.normalizers.push_back(ReplaceStep{std::move(pattern), text_or(o, "content")});
  } else if (type == "Lowercase") {
    spec.normalizers.push_back(LowercaseStep{});
  } else if (type == "StripAccents") {
    spec.normalizers.push_back(StripAccentsStep{});
  } else if (type == "BertNormalizer") {
    spec.normalizers.push_back(read_bert(o));
  } else if (type == "Strip") {
    spec.normalizers.push_back(
        StripStep{flag_or(o, "strip_left", true), flag_or(o, "strip_right", true)});
  } else if (type == "Precompiled") {
    auto charsmap = decode_base64(text_or(o, "precompiled_charsmap"));
    if (!charsmap) return bad_input("normalizer \"Precompiled\": its charsmap is not base64");
    spec.normalizers.push_back(PrecompiledStep{std::move(*charsmap)});
  } else if (type == "Nmt") {
    spec.normalizers.push_back(NmtStep{});
  } else if (type == "ByteLevel") {
    spec.normalizers.push_back(BytesStep{});
  } else {
    return bad_input("normalizer \"{}\" is not supported", type);
  }
  return ok();
}

Status read_pre_tokenizer(const object& o, TokenizerSpec& spec) {
  SLLM_OK(read_step(o, spec.pre_tokenizer, 0));
  const auto is_bytes = [](const PreTokenizerStep& step) {
    return std::holds_alternative<BytesStep>(step);
  };
  const auto count = std::ranges::count_if(spec.pre_tokenizer, is_bytes);
  if (count > 1) return bad_input("there is more than one ByteLevel pre-tokenizer");
  spec.byte_level = count == 1;
  if (count == 1 && is_bytes(spec.pre_tokenizer.back())) spec.pre_tokenizer.pop_back();
  return ok();
}

Status read_decoder(const object& o, TokenizerSpec& spec, int depth) {
  const std::string type = text_or(o, "type");
  if (type == "Sequence")
    return each_inner(o, "decoders", "decoder", depth,
                      [&](const object& inner) { return read_decoder(inner, spec, depth + 1); });
  if (type == "ByteLevel") {
    spec.decoders.push_back(ByteLevelDecode{});
  } else if (type == "Replace") {
    SLLM_TRY(std::string pattern, read_pattern(o, "a Replace decoder"));
    spec.decoders.push_back(ReplaceDecode{std::move(pattern), text_or(o, "content")});
  } else if (type == "ByteFallback") {
    spec.decoders.push_back(ByteFallbackDecode{});
  } else if (type == "Fuse") {
    spec.decoders.push_back(FuseDecode{});
  } else if (type == "Strip") {
    SLLM_TRY(std::string content, text_to_find(o, "content", " "));
    spec.decoders.push_back(
        StripDecode{std::move(content), count_or(o, "start", 0), count_or(o, "stop", 0)});
  } else if (type == "Metaspace") {
    SLLM_TRY(const auto prepend, read_prepend(o));
    SLLM_TRY(std::string replacement, text_to_find(o, "replacement", MetaspaceStep().replacement));
    spec.decoders.push_back(
        MetaspaceDecode{std::move(replacement), prepend != MetaspaceStep::Prepend::kNever});
  } else if (type == "WordPiece") {
    spec.decoders.push_back(
        WordPieceDecode{text_or(o, "prefix", "##"), flag_or(o, "cleanup", true)});
  } else if (type == "BPEDecoder") {
    SLLM_TRY(std::string suffix, text_to_find(o, "suffix", "</w>"));
    spec.decoders.push_back(SuffixDecode{std::move(suffix)});
  } else {
    return bad_input("decoder \"{}\" is not supported", type);
  }
  return ok();
}

}  // namespace tokenizer_json
}  // namespace sllm
