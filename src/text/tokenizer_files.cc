// Tokenizers from the files that models have instead of a tokenizer.json. A text without special
// tokens becomes what the files' own library makes of it (sentencepiece, tiktoken, mistral-common).
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "io/sentencepiece_model.h"
#include "text/base64.h"
#include "text/byte_level.h"
#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

using nlohmann::json;

json config_of(const std::string& text) { return json::parse(text, nullptr, false); }
std::string text_of(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return "";
  const json& value = object[key];
  if (value.is_string()) return value;
  return value.is_object() && value.contains("content") && value["content"].is_string()
             ? value["content"]
             : "";
}
bool flag_of(const json& object, const char* key, bool otherwise) {
  return object.is_object() && object.contains(key) && object[key].is_boolean()
             ? object[key].get<bool>()
             : otherwise;
}

Status put_token(TokenizerSpec& spec, uint64_t id, std::string text) {
  if (id >= kMaxTokens) return bad_input("the id {} of \"{}\" is too large", id, text);
  if (text.size() > kMaxTokenBytes) return bad_input("token {} has {} bytes", id, text.size());
  if (id >= spec.tokens.size()) spec.tokens.resize(id + 1);
  spec.tokens[id] = std::move(text);
  return ok();
}

// added_tokens_decoder of tokenizer_config.json: {"32000": {"content": "<|im_end|>", ...}}.
Status read_added(const json& config, TokenizerSpec& spec) {
  if (!config.is_object() || !config.contains("added_tokens_decoder")) return ok();
  for (const auto& [key, value] : config["added_tokens_decoder"].items()) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    AddedToken token;
    token.text = text_of(value, "content");
    if (error != std::errc() || end != key.data() + key.size() || token.text.empty())
      return bad_input("tokenizer_config.json: added_tokens_decoder[\"{}\"] is not a token", key);
    token.id = static_cast<TokenId>(id);
    token.special = flag_of(value, "special", false);
    token.normalized = flag_of(value, "normalized", false);
    token.lstrip = flag_of(value, "lstrip", false);
    token.rstrip = flag_of(value, "rstrip", false);
    token.single_word = flag_of(value, "single_word", false);
    SLLM_OK(put_token(spec, id, token.text));
    std::erase_if(spec.added, [&](const AddedToken& t) { return t.id == token.id; });
    spec.added.push_back(std::move(token));
  }
  return ok();
}

void surround(const json& config, bool bos_default, TokenizerSpec& spec) {
  if (flag_of(config, "add_bos_token", bos_default) && spec.bos >= 0) spec.prefix = {spec.bos};
  if (flag_of(config, "add_eos_token", false) && !spec.eos.empty()) spec.suffix = {spec.eos[0]};
}

Result<TokenizerSpec> read_sentencepiece(const std::string& bytes, const std::string& config_json) {
  using Model = SentencePieceModel;
  SLLM_TRY(const Model model, read_sentencepiece_model(bytes));
  TokenizerSpec spec;
  SentencePieceStep step{model.charsmap,      model.dummy_prefix,    model.remove_extra_spaces,
                         model.escape_spaces, model.space_as_suffix, {}};
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Model::Piece& piece = model.pieces[id];
    const bool whole = piece.type == Model::PieceType::kUserDefined;
    spec.tokens.push_back(piece.text);
    spec.scores.push_back(piece.score);
    spec.matchable.push_back(whole || piece.type == Model::PieceType::kNormal);
    spec.whole.push_back(whole);
    if (whole) step.kept.push_back(piece.text);
    if (piece.type == Model::PieceType::kControl || piece.type == Model::PieceType::kUnknown)
      spec.added.push_back({.id = static_cast<TokenId>(id), .text = piece.text, .special = true});
  }
  spec.kind = model.type == Model::Type::kBpe ? ModelKind::kBpe : ModelKind::kUnigram;
  spec.merge_by_score = model.type == Model::Type::kBpe;
  spec.float_scores = true;
  spec.byte_fallback = model.byte_fallback;
  spec.fuse_unknown = true;
  spec.unknown = model.pieces[static_cast<size_t>(model.unknown_id)].text;
  const bool prefix = model.dummy_prefix && !model.space_as_suffix;
  spec.normalizers.push_back(std::move(step));
  spec.decoders = {ReplaceDecode{"\xE2\x96\x81", " "}, ByteFallbackDecode{}, FuseDecode{}};
  if (prefix) spec.decoders.push_back(StripDecode{" ", 1, 0});
  const json config = config_of(config_json);
  SLLM_OK(read_added(config, spec));
  spec.scores.resize(spec.tokens.size());
  spec.matchable.resize(spec.tokens.size(), false);
  spec.whole.resize(spec.tokens.size(), false);
  SLLM_OK(read_tokenizer_config(config_json, spec));
  if (spec.bos < 0) spec.bos = model.bos_id;
  if (spec.eos.empty() && model.eos_id >= 0) spec.eos.push_back(model.eos_id);
  if (spec.named.eos < 0) spec.named.eos = model.eos_id;
  if (spec.named.unknown < 0) spec.named.unknown = model.unknown_id;
  if (spec.named.padding < 0) spec.named.padding = model.padding_id;
  surround(config, model.type == Model::Type::kBpe, spec);
  return spec;
}

// Tokens as bytes with their ranks: merges by rank, whole words first.
void finish_ranked(TokenizerSpec& spec) {
  spec.byte_level = true;
  spec.merge_by_score = true;
  spec.ignore_merges = true;
  spec.decoders = {ByteLevelDecode{}};
  for (const std::string& token : spec.tokens) spec.matchable.push_back(!token.empty());
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    spec.scores.push_back(-static_cast<double>(id));
}

void add_special(TokenizerSpec& spec, TokenId id, const std::string& text) {
  spec.added.push_back({.id = id, .text = text, .special = true});
}

// What tiktoken files do not say, by what they are.
struct TiktokenKind {
  const char* pattern;
  std::vector<std::string> special;  // behind the last rank
};
constexpr const char* kCl100kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

TiktokenKind tiktoken_kind(const std::string& name, size_t ranks) {
  if (name.starts_with("o200k")) return {kO200kPattern, {}};
  if (name.starts_with("cl100k")) return {kCl100kPattern, {}};
  if (name.starts_with("qwen"))
    return {kQwen2Pattern, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}};
  if (ranks == 128000) {  // Llama 3 (meta-llama/llama-models, tokenizer.py)
    TiktokenKind kind{
        kLlama3Pattern,
        {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
         "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
         "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"}};
    for (int i = 2; kind.special.size() < 256; ++i)
      kind.special.push_back(fmt::format("<|reserved_special_token_{}|>", i));
    return kind;
  }
  return {kCl100kPattern, {}};
}

bool is_tiktoken(std::string_view text) {
  const size_t space = text.find(' ');
  return space != text.npos && space > 0 && space < 200 && decode_base64(text.substr(0, space)) &&
         space + 1 < text.size() && text[space + 1] >= '0' && text[space + 1] <= '9';
}

// Lines "base64 rank".
Result<TokenizerSpec> read_tiktoken(const std::string& name, std::string_view text,
                                    const std::string& config_json) {
  TokenizerSpec spec;
  size_t line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++line;
    const std::string_view row = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), row.size() + 1));
    if (row.empty() || row == "\r") continue;
    const size_t space = row.find(' ');
    uint64_t rank = 0;
    const auto bytes = space == row.npos ? std::nullopt : decode_base64(row.substr(0, space));
    if (!bytes || bytes->empty() ||
        std::from_chars(row.data() + space + 1, row.data() + row.size(), rank).ec != std::errc())
      return bad_input("line {} is not a token in base64 and its rank", line);
    SLLM_OK(put_token(spec, rank, token_text_of_bytes(*bytes)));
  }
  if (spec.tokens.empty()) return bad_input("it holds no tokens");
  finish_ranked(spec);
  const TiktokenKind kind = tiktoken_kind(name, spec.tokens.size());
  spec.pre_tokenizer = {SplitStep{kind.pattern}};
  for (const std::string& special : kind.special) {
    add_special(spec, static_cast<TokenId>(spec.tokens.size()), special);
    spec.tokens.push_back(special);
  }
  const json config = config_of(config_json);
  SLLM_OK(read_added(config, spec));
  spec.scores.resize(spec.tokens.size());
  spec.matchable.resize(spec.tokens.size(), false);
  SLLM_OK(read_tokenizer_config(config_json, spec));
  if (spec.bos < 0 && kind.pattern == kLlama3Pattern && !kind.special.empty())
    spec.bos = static_cast<TokenId>(spec.tokens.size() - kind.special.size());
  surround(config, kind.pattern == kLlama3Pattern, spec);
  return spec;
}

// Mistral's tekken.json: special tokens have the first ids, the ranked ones follow.
Result<TokenizerSpec> read_tekken(const std::string& text) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("config") || !root.contains("vocab") ||
      !root["vocab"].is_array())
    return bad_input("it is not an object with config and vocab");
  const json& config = root["config"];
  const auto number = [&config](const char* key) -> uint64_t {
    return config.is_object() && config.contains(key) && config[key].is_number_unsigned()
               ? config[key].get<uint64_t>()
               : 0;
  };
  const uint64_t size = number("default_vocab_size"),
                 special = number("default_num_special_tokens");
  if (size <= special || size > kMaxTokens)
    return bad_input("config: default_vocab_size {} and default_num_special_tokens {} do not fit",
                     size, special);
  TokenizerSpec spec;
  spec.tokens.resize(special);
  for (const json& token : root["vocab"]) {
    if (spec.tokens.size() == size) break;
    const auto bytes = decode_base64(text_of(token, "token_bytes"));
    if (!bytes || bytes->empty())
      return bad_input("vocab[{}]: token_bytes is not base64", spec.tokens.size() - special);
    SLLM_OK(put_token(spec, spec.tokens.size(), token_text_of_bytes(*bytes)));
  }
  finish_ranked(spec);
  std::vector<std::string> names = {"<unk>",
                                    "<s>",
                                    "</s>",
                                    "[INST]",
                                    "[/INST]",
                                    "[AVAILABLE_TOOLS]",
                                    "[/AVAILABLE_TOOLS]",
                                    "[TOOL_RESULTS]",
                                    "[/TOOL_RESULTS]",
                                    "[TOOL_CALLS]",
                                    "[IMG]",
                                    "<pad>",
                                    "[IMG_BREAK]",
                                    "[IMG_END]",
                                    "[PREFIX]",
                                    "[MIDDLE]",
                                    "[SUFFIX]",
                                    "[SYSTEM_PROMPT]",
                                    "[/SYSTEM_PROMPT]",
                                    "[TOOL_CONTENT]"};
  if (root.contains("special_tokens") && root["special_tokens"].is_array()) {
    names.clear();
    for (const json& token : root["special_tokens"]) names.push_back(text_of(token, "token_str"));
  }
  for (uint64_t id = 0; id < special; ++id) {
    const std::string name =
        id < names.size() && !names[id].empty() ? names[id] : fmt::format("<SPECIAL_{}>", id);
    spec.tokens[id] = name;
    add_special(spec, static_cast<TokenId>(id), name);
    if (name == "<s>") spec.bos = static_cast<TokenId>(id);
    if (name == "</s>") spec.eos = {static_cast<TokenId>(id)};
  }
  std::fill_n(spec.matchable.begin(), special, false);
  const std::string pattern = text_of(config, "pattern");
  spec.pre_tokenizer = {SplitStep{pattern.empty() ? kTekkenPattern : pattern}};
  if (spec.bos >= 0) spec.prefix = {spec.bos};
  return spec;
}

// GPT-2's two files. How the text is cut is told by the class that tokenizer_config.json names.
Result<TokenizerSpec> read_vocab_and_merges(const std::string& vocab, std::string_view merges,
                                            const std::string& config_json) {
  TokenizerSpec spec;
  const json tokens = json::parse(vocab, nullptr, false);
  if (!tokens.is_object()) return bad_input("vocab.json is not an object of tokens");
  for (const auto& [text, id] : tokens.items()) {
    if (!id.is_number_unsigned())
      return bad_input("vocab.json: the id of \"{}\" is no number", text);
    SLLM_OK(put_token(spec, id.get<uint64_t>(), text));
  }
  for (size_t line = 1; !merges.empty(); ++line) {
    std::string_view row = merges.substr(0, merges.find('\n'));
    merges.remove_prefix(std::min(merges.size(), row.size() + 1));
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty() || (line == 1 && row.starts_with("#version"))) continue;
    const size_t space = row.find(' ');
    if (space == row.npos || !unicode::valid_utf8(row))
      return bad_input("merges.txt: line {} is not two tokens with a space between", line);
    spec.merges.emplace_back(row.substr(0, space), row.substr(space + 1));
  }
  spec.byte_level = true;
  spec.decoders = {ByteLevelDecode{}};
  for (const std::string& token : spec.tokens) spec.matchable.push_back(!token.empty());
  const json config = config_of(config_json);
  const std::string kind = text_of(config, "tokenizer_class");
  if (kind.starts_with("Qwen2")) {
    spec.normalizers = {FormStep{unicode::Form::kNfc}};
    spec.pre_tokenizer = {SplitStep{kQwen2Pattern}};
  } else if (kind.empty() || kind.starts_with("GPT2") || kind.starts_with("Roberta")) {
    if (flag_of(config, "add_prefix_space", false)) spec.pre_tokenizer.push_back(PrefixSpaceStep{});
    spec.pre_tokenizer.push_back(SplitStep{kGpt2Pattern});
  } else {
    return with_hint(
        bad_input("vocab.json and merges.txt of a {} are not supported (GPT2Tokenizer, "
                  "RobertaTokenizer and Qwen2Tokenizer are)",
                  kind),
        "Use a model with a tokenizer.json");
  }
  SLLM_OK(read_added(config, spec));
  spec.matchable.resize(spec.tokens.size(), false);
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (const std::string& text = spec.tokens[id];
        text == "<|endoftext|>" &&
        std::ranges::none_of(spec.added, [&](auto& t) { return t.text == text; }))
      add_special(spec, static_cast<TokenId>(id), text);
  SLLM_OK(read_tokenizer_config(config_json, spec));
  return spec;
}

// BERT's vocab.txt: a token a line.
Result<TokenizerSpec> read_bert_vocabulary(std::string_view text, const std::string& config_json) {
  TokenizerSpec spec;
  const json config = config_of(config_json);
  spec.kind = ModelKind::kWordPiece;
  spec.unknown = "[UNK]";
  spec.continuing_prefix = "##";
  const auto tokens_end = [&] { return static_cast<TokenId>(spec.tokens.size()); };
  while (!text.empty()) {
    std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), row.size() + 1));
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (!unicode::valid_utf8(row)) return bad_input("line {} is not UTF-8", tokens_end() + 1);
    if (row == "[CLS]") spec.prefix = {tokens_end()};
    if (row == "[SEP]") spec.suffix = {tokens_end()};
    for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
      if (row == special) add_special(spec, tokens_end(), special);
    SLLM_OK(put_token(spec, spec.tokens.size(), std::string(row)));
  }
  const bool lower = flag_of(config, "do_lower_case", true);
  BertStep step{true, flag_of(config, "tokenize_chinese_chars", true),
                flag_of(config, "strip_accents", lower), lower};
  spec.normalizers = {step};
  spec.pre_tokenizer = {BertSplitStep{}};
  spec.decoders = {WordPieceDecode{}};
  SLLM_OK(read_tokenizer_config(config_json, spec));
  return spec;
}

Result<TokenizerSpec> read(const TokenizerSource& source) {
  const auto& [name, content] = *source.files.begin();
  if (const auto merges = source.files.find("merges.txt"); merges != source.files.end()) {
    const auto vocab = source.files.find("vocab.json");
    if (vocab == source.files.end()) return bad_input("there is no vocab.json beside it");
    return read_vocab_and_merges(vocab->second, merges->second, source.tokenizer_config_json);
  }
  if (name == "tekken.json") return read_tekken(content);
  if (name.ends_with(".txt")) return read_bert_vocabulary(content, source.tokenizer_config_json);
  if (name.ends_with(".tiktoken") || is_tiktoken(content))
    return read_tiktoken(name, content, source.tokenizer_config_json);
  return read_sentencepiece(content, source.tokenizer_config_json);
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_files(const TokenizerSource& source) {
  if (source.files.empty())
    return with_hint(bad_input("the model has no tokenizer"),
                     "Put its tokenizer.json beside its config.json");
  return read(source).context(source.files.begin()->first);
}

}  // namespace sllm
