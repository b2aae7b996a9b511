// A tokenizer as tokenizer.json and tokenizer_config.json, the inverse of text/tokenizer_json.cc.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "text/base64.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_writers.h"

namespace sllm {
namespace {

using json = nlohmann::ordered_json;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

json pattern_of(const std::string& regex) {
  if (const auto text = text_of_regex(regex)) return {{"String", *text}};
  return {{"Regex", regex}};
}

json byte_level(bool prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

// null, the only one, or a Sequence with `key`.
json sequence(std::vector<json> parts, const char* key) {
  if (parts.empty()) return nullptr;
  if (parts.size() == 1) return parts[0];
  return {{"type", "Sequence"}, {key, std::move(parts)}};
}

const char* name_of(unicode::Form form) {
  switch (form) {
    case unicode::Form::kNfd:
      return "NFD";
    case unicode::Form::kNfkc:
      return "NFKC";
    case unicode::Form::kNfkd:
      return "NFKD";
    default:
      return "NFC";
  }
}

const char* name_of(SplitBehaviour behaviour) {
  switch (behaviour) {
    case SplitBehaviour::kRemoved:
      return "Removed";
    case SplitBehaviour::kIsolated:
      return "Isolated";
    case SplitBehaviour::kMergedWithPrevious:
      return "MergedWithPrevious";
    case SplitBehaviour::kMergedWithNext:
      return "MergedWithNext";
    default:
      return "Contiguous";
  }
}

json replace(const std::string& regex, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", pattern_of(regex)}, {"content", content}};
}

// What sentencepiece's normalizer does, as transformers writes it; Unigram models leave the spaces
// to Metaspace.
void add_sentencepiece(const SentencePieceStep& s, bool unigram, std::vector<json>& steps) {
  if (!s.charsmap.empty())
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(s.charsmap)}});
  if (s.remove_extra_spaces) {
    steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
    steps.push_back(replace(" {2,}", " "));
  }
  if (unigram) return;
  if (s.dummy_prefix)
    steps.push_back({{"type", "Prepend"}, {"prepend", std::string(kSpaceSymbol)}});
  steps.push_back(replace("\\ ", std::string(kSpaceSymbol)));
}

json normalizer_of(const std::vector<NormalizerStep>& normalizers, ModelKind kind) {
  std::vector<json> steps;
  for (const NormalizerStep& step : normalizers)
    std::visit(Overloaded{
                   [&](const FormStep& s) {
                     steps.push_back({{"type", name_of(s.form)}});
                   },
                   [&](const PrependStep& s) {
                     steps.push_back({{"type", "Prepend"}, {"prepend", s.text}});
                   },
                   [&](const ReplaceStep& s) { steps.push_back(replace(s.regex, s.content)); },
                   [&](const LowercaseStep&) {
                     steps.push_back({{"type", "Lowercase"}});
                   },
                   [&](const StripAccentsStep&) {
                     steps.push_back({{"type", "StripAccents"}});
                   },
                   [&](const BertStep& s) {
                     steps.push_back({{"type", "BertNormalizer"},
                                      {"clean_text", s.clean_text},
                                      {"handle_chinese_chars", s.chinese_apart},
                                      {"strip_accents", s.strip_accents},
                                      {"lowercase", s.lowercase}});
                   },
                   [&](const StripStep& s) {
                     steps.push_back(
                         {{"type", "Strip"}, {"strip_left", s.left}, {"strip_right", s.right}});
                   },
                   [&](const PrecompiledStep& s) {
                     steps.push_back({{"type", "Precompiled"},
                                      {"precompiled_charsmap", encode_base64(s.charsmap)}});
                   },
                   [&](const NmtStep&) {
                     steps.push_back({{"type", "Nmt"}});
                   },
                   [&](const BytesStep&) {
                     steps.push_back({{"type", "ByteLevel"}});
                   },
                   [&](const SentencePieceStep& s) {
                     add_sentencepiece(s, kind == ModelKind::kUnigram, steps);
                   },
               },
               step);
  return sequence(std::move(steps), "normalizers");
}

json metaspace(const MetaspaceStep& s) {
  using Prepend = MetaspaceStep::Prepend;
  return {{"type", "Metaspace"},
          {"replacement", s.replacement},
          {"prepend_scheme", s.prepend == Prepend::kAlways  ? "always"
                             : s.prepend == Prepend::kFirst ? "first"
                                                            : "never"},
          {"split", s.split}};
}

json pre_tokenizer_of(const TokenizerSpec& spec) {
  std::vector<PreTokenizerStep> all = spec.pre_tokenizer;
  const auto is_bytes = [](const PreTokenizerStep& s) {
    return std::holds_alternative<BytesStep>(s);
  };
  if (spec.byte_level && std::ranges::none_of(all, is_bytes)) all.push_back(BytesStep{});
  if (spec.kind == ModelKind::kUnigram)
    for (const NormalizerStep& step : spec.normalizers)
      if (const auto* s = std::get_if<SentencePieceStep>(&step)) {
        using Prepend = MetaspaceStep::Prepend;
        MetaspaceStep spaces;
        spaces.prepend = s->dummy_prefix ? Prepend::kAlways : Prepend::kNever;
        all.push_back(spaces);
      }
  std::vector<json> steps;
  bool prefix_space = false, gpt2_pattern = false;  // which a ByteLevel has in itself
  for (size_t i = 0; i < all.size(); ++i)
    std::visit(Overloaded{
                   [&](const SplitStep& s) {
                     gpt2_pattern =
                         s == SplitStep{kGpt2Pattern} && i + 1 < all.size() && is_bytes(all[i + 1]);
                     if (gpt2_pattern) return;
                     steps.push_back({{"type", "Split"},
                                      {"pattern", pattern_of(s.regex)},
                                      {"behavior", name_of(s.behaviour)},
                                      {"invert", s.invert}});
                   },
                   [&](const DigitsStep& s) {
                     steps.push_back({{"type", "Digits"}, {"individual_digits", s.individual}});
                   },
                   [&](const PunctuationStep& s) {
                     steps.push_back({{"type", "Punctuation"}, {"behavior", name_of(s.behaviour)}});
                   },
                   [&](const WhitespaceStep& s) {
                     steps.push_back({{"type", s.words_apart ? "Whitespace" : "WhitespaceSplit"}});
                   },
                   [&](const BertSplitStep&) {
                     steps.push_back({{"type", "BertPreTokenizer"}});
                   },
                   [&](const ScriptsStep&) {
                     steps.push_back({{"type", "UnicodeScripts"}});
                   },
                   [&](const PrefixSpaceStep&) { prefix_space = true; },
                   [&](const MetaspaceStep& s) { steps.push_back(metaspace(s)); },
                   [&](const BytesStep&) {
                     steps.push_back(byte_level(prefix_space, gpt2_pattern));
                     prefix_space = gpt2_pattern = false;
                   },
               },
               all[i]);
  return sequence(std::move(steps), "pretokenizers");
}

json decoder_of(const TokenizerSpec& spec) {
  std::vector<json> steps;
  for (const DecoderStep& step : spec.decoders)
    std::visit(Overloaded{
                   [&](const ByteLevelDecode&) { steps.push_back(byte_level(false, true)); },
                   [&](const ReplaceDecode& s) { steps.push_back(replace(s.regex, s.content)); },
                   [&](const ByteFallbackDecode&) {
                     steps.push_back({{"type", "ByteFallback"}});
                   },
                   [&](const FuseDecode&) {
                     steps.push_back({{"type", "Fuse"}});
                   },
                   [&](const StripDecode& s) {
                     steps.push_back({{"type", "Strip"},
                                      {"content", s.content},
                                      {"start", s.start},
                                      {"stop", s.stop}});
                   },
                   [&](const MetaspaceDecode& s) {
                     using Prepend = MetaspaceStep::Prepend;
                     steps.push_back(metaspace(
                         {s.replacement, s.prepended ? Prepend::kAlways : Prepend::kNever, true}));
                   },
                   [&](const WordPieceDecode& s) {
                     steps.push_back(
                         {{"type", "WordPiece"}, {"prefix", s.prefix}, {"cleanup", s.cleanup}});
                   },
                   [&](const SuffixDecode& s) {
                     steps.push_back({{"type", "BPEDecoder"}, {"suffix", s.suffix}});
                   },
               },
               step);
  return sequence(std::move(steps), "decoders");
}

json post_processor_of(const TokenizerSpec& spec) {
  if (spec.prefix.empty() && spec.suffix.empty())
    return spec.byte_level ? byte_level(false, false) : json(nullptr);
  json known = json::object(), single = json::array(), pair = json::array();
  const auto add = [&](json& to, const std::vector<TokenId>& ids, int type) {
    for (const TokenId id : ids) {
      const std::string& text = spec.tokens[static_cast<size_t>(id)];
      known[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
      to.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    }
  };
  const auto add_text = [](json& to, const char* name, int type) {
    to.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
  };
  const bool bert = spec.kind == ModelKind::kWordPiece;  // [CLS] A [SEP] B [SEP]
  add(single, spec.prefix, 0), add_text(single, "A", 0), add(single, spec.suffix, 0);
  add(pair, spec.prefix, 0), add_text(pair, "A", 0), add(pair, spec.suffix, 0);
  if (!bert) add(pair, spec.prefix, 1);
  add_text(pair, "B", 1), add(pair, spec.suffix, 1);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(known)}};
}

json to_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.text},  {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip}, {"normalized", token.normalized},
          {"special", token.special}};
}

json added_tokens_of(const TokenizerSpec& spec) {
  json list = json::array();
  std::vector<AddedToken> added = spec.added;
  std::ranges::sort(added, {}, &AddedToken::id);
  for (const AddedToken& token : added) list.push_back(to_json(token));
  return list;
}

Result<json> vocabulary_of(const TokenizerSpec& spec) {
  json vocabulary = json::object();
  // ordered_json looks keys up one by one, so the pairs are put in behind its back.
  auto& pairs = static_cast<json::object_t::Container&>(vocabulary.get_ref<json::object_t&>());
  pairs.reserve(spec.tokens.size());
  std::unordered_map<std::string_view, size_t> seen;
  const std::vector<bool> hole = holes(spec);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (hole[id]) continue;
    if (const auto [first, fresh] = seen.emplace(spec.tokens[id], id); !fresh)
      return with_hint(bad_input("the tokens {} and {} have the same text \"{}\", which "
                                 "tokenizer.json cannot say",
                                 first->second, id, spec.tokens[id]),
                       "Use the model as a GGUF file");
    pairs.emplace_back(spec.tokens[id], id);
  }
  return vocabulary;
}

Result<json> bpe_model(const TokenizerSpec& spec) {
  SLLM_TRY(json vocabulary, vocabulary_of(spec));
  std::vector<std::pair<std::string, std::string>> by_rank = spec.merges;
  if (spec.merge_by_score) {
    SLLM_TRY(by_rank, merges_of_scores(spec));
  }
  json merges = json::array();
  for (const auto& [left, right] : by_rank) merges.push_back({left, right});
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
  };
  return json{{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", text_or_null(spec.unknown)},
              {"continuing_subword_prefix", text_or_null(spec.continuing_prefix)},
              {"end_of_word_suffix", text_or_null(spec.end_suffix)},
              {"fuse_unk", spec.fuse_unknown},
              {"byte_fallback", spec.byte_fallback},
              {"ignore_merges", spec.ignore_merges},
              {"vocab", std::move(vocabulary)},
              {"merges", std::move(merges)}};
}

Result<json> model_of(const TokenizerSpec& spec) {
  if (spec.kind == ModelKind::kBpe) return bpe_model(spec);
  if (spec.kind == ModelKind::kWordPiece) {
    SLLM_TRY(json vocabulary, vocabulary_of(spec));
    return json{{"type", "WordPiece"},
                {"unk_token", spec.unknown},
                {"continuing_subword_prefix", spec.continuing_prefix},
                {"max_input_chars_per_word", spec.max_word_chars},
                {"vocab", std::move(vocabulary)}};
  }
  // What fills a hole may not be less likely than the rest: unknown text is told from the lowest.
  const std::vector<bool> hole = holes(spec);
  double lowest = 0;
  size_t count = 0;
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (!hole[id]) lowest = std::min(lowest, spec.scores[id]), count = id + 1;
  json pieces = json::array();
  for (size_t id = 0; id < count; ++id)
    pieces.push_back({hole[id] ? fmt::format("[PAD{}]", id) : spec.tokens[id],
                      hole[id] ? lowest : spec.scores[id]});
  const auto unknown = std::ranges::find(spec.tokens, spec.unknown);
  if (unknown == spec.tokens.end()) return bad_input("there is no token for unknown text");
  return json{{"type", "Unigram"},
              {"unk_id", unknown - spec.tokens.begin()},
              {"vocab", std::move(pieces)},
              {"byte_fallback", spec.byte_fallback}};
}

std::string config_of(const TokenizerSpec& spec, const std::string& chat_template,
                      int64_t max_context) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  if (max_context > 0) config["model_max_length"] = max_context;
  const std::pair<const char*, TokenId> named[] = {{"bos_token", spec.bos},
                                                   {"eos_token", spec.named.eos},
                                                   {"unk_token", spec.named.unknown},
                                                   {"pad_token", spec.named.padding},
                                                   {"sep_token", spec.named.separator},
                                                   {"mask_token", spec.named.mask}};
  for (const auto& [key, id] : named)
    if (id >= 0) config[key] = spec.tokens[static_cast<size_t>(id)];
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  return config.dump(2) + "\n";
}

}  // namespace

std::string write_tokenizer_steps(const TokenizerSpec& spec, std::span<const AddedToken> added) {
  std::vector<NormalizerStep> normalizers = spec.normalizers;
  for (NormalizerStep& step : normalizers)
    if (auto* rules = std::get_if<PrecompiledStep>(&step)) rules->charsmap.clear();
  json list = json::array();
  for (const AddedToken& token : added) list.push_back(to_json(token));
  return json{{"normalizer", normalizer_of(normalizers, spec.kind)},
              {"pre_tokenizer", pre_tokenizer_of(spec)},
              {"decoder", decoder_of(spec)},
              {"added_tokens", std::move(list)}}
      .dump();
}

Result<TokenizerJson> write_tokenizer_json(const TokenizerSpec& spec,
                                           const std::string& chat_template, int64_t max_context) {
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (!unicode::valid_utf8(spec.tokens[id])) return bad_input("token {} is not UTF-8 text", id);
  if (!unicode::valid_utf8(chat_template)) return bad_input("the chat template is not UTF-8 text");
  SLLM_TRY(json model, model_of(spec));
  const json root = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens_of(spec)},
                     {"normalizer", normalizer_of(spec.normalizers, spec.kind)},
                     {"pre_tokenizer", pre_tokenizer_of(spec)},
                     {"post_processor", post_processor_of(spec)},
                     {"decoder", decoder_of(spec)},
                     {"model", std::move(model)}};
  return TokenizerJson{root.dump(), config_of(spec, chat_template, max_context)};
}

}  // namespace sllm
