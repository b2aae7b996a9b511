// A tokenizer from GGUF metadata (tokenizer.ggml.*): byte-level BPE with the pre-tokenizers that
// `tokenizer.ggml.pre` names (ggml/docs/gguf.md, "Tokenizer").
#include <algorithm>
#include <array>

#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

struct Family {
  const char* pre;
  const char* pattern;
  bool digits_apart = false;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
};
// Where Hugging Face's tokenizer.json of the family differs from llama.cpp (NFC), it is followed.
constexpr std::array<Family, 7> families() {
  return {{{"gpt-2", kGpt2Pattern},
           {"default", kGpt2Pattern},
           {"smollm", kGpt2Pattern, true},
           {"qwen2", kQwen2Pattern, false, true},
           {"llama-bpe", kLlama3Pattern, false, false, true, true},
           {"llama3", kLlama3Pattern, false, false, true, true},
           {"llama-v3", kLlama3Pattern, false, false, true, true}}};
}

enum GgufTokenType { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

Result<Family> family_of(const TokenizerSource::Gguf& source) {
  if (source.model != "gpt2")
    return with_hint(bad_input("tokenizer.ggml.model is \"{}\"; only byte-level BPE (\"gpt2\") is "
                               "supported",
                               source.model),
                     "Use a model of the GPT-2, Llama-3, Qwen2 or SmolLM tokenizer families");
  const std::string pre = source.pre.empty() ? "default" : source.pre;
  std::string known;
  for (const Family& family : families()) {
    if (pre == family.pre) return family;
    known += known.empty() ? family.pre : std::string(", ") + family.pre;
  }
  return bad_input("tokenizer.ggml.pre is \"{}\"; supported: {}", pre, known);
}

Status check_id(const TokenizerSource::Gguf& source, TokenId id, const char* key) {
  if (id >= static_cast<int64_t>(source.tokens.size()) || id < -1)
    return bad_input("tokenizer.ggml.{} is {}, but there are {} tokens", key, id,
                     source.tokens.size());
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
    const std::string& text = source.tokens[id];
    if (text.size() > kMaxTokenBytes || !unicode::valid_utf8(text))
      return bad_input("tokenizer.ggml.tokens[{}] is {}", id,
                       text.size() > kMaxTokenBytes ? "too long" : "not UTF-8");
    const int32_t type = source.types.empty() ? kNormal : source.types[id];
    if (text.empty() || (type != kControl && type != kUserDefined)) continue;
    spec.added.push_back(
        {.id = static_cast<TokenId>(id), .text = text, .special = type == kControl});
  }
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

}  // namespace

Result<TokenizerSpec> read_tokenizer_gguf(const TokenizerSource::Gguf& source) {
  SLLM_TRY(const Family family, family_of(source));
  SLLM_OK(check_id(source, source.bos_id, "bos_token_id"));
  SLLM_OK(check_id(source, source.eos_id, "eos_token_id"));
  SLLM_OK(check_id(source, source.eot_id, "eot_token_id"));
  TokenizerSpec spec;
  SLLM_OK(read_tokens(source, spec));
  SLLM_OK(read_merges(source, spec));
  read_ends(source, spec);
  spec.bos = source.bos_id;
  spec.ignore_merges = family.ignore_merges;
  if (family.nfc) spec.normalizers = {unicode::Form::kNfc};
  if (family.digits_apart) spec.pre_tokenizer.push_back(DigitsStep{true});
  spec.pre_tokenizer.push_back(SplitStep{family.pattern});
  if (source.add_bos.value_or(family.adds_bos) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (source.add_eos.value_or(false) && source.eos_id >= 0) spec.suffix = {source.eos_id};
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
