// A tokenizer as GGUF metadata, the inverse of text/tokenizer_gguf.cc. What would change ids and
// has no words there is refused by name.
#include <algorithm>
#include <unordered_map>

#include "text/byte_level.h"
#include "text/pre_tokenizer_families.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_writers.h"

namespace sllm {
namespace {

using Gguf = TokenizerSource::Gguf;

Error no_words(std::string_view what) {
  return with_hint(bad_input("GGUF cannot say that {}", what),
                   "Keep the model as a Hugging Face folder");
}

// Chat and code markers that a model's authors forgot to mark as special.
bool looks_special(std::string_view token) {
  return (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<｜") && token.ends_with("｜>"));
}

std::string with_spaces(std::string_view text) {
  std::string out;
  for (size_t at; (at = text.find(kSpaceSymbol)) != text.npos;) {
    out.append(text.substr(0, at)).push_back(' ');
    text.remove_prefix(at + kSpaceSymbol.size());
  }
  return out.append(text);
}

Status add_tokens(const TokenizerSpec& spec, int64_t V, Gguf& out) {
  const auto at_most = static_cast<size_t>(V);
  const std::vector<bool> is_hole = holes(spec);
  for (size_t id = 0; id < at_most; ++id) {
    const bool hole = id >= spec.tokens.size() || is_hole[id];
    const bool text_becomes_it =
        !hole && (spec.matchable.empty() || spec.matchable[id] || spec.tokens[id] == spec.unknown);
    out.tokens.push_back(hole ? fmt::format("[PAD{}]", id) : spec.tokens[id]);
    out.types.push_back(text_becomes_it ? kNormal : kUnused);
    if (hole || spec.byte_level) continue;
    if (spec.byte_fallback && byte_of_fallback_token(spec.tokens[id])) out.types[id] = kByte;
    if (spec.tokens[id] == spec.unknown) out.types[id] = kUnknown;
    if (spec.whole.empty() || !spec.whole[id]) continue;
    // Such symbols are matched before spaces become U+2581.
    out.types[id] = kUserDefined;
    out.tokens[id] = with_spaces(spec.tokens[id]);
  }
  for (size_t id = at_most; id < spec.tokens.size(); ++id)
    if (!is_hole[id])
      return bad_input("token \"{}\" has the id {}, but the model has {} embeddings",
                       spec.tokens[id], id, V);
  for (const AddedToken& token : spec.added) {
    const auto id = static_cast<size_t>(token.id);
    if (out.types[id] == kUnknown) continue;
    const bool special = token.special || looks_special(token.text);
    out.types[id] = special ? kControl : kUserDefined;
    const bool escaped = token.normalized && !special && !spec.byte_level;
    out.tokens[id] = escaped ? with_spaces(token.text) : token.text;
  }
  return ok();
}

// The tokens around a text: none, or the one that begins and the one that ends it.
Status add_ends(const TokenizerSpec& spec, Gguf& out) {
  const auto check = [&](const std::vector<TokenId>& around, TokenId& by,
                         const char* what) -> Status {
    if (around.size() == 1 && by < 0) by = around[0];
    if (around.empty() || (around.size() == 1 && around[0] == by)) return ok();
    std::string texts;
    for (const TokenId id : around) texts += spec.tokens[static_cast<size_t>(id)];
    return no_words(fmt::format("a text {} with {}", what, texts));
  };
  SLLM_OK(check(spec.prefix, out.bos_id, "begins"));
  SLLM_OK(check(spec.suffix, out.eos_id, "ends"));
  out.add_bos = !spec.prefix.empty();
  if (!spec.suffix.empty() || !spec.byte_level) out.add_eos = !spec.suffix.empty();
  return ok();
}

std::vector<float> floats(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

Status byte_level_bpe(const TokenizerSpec& spec, Gguf& out) {
  out.model = "gpt2";
  SLLM_TRY(out.pre, pre_tokenizer_name(spec));
  std::vector<std::pair<std::string, std::string>> merges = spec.merges;
  if (spec.merge_by_score) {
    SLLM_TRY(merges, merges_of_scores(spec));
  }
  for (const auto& [left, right] : merges) out.merges.push_back(left + " " + right);
  return add_ends(spec, out);
}

// What sentencepiece's normalizer and the lists of steps that stand for it have in common.
struct Spaces {
  std::string charsmap;
  bool dummy_prefix = false, remove_extra = false, escape = false;
};

Status read_step(const NormalizerStep& step, Spaces& spaces) {
  const auto* replace = std::get_if<ReplaceStep>(&step);
  if (const auto* s = std::get_if<SentencePieceStep>(&step)) {
    if (s->space_as_suffix) return no_words("spaces follow words");
    spaces = {s->charsmap, s->dummy_prefix, s->remove_extra_spaces, s->escape_spaces};
  } else if (const auto* p = std::get_if<PrecompiledStep>(&step); p && spaces.charsmap.empty()) {
    spaces.charsmap = p->charsmap;
  } else if (step == NormalizerStep(PrependStep{std::string(kSpaceSymbol)})) {
    spaces.dummy_prefix = true;
  } else if (replace && replace->content == kSpaceSymbol && text_of_regex(replace->regex) == " ") {
    spaces.escape = true;
  } else if (std::holds_alternative<StripStep>(step) ||
             (replace && replace->regex == " {2,}" &&
              (replace->content == " " || replace->content == kSpaceSymbol))) {
    spaces.remove_extra = true;
  } else {
    return no_words("text is normalized as this tokenizer's does it");
  }
  return ok();
}

Status read_step(const PreTokenizerStep& step, bool unigram, Spaces& spaces) {
  const auto* split = std::get_if<SplitStep>(&step);
  if (const auto* meta = std::get_if<MetaspaceStep>(&step);
      meta && meta->replacement == kSpaceSymbol && (unigram || !meta->split)) {
    spaces.escape = true;
    spaces.dummy_prefix = meta->prepend != MetaspaceStep::Prepend::kNever;
  } else if (unigram && step == PreTokenizerStep(WhitespaceStep{false})) {
    spaces.remove_extra = true;
  } else if (split && spaces.escape && text_of_regex(split->regex) == " ") {
    // Gemma's: there is no space left to cut at.
  } else {
    return no_words("text is cut as this tokenizer's pre-tokenizer does it");
  }
  return ok();
}

Status add_spaces(const TokenizerSpec& spec, Gguf& out) {
  Spaces spaces;
  for (const NormalizerStep& step : spec.normalizers) SLLM_OK(read_step(step, spaces));
  for (const PreTokenizerStep& step : spec.pre_tokenizer)
    SLLM_OK(read_step(step, spec.kind == ModelKind::kUnigram, spaces));
  if (!spaces.escape) return no_words("spaces stay spaces");
  out.add_space_prefix = spaces.dummy_prefix;
  out.remove_extra_spaces = spaces.remove_extra;
  out.precompiled_charsmap = spaces.charsmap;
  return ok();
}

Status sentencepiece_bpe(const TokenizerSpec& spec, Gguf& out) {
  if (!spec.byte_fallback || !spec.continuing_prefix.empty() || !spec.end_suffix.empty())
    return no_words("a BPE without bytes cuts the text");
  if (spec.ignore_merges)
    return no_words("whole words of a BPE with characters come before merges");
  out.model = "llama";
  out.pre = "default";
  out.scores = floats(spec.merge_by_score ? spec.scores : scores_of_merges(spec));
  if (out.scores.empty()) out.model = "gemma4";  // merges by rank, which "llama" does not look at
  for (const auto& [left, right] : spec.merges) out.merges.push_back(left + " " + right);
  SLLM_OK(add_spaces(spec, out));
  return add_ends(spec, out);
}

Status unigram(const TokenizerSpec& spec, Gguf& out) {
  out.model = "t5";
  out.pre = "default";
  out.scores = floats(spec.scores);
  SLLM_OK(add_spaces(spec, out));
  return add_ends(spec, out);
}

// BERT's vocabulary marks where words go on ("##ing"), GGUF where they begin ("▁the").
Status word_piece(const TokenizerSpec& spec, Gguf& out) {
  if (spec.max_word_chars != TokenizerSpec().max_word_chars)
    return no_words(fmt::format("words of more than {} letters are unknown", spec.max_word_chars));
  if (spec.continuing_prefix != "##" || spec.unknown != "[UNK]" || spec.normalizers.size() != 1 ||
      !std::holds_alternative<BertStep>(spec.normalizers[0]) ||
      spec.pre_tokenizer != std::vector<PreTokenizerStep>{BertSplitStep{}})
    return no_words("a WordPiece tokenizer normalizes or cuts otherwise than BERT's");
  out.model = "bert";
  out.pre = "default";
  for (size_t id = 0; id < out.tokens.size(); ++id) {
    std::string& token = out.tokens[id];
    if (token.starts_with("##"))
      token.erase(0, 2);
    else if (!(token.starts_with('[') && token.ends_with(']')))
      token.insert(0, kSpaceSymbol);
  }
  if (spec.prefix.size() == 1) out.bos_id = spec.prefix[0];
  if (spec.suffix.size() == 1) out.separator_id = spec.suffix[0];
  return ok();
}

// What only comes near to the tokenizer's own steps when it is read back is kept beside in
// tokenizer.json's words: Metaspace that prefixes the first word alone, rules for whole graphemes,
// white space that an added token swallows. Other programs do not read it and cut such texts as
// GGUF's words say. A tokenizer.model has no such words itself, only tokenizer_config.json beside
// it.
Status keep_steps(const TokenizerSpec& spec, Gguf& out) {
  const auto is_sentencepiece = [](const NormalizerStep& step) {
    return std::holds_alternative<SentencePieceStep>(step);
  };
  if (std::ranges::any_of(spec.normalizers, is_sentencepiece)) return ok();
  SLLM_TRY(const TokenizerSpec back, read_tokenizer_gguf(out));
  std::unordered_map<TokenId, const AddedToken*> read;
  for (const AddedToken& token : back.added) read[token.id] = &token;
  std::vector<AddedToken> other;
  for (const AddedToken& token : spec.added)
    if (const auto it = read.find(token.id); it != read.end() && *it->second != token)
      other.push_back(token);
  const bool same = spec.normalizers == back.normalizers &&
                    spec.pre_tokenizer == back.pre_tokenizer && spec.decoders == back.decoders;
  if (!same || !other.empty()) out.steps = write_tokenizer_steps(spec, other);
  return ok();
}

}  // namespace

std::vector<bool> holes(const TokenizerSpec& spec) {
  std::vector<bool> out(spec.tokens.size());
  for (size_t id = 0; id < out.size(); ++id)
    out[id] = spec.tokens[id].empty() || (!spec.matchable.empty() && !spec.matchable[id] &&
                                          spec.tokens[id] == fmt::format("[PAD{}]", id));
  for (const AddedToken& token : spec.added) out[static_cast<size_t>(token.id)] = false;
  return out;
}

Result<Gguf> write_tokenizer_gguf(const TokenizerSpec& spec, int64_t V) {
  Gguf out;
  out.bos_id = spec.bos;
  out.eos_id = spec.named.eos;
  out.unknown_id = spec.named.unknown;
  if (const auto unknown = std::ranges::find(spec.tokens, spec.unknown);
      out.unknown_id < 0 && !spec.unknown.empty() && unknown != spec.tokens.end())
    out.unknown_id = static_cast<TokenId>(unknown - spec.tokens.begin());
  out.padding_id = spec.named.padding;
  out.separator_id = spec.named.separator;
  out.mask_id = spec.named.mask;
  SLLM_OK(add_tokens(spec, V, out));
  if (spec.kind == ModelKind::kWordPiece)
    SLLM_OK(word_piece(spec, out));
  else if (spec.kind == ModelKind::kUnigram)
    SLLM_OK(unigram(spec, out));
  else if (spec.byte_level)
    SLLM_OK(byte_level_bpe(spec, out));
  else
    SLLM_OK(sentencepiece_bpe(spec, out));
  if (!out.scores.empty()) {
    out.scores.resize(out.tokens.size());
    for (size_t id = 0; id < out.tokens.size(); ++id)
      if (out.types[id] == kUnused && out.tokens[id].starts_with("[PAD")) out.scores[id] = -1000;
  }
  SLLM_OK(keep_steps(spec, out));
  return out;
}

}  // namespace sllm
