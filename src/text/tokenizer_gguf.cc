// A tokenizer from GGUF metadata (tokenizer.ggml.*): byte-level BPE ("gpt2"), SentencePiece's BPE
// ("llama", "gemma4") and Unigram ("t5"), WordPiece ("bert") (ggml/docs/gguf.md, "Tokenizer").
#include <algorithm>
#include <array>
#include <cmath>

#include "text/byte_level.h"
#include "text/pre_tokenizer_families.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

Status check_id(const TokenizerSource::Gguf& source, TokenId id, const char* key) {
  if (id >= static_cast<int64_t>(source.tokens.size()) || id < -1)
    return bad_input("tokenizer.ggml.{} is {}, but there are {} tokens", key, id,
                     source.tokens.size());
  return ok();
}

int32_t type_of(const TokenizerSource::Gguf& source, size_t id) {
  const int32_t type = source.types.empty() ? static_cast<int32_t>(kNormal) : source.types[id];
  return type == kUndefined ? static_cast<int32_t>(kNormal) : type;
}

Status check_token(const TokenizerSource::Gguf& source, size_t id) {
  const std::string& text = source.tokens[id];
  if (text.size() > kMaxTokenBytes || !unicode::valid_utf8(text))
    return bad_input("tokenizer.ggml.tokens[{}] is {}", id,
                     text.size() > kMaxTokenBytes ? "too long" : "not UTF-8");
  const int32_t type = type_of(source, id);
  if (type < kNormal || type > kByte)
    return bad_input("tokenizer.ggml.token_type[{}] is {}; expected {} to {}", id, type,
                     static_cast<int32_t>(kUndefined), static_cast<int32_t>(kByte));
  if (type == kByte && !byte_of_fallback_token(text))
    return bad_input("tokenizer.ggml.tokens[{}] is \"{}\", whose type is that of <0x00> to <0xFF>",
                     id, text.substr(0, 80));
  return ok();
}

Status read_tokens(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  if (source.tokens.empty() || source.tokens.size() > kMaxTokens)
    return bad_input("tokenizer.ggml.tokens has {} entries; expected 1 to {}", source.tokens.size(),
                     kMaxTokens);
  if (!source.types.empty() && source.types.size() != source.tokens.size())
    return bad_input("tokenizer.ggml.token_type has {} entries for {} tokens", source.types.size(),
                     source.tokens.size());
  for (size_t id = 0; id < source.tokens.size(); ++id) {
    SLLM_OK(check_token(source, id));
    const std::string& text = source.tokens[id];
    const int32_t type = type_of(source, id);
    if (text.empty() || (type != kControl && type != kUserDefined && type != kUnknown)) continue;
    spec.added.push_back(
        {.id = static_cast<TokenId>(id), .text = text, .special = type != kUserDefined});
  }
  if (std::ranges::all_of(source.tokens, &std::string::empty))
    return bad_input("all tokenizer.ggml.tokens are empty");
  spec.tokens = source.tokens;
  return ok();
}

Status read_merges(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  for (size_t rank = 0; rank < source.merges.size(); ++rank) {
    const std::string& merge = source.merges[rank];
    const size_t space = merge.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == merge.size() ||
        merge.size() > 2 * kMaxTokenBytes || !unicode::valid_utf8(merge))
      return bad_input("tokenizer.ggml.merges[{}] is not two tokens with a space between", rank);
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return ok();
}

// The file's own end tokens first, then whatever its vocabulary holds of the known ones.
void read_ends(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  const auto add = [&spec](TokenId id) {
    if (id >= 0 && std::ranges::find(spec.eos, id) == spec.eos.end()) spec.eos.push_back(id);
  };
  add(source.eos_id);
  add(source.eot_id);
  for (const AddedToken& token : spec.added)
    if (ends_answer(token.text)) add(token.id);
}

Status read_byte_level(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  SLLM_TRY(PreTokenizerFamily family, pre_tokenizer_family(source.pre));
  SLLM_OK(read_merges(source, spec));
  spec.byte_level = true;
  spec.ignore_merges = family.ignore_merges;
  for (size_t id = 0; id < source.tokens.size(); ++id)
    spec.matchable.push_back(type_of(source, id) != kUnused);
  // GPT-NeoX's files name no pre-tokenizer; its vocabulary tells that it normalizes.
  const bool neox = source.pre.empty() && source.tokens.size() > 1 &&
                    source.tokens[0] == "<|endoftext|>" && source.tokens[1] == "<|padding|>";
  if (family.nfc || neox) spec.normalizers = {FormStep{unicode::Form::kNfc}};
  spec.pre_tokenizer = std::move(family.steps);
  spec.decoders = {ByteLevelDecode{}};
  if (source.add_bos.value_or(family.adds_bos) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (source.add_eos.value_or(false) && source.eos_id >= 0) spec.suffix = {source.eos_id};
  return ok();
}

Status read_scores(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  if (source.scores.size() != source.tokens.size())
    return bad_input("tokenizer.ggml.scores has {} entries for {} tokens", source.scores.size(),
                     source.tokens.size());
  for (size_t id = 0; id < source.scores.size(); ++id)
    if (!std::isfinite(source.scores[id]))
      return bad_input("tokenizer.ggml.scores[{}] is not a finite number", id);
  spec.scores.assign(source.scores.begin(), source.scores.end());
  for (size_t id = 0; id < source.tokens.size(); ++id)
    spec.matchable.push_back(type_of(source, id) == kNormal);
  return ok();
}

void read_unknown(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  if (source.unknown_id >= 0 && source.unknown_id < static_cast<TokenId>(source.tokens.size()))
    spec.unknown = source.tokens[static_cast<size_t>(source.unknown_id)];
  else if (std::ranges::find(source.tokens, "<unk>") != source.tokens.end())
    spec.unknown = "<unk>";
  spec.fuse_unknown = true;
}

std::vector<DecoderStep> sentencepiece_decoder(bool prefix) {
  std::vector<DecoderStep> steps = {ReplaceDecode{std::string(kSpaceSymbol), " "},
                                    ByteFallbackDecode{}, FuseDecode{}};
  if (prefix) steps.push_back(StripDecode{" ", 1, 0});
  return steps;
}

// Phi-3's files do not say that its special tokens swallow the white space behind them.
void strip_behind_phi3(TokenizerSpec& spec) {
  constexpr std::array<std::string_view, 3> kBare = {"<unk>", "<s>", "<|endoftext|>"};
  if (std::ranges::find(spec.tokens, "<|placeholder1|>") == spec.tokens.end()) return;
  for (AddedToken& token : spec.added)
    token.rstrip = std::ranges::find(kBare, token.text) == kBare.end();
}

Status read_sentencepiece_bpe(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  if (source.merges.empty()) {
    SLLM_OK(read_scores(source, spec));
    spec.merge_by_score = true;
  } else {
    SLLM_OK(read_merges(source, spec));
  }
  read_unknown(source, spec);
  spec.byte_fallback = true;
  const bool prefix = source.add_space_prefix.value_or(source.model == "llama");
  if (source.remove_extra_spaces.value_or(false) || !source.precompiled_charsmap.empty()) {
    spec.normalizers.push_back(
        SentencePieceStep{.charsmap = source.precompiled_charsmap,
                          .dummy_prefix = prefix,
                          .remove_extra_spaces = source.remove_extra_spaces.value_or(false)});
  } else {
    if (prefix) spec.normalizers.push_back(PrependStep{std::string(kSpaceSymbol)});
    spec.normalizers.push_back(ReplaceStep{regex_of_text(" "), std::string(kSpaceSymbol)});
  }
  spec.decoders = sentencepiece_decoder(prefix);
  strip_behind_phi3(spec);
  if (source.add_bos.value_or(true) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (source.add_eos.value_or(false) && source.eos_id >= 0) spec.suffix = {source.eos_id};
  return ok();
}

Status read_unigram(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  spec.kind = ModelKind::kUnigram;
  SLLM_OK(read_scores(source, spec));
  read_unknown(source, spec);
  spec.float_scores = true;
  spec.byte_fallback = std::ranges::count(source.types, static_cast<int32_t>(kByte)) == 256;
  SentencePieceStep step;
  step.charsmap = source.precompiled_charsmap;
  step.dummy_prefix = source.add_space_prefix.value_or(true);
  step.remove_extra_spaces = source.remove_extra_spaces.value_or(true);
  spec.decoders = sentencepiece_decoder(step.dummy_prefix);
  spec.normalizers.push_back(std::move(step));
  if (source.add_bos.value_or(false) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (source.add_eos.value_or(true) && source.eos_id >= 0) spec.suffix = {source.eos_id};
  return ok();
}

// GGUF marks where words begin ("▁the", "ing"), BERT's vocabulary where they go on ("the",
// "##ing").
Status read_word_piece(const TokenizerSource::Gguf& source, TokenizerSpec& spec) {
  spec.kind = ModelKind::kWordPiece;
  spec.unknown = "[UNK]";
  spec.continuing_prefix = "##";
  const auto id_of = [&](std::string_view text) {
    const auto it = std::ranges::find(source.tokens, text);
    return it == source.tokens.end() ? -1 : static_cast<TokenId>(it - source.tokens.begin());
  };
  for (std::string& token : spec.tokens) {
    if (token.starts_with(kSpaceSymbol))
      token.erase(0, kSpaceSymbol.size());
    else if (!(token.starts_with('[') && token.ends_with(']')) && !token.empty())
      token.insert(0, "##");
  }
  // Vocabularies without capitals are those of lower-casing models.
  const bool cased = std::ranges::any_of(spec.tokens, [](const std::string& token) {
    return token.size() > 1 && token[0] >= 'A' && token[0] <= 'Z';
  });
  spec.normalizers = {BertStep{true, true, !cased, !cased}};
  spec.pre_tokenizer = {BertSplitStep{}};
  spec.decoders = {WordPieceDecode{}};
  for (const char* text : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    if (const TokenId id = id_of(text);
        id >= 0 && std::ranges::none_of(spec.added, [&](auto& t) { return t.id == id; }))
      spec.added.push_back({.id = id, .text = text, .special = true});
  if (const TokenId cls = id_of("[CLS]"); cls >= 0) spec.prefix = {cls};
  if (const TokenId sep = id_of("[SEP]"); sep >= 0) spec.suffix = {sep};
  return ok();
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_gguf(const TokenizerSource::Gguf& source) {
  SLLM_OK(check_id(source, source.bos_id, "bos_token_id"));
  SLLM_OK(check_id(source, source.eos_id, "eos_token_id"));
  SLLM_OK(check_id(source, source.eot_id, "eot_token_id"));
  SLLM_OK(check_id(source, source.unknown_id, "unknown_token_id"));
  SLLM_OK(check_id(source, source.padding_id, "padding_token_id"));
  SLLM_OK(check_id(source, source.separator_id, "seperator_token_id"));
  SLLM_OK(check_id(source, source.mask_id, "mask_token_id"));
  TokenizerSpec spec;
  SLLM_OK(read_tokens(source, spec));
  read_ends(source, spec);
  spec.bos = source.bos_id;
  spec.named = {source.eos_id, source.unknown_id, source.padding_id, source.separator_id,
                source.mask_id};
  const std::string& model = source.model;
  if (model == "gpt2" && source.pre == "gemma4") {
    SLLM_OK(read_sentencepiece_bpe(source, spec));
  } else if (model == "gpt2") {
    SLLM_OK(read_byte_level(source, spec));
  } else if (model == "llama" || model == "gemma4") {
    SLLM_OK(read_sentencepiece_bpe(source, spec));
  } else if (model == "t5") {
    SLLM_OK(read_unigram(source, spec));
  } else if (model == "bert") {
    SLLM_OK(read_word_piece(source, spec));
  } else {
    return bad_input("tokenizer.ggml.model is \"{}\"; gpt2, llama, gemma4, t5 and bert are known",
                     model);
  }
  if (!source.steps.empty()) {
    SLLM_OK(read_tokenizer_steps(source.steps, spec).context("sllm.tokenizer.steps"));
    for (NormalizerStep& step : spec.normalizers)
      if (auto* rules = std::get_if<PrecompiledStep>(&step); rules && rules->charsmap.empty())
        rules->charsmap = source.precompiled_charsmap;
  }
  return spec;
}

bool ends_answer(std::string_view token_text) {
  constexpr std::array<std::string_view, 12> kEnds = {
      "<|im_end|>",      "<|eot_id|>", "<|eom_id|>", "<|endoftext|>",
      "<|end_of_text|>", "<|end|>",    "<EOT>",      "<end_of_turn>",
      "<|endofturn|>",   "<|return|>", "</s>",       "<｜end▁of▁sentence｜>"};
  return std::ranges::find(kEnds, token_text) != kEnds.end();
}

}  // namespace sllm
