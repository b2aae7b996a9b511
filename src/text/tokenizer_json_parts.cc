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
Status each_inner(const JsonPart& o, const char* key, const char* what, int depth, Read&& read) {
  if (depth > 4) return bad_input("{} sequences are nested too deeply", what);
  SLLM_TRY(const auto steps, o.parts(key));
  for (const JsonPart& inner : steps) SLLM_OK(read(inner));
  return ok();
}

// {"Regex": ...} or {"String": ...}
Result<std::string> read_pattern(const JsonPart& o) {
  SLLM_TRY(const JsonPart pattern, o.part("pattern"));
  if (pattern.has("Regex") == pattern.has("String"))
    return bad_input("{} has not one of Regex and String", pattern.where());
  if (pattern.has("Regex")) return pattern.text("Regex");
  SLLM_TRY(const std::string text, pattern.text("String"));
  return regex_of_text(text);
}

Result<SplitBehaviour> behaviour_of(const std::string& behaviour, const JsonPart& o) {
  static constexpr std::pair<std::string_view, SplitBehaviour> kBehaviours[] = {
      {"Removed", SplitBehaviour::kRemoved},
      {"Isolated", SplitBehaviour::kIsolated},
      {"MergedWithPrevious", SplitBehaviour::kMergedWithPrevious},
      {"MergedWithNext", SplitBehaviour::kMergedWithNext},
      {"Contiguous", SplitBehaviour::kContiguous}};
  for (const auto& [name, value] : kBehaviours)
    if (behaviour == name) return value;
  return bad_input("{} \"{}\" is unknown", o.at("behavior"), behaviour);
}

Result<BertStep> read_bert(const JsonPart& o) {
  BertStep step;
  SLLM_TRY(step.clean_text, o.flag("clean_text", true));
  SLLM_TRY(step.chinese_apart, o.flag("handle_chinese_chars", true));
  SLLM_TRY(step.lowercase, o.flag("lowercase", true));
  SLLM_TRY(step.strip_accents, o.flag("strip_accents", step.lowercase));
  return step;
}

Result<MetaspaceStep::Prepend> read_prepend(const JsonPart& o) {
  using Prepend = MetaspaceStep::Prepend;
  SLLM_TRY(const bool old, o.flag("add_prefix_space", true));
  SLLM_TRY(const std::string scheme, o.text("prepend_scheme", old ? "always" : "never"));
  if (scheme == "always") return Prepend::kAlways;
  if (scheme == "first") return Prepend::kFirst;
  if (scheme == "never") return Prepend::kNever;
  return bad_input("Metaspace's prepend_scheme \"{}\" is unknown", scheme);
}

// A text that is looked for until no more of it is found: never empty.
Result<std::string> text_to_find(const JsonPart& o, const char* key, std::string_view otherwise) {
  SLLM_TRY(std::string text, o.text(key, otherwise));
  if (text.empty()) return bad_input("{} is empty", o.at(key));
  return text;
}

// CharDelimiterSplit
Result<SplitStep> read_delimiter(const JsonPart& o) {
  SLLM_TRY(const std::string text, o.text("delimiter"));
  if (text.empty() || unicode::decode(text.data()).length != text.size())
    return bad_input("{} \"{}\" is not one character", o.at("delimiter"), text);
  return SplitStep{regex_of_text(text), SplitBehaviour::kRemoved, false};
}

Status read_byte_level(const JsonPart& o, std::vector<PreTokenizerStep>& steps) {
  SLLM_TRY(const bool prefix_space, o.flag("add_prefix_space", true));
  SLLM_TRY(const bool use_regex, o.flag("use_regex", true));
  if (prefix_space) steps.push_back(PrefixSpaceStep{});
  if (use_regex) steps.push_back(SplitStep{kGpt2Pattern});
  steps.push_back(BytesStep{});
  return ok();
}

// Reads one pre-tokenizer; a ByteLevel stays a BytesStep until it is known to be the last.
Status read_step(const JsonPart& o, std::vector<PreTokenizerStep>& steps, int depth) {
  SLLM_TRY(const std::string type, o.text("type"));
  if (type == "Sequence")
    return each_inner(o, "pretokenizers", "pre-tokenizer", depth,
                      [&](const JsonPart& inner) { return read_step(inner, steps, depth + 1); });
  if (type == "ByteLevel") return read_byte_level(o, steps);
  if (type == "Split") {
    SplitStep step;
    SLLM_TRY(step.regex, read_pattern(o));
    SLLM_TRY(step.invert, o.flag("invert", false));
    SLLM_TRY(const std::string behaviour, o.text("behavior"));
    SLLM_TRY(step.behaviour, behaviour_of(behaviour, o));
    steps.push_back(std::move(step));
  } else if (type == "Digits") {
    SLLM_TRY(const bool individual, o.flag("individual_digits", false));
    steps.push_back(DigitsStep{individual});
  } else if (type == "Punctuation") {
    SLLM_TRY(const std::string behaviour, o.text("behavior", "Isolated"));
    SLLM_TRY(const auto value, behaviour_of(behaviour, o));
    steps.push_back(PunctuationStep{value});
  } else if (type == "Whitespace" || type == "WhitespaceSplit") {
    steps.push_back(WhitespaceStep{type == "Whitespace"});
  } else if (type == "BertPreTokenizer") {
    steps.push_back(BertSplitStep{});
  } else if (type == "UnicodeScripts") {
    steps.push_back(ScriptsStep{});
  } else if (type == "CharDelimiterSplit") {
    SLLM_TRY(SplitStep step, read_delimiter(o));
    steps.push_back(std::move(step));
  } else if (type == "Metaspace") {
    MetaspaceStep step;
    SLLM_TRY(step.replacement, text_to_find(o, "replacement", step.replacement));
    SLLM_TRY(step.prepend, read_prepend(o));
    SLLM_TRY(step.split, o.flag("split", true));
    steps.push_back(std::move(step));
  } else {
    return bad_input("pre-tokenizer \"{}\" is not supported", type);
  }
  return ok();
}

Status read_normalizer(const JsonPart& o, TokenizerSpec& spec, int depth = 0) {
  SLLM_TRY(const std::string type, o.text("type"));
  if (type == "Sequence")
    return each_inner(o, "normalizers", "normalizer", depth, [&](const JsonPart& inner) {
      return read_normalizer(inner, spec, depth + 1);
    });
  using unicode::Form;
  static constexpr std::pair<std::string_view, Form> kForms[] = {
      {"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}};
  for (const auto& [name, form] : kForms)
    if (type == name) return spec.normalizers.push_back(FormStep{form}), ok();
  if (type == "Prepend") {
    SLLM_TRY(std::string text, o.text("prepend"));
    spec.normalizers.push_back(PrependStep{std::move(text)});
  } else if (type == "Replace") {
    SLLM_TRY(std::string pattern, read_pattern(o));
    SLLM_TRY(std::string content, o.text("content"));
    spec.normalizers.push_back(ReplaceStep{std::move(pattern), std::move(content)});
  } else if (type == "Lowercase") {
    spec.normalizers.push_back(LowercaseStep{});
  } else if (type == "StripAccents") {
    spec.normalizers.push_back(StripAccentsStep{});
  } else if (type == "BertNormalizer") {
    SLLM_TRY(const BertStep step, read_bert(o));
    spec.normalizers.push_back(step);
  } else if (type == "Strip") {
    SLLM_TRY(const bool left, o.flag("strip_left", true));
    SLLM_TRY(const bool right, o.flag("strip_right", true));
    spec.normalizers.push_back(StripStep{left, right});
  } else if (type == "Precompiled") {
    SLLM_TRY(const std::string text, o.text("precompiled_charsmap", ""));  // null: no rules
    auto charsmap = decode_base64(text);
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

Status read_pre_tokenizer(const JsonPart& o, TokenizerSpec& spec) {
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

Status read_decoder(const JsonPart& o, TokenizerSpec& spec, int depth = 0) {
  SLLM_TRY(const std::string type, o.text("type"));
  if (type == "Sequence")
    return each_inner(o, "decoders", "decoder", depth,
                      [&](const JsonPart& inner) { return read_decoder(inner, spec, depth + 1); });
  if (type == "ByteLevel") {
    spec.decoders.push_back(ByteLevelDecode{});
  } else if (type == "Replace") {
    SLLM_TRY(std::string pattern, read_pattern(o));
    SLLM_TRY(std::string content, o.text("content"));
    spec.decoders.push_back(ReplaceDecode{std::move(pattern), std::move(content)});
  } else if (type == "ByteFallback") {
    spec.decoders.push_back(ByteFallbackDecode{});
  } else if (type == "Fuse") {
    spec.decoders.push_back(FuseDecode{});
  } else if (type == "Strip") {
    StripDecode step;
    SLLM_TRY(step.content, text_to_find(o, "content", step.content));
    SLLM_TRY(step.start, o.count("start", 0));
    SLLM_TRY(step.stop, o.count("stop", 0));
    spec.decoders.push_back(std::move(step));
  } else if (type == "Metaspace") {
    SLLM_TRY(const auto prepend, read_prepend(o));
    SLLM_TRY(std::string replacement, text_to_find(o, "replacement", MetaspaceStep().replacement));
    spec.decoders.push_back(
        MetaspaceDecode{std::move(replacement), prepend != MetaspaceStep::Prepend::kNever});
  } else if (type == "WordPiece") {
    WordPieceDecode step;
    SLLM_TRY(step.prefix, o.text("prefix", step.prefix));
    SLLM_TRY(step.cleanup, o.flag("cleanup", true));
    spec.decoders.push_back(std::move(step));
  } else if (type == "BPEDecoder") {
    SLLM_TRY(std::string suffix, text_to_find(o, "suffix", "</w>"));
    spec.decoders.push_back(SuffixDecode{std::move(suffix)});
  } else {
    return bad_input("decoder \"{}\" is not supported", type);
  }
  return ok();
}

}  // namespace

Status read_steps(const JsonPart& root, TokenizerSpec& spec) {
  if (root.has("normalizer")) {
    SLLM_TRY(const JsonPart part, root.part("normalizer"));
    SLLM_OK(read_normalizer(part, spec));
  }
  if (root.has("pre_tokenizer")) {
    SLLM_TRY(const JsonPart part, root.part("pre_tokenizer"));
    SLLM_OK(read_pre_tokenizer(part, spec));
  }
  if (root.has("decoder")) {
    SLLM_TRY(const JsonPart part, root.part("decoder"));
    SLLM_OK(read_decoder(part, spec));
  }
  return ok();
}

}  // namespace tokenizer_json
}  // namespace sllm
