// The one description that both kinds of tokenizer files (tokenizer.json, GGUF) are read into.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace sllm {

struct AddedToken {
  TokenId id = -1;
  std::string text;
  bool special = false;
  bool normalized = false;   // matched in normalized text instead of the raw text
  bool lstrip = false;       // swallows white space before it
  bool rstrip = false;       // and after it
  bool single_word = false;  // only between non-word characters
  bool operator==(const AddedToken&) const = default;
};

// What happens to text before it is cut. Names are those of tokenizer.json.
struct FormStep {
  unicode::Form form = unicode::Form::kNone;
  bool operator==(const FormStep&) const = default;
};
struct PrependStep {
  std::string text;
  bool operator==(const PrependStep&) const = default;
};
struct ReplaceStep {
  std::string regex;  // PCRE2 syntax
  std::string content;
  bool operator==(const ReplaceStep&) const = default;
};
struct LowercaseStep {
  bool operator==(const LowercaseStep&) const = default;
};
struct StripAccentsStep {
  bool operator==(const StripAccentsStep&) const = default;
};
struct BertStep {
  bool clean_text = true, chinese_apart = true, strip_accents = true, lowercase = true;
  bool operator==(const BertStep&) const = default;
};
struct StripStep {
  bool left = true, right = true;
  bool operator==(const StripStep&) const = default;
};
struct PrecompiledStep {
  std::string charsmap;
  bool operator==(const PrecompiledStep&) const = default;
};
struct NmtStep {
  bool operator==(const NmtStep&) const = default;
};
struct BytesStep {
  bool operator==(const BytesStep&) const = default;
};  // ByteLevel: every byte becomes its printable character
// All that sentencepiece's own normalizer does.
struct SentencePieceStep {
  std::string charsmap;
  bool dummy_prefix = true, remove_extra_spaces = true, escape_spaces = true;
  bool space_as_suffix = false;
  std::vector<std::string> kept;  // user-defined symbols, which no rule may change
  bool operator==(const SentencePieceStep&) const = default;
};
using NormalizerStep =
    std::variant<FormStep, PrependStep, ReplaceStep, LowercaseStep, StripAccentsStep, BertStep,
                 StripStep, PrecompiledStep, NmtStep, BytesStep, SentencePieceStep>;

// How a piece of text is cut further. Names are those of tokenizer.json.
enum class SplitBehaviour {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous
};
struct SplitStep {
  std::string regex;  // PCRE2 syntax
  SplitBehaviour behaviour = SplitBehaviour::kIsolated;
  bool invert = false;
  bool operator==(const SplitStep&) const = default;
};
struct DigitsStep {
  bool individual = false;
  bool operator==(const DigitsStep&) const = default;
};
struct PunctuationStep {
  SplitBehaviour behaviour = SplitBehaviour::kIsolated;
  bool operator==(const PunctuationStep&) const = default;
};
struct WhitespaceStep {  // Whitespace (\w+|[^\w\s]+), WhitespaceSplit (\S+)
  bool words_apart = true;
  bool operator==(const WhitespaceStep&) const = default;
};
struct BertSplitStep {
  bool operator==(const BertSplitStep&) const = default;
};
struct ScriptsStep {
  bool operator==(const ScriptsStep&) const = default;
};
struct PrefixSpaceStep {
  bool operator==(const PrefixSpaceStep&) const = default;
};  // ByteLevel's add_prefix_space
struct MetaspaceStep {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement = "\xE2\x96\x81";
  Prepend prepend = Prepend::kAlways;
  bool split = true;
  bool operator==(const MetaspaceStep&) const = default;
};
// BytesStep: only where ByteLevel is not the last step; at the end a byte-level model does it.
using PreTokenizerStep =
    std::variant<SplitStep, DigitsStep, PunctuationStep, WhitespaceStep, BertSplitStep, ScriptsStep,
                 PrefixSpaceStep, MetaspaceStep, BytesStep>;

// How tokens become text. Names are those of tokenizer.json.
struct ByteLevelDecode {
  bool operator==(const ByteLevelDecode&) const = default;
};
struct ReplaceDecode {
  std::string regex, content;
  bool operator==(const ReplaceDecode&) const = default;
};
struct ByteFallbackDecode {
  bool operator==(const ByteFallbackDecode&) const = default;
};
struct FuseDecode {
  bool operator==(const FuseDecode&) const = default;
};
struct StripDecode {
  std::string content = " ";
  size_t start = 0, stop = 0;
  bool operator==(const StripDecode&) const = default;
};
struct MetaspaceDecode {
  std::string replacement = "\xE2\x96\x81";
  bool prepended = true;
  bool operator==(const MetaspaceDecode&) const = default;
};
struct WordPieceDecode {
  std::string prefix = "##";
  bool cleanup = true;
  bool operator==(const WordPieceDecode&) const = default;
};
struct SuffixDecode {  // BPEDecoder
  std::string suffix = "</w>";
  bool operator==(const SuffixDecode&) const = default;
};
using DecoderStep = std::variant<ByteLevelDecode, ReplaceDecode, ByteFallbackDecode, FuseDecode,
                                 StripDecode, MetaspaceDecode, WordPieceDecode, SuffixDecode>;

enum class ModelKind { kBpe, kUnigram, kWordPiece };

struct TokenizerSpec {
  std::vector<std::string> tokens;  // by id, as in the vocabulary ("Ġthe"); "" where ids have holes
  ModelKind kind = ModelKind::kBpe;
  // BPE. With byte_level the symbols are bytes and tokens are written in GPT-2's alphabet.
  bool byte_level = false;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  // Instead of merges: any two tokens merge whose union is a token, that of the highest score first
  // (SentencePiece; tiktoken with its ranks).
  bool merge_by_score = false;
  bool ignore_merges = false;  // a word that is itself a token is taken whole (Llama-3)
  std::string continuing_prefix, end_suffix;
  // Scores of BPE by score and Unigram.
  std::vector<double> scores;
  std::vector<bool> matchable;  // tokens that text can become; empty: all
  std::vector<bool> whole;      // SentencePiece's user-defined symbols; empty: none
  bool float_scores = false;    // sums are rounded to float, as sentencepiece does
  std::string unknown;          // token for what the vocabulary lacks; "": it is dropped
  bool fuse_unknown = false;
  bool byte_fallback = false;   // what the vocabulary lacks becomes <0x00> to <0xFF>
  size_t max_word_chars = 100;  // WordPiece: longer words are unknown
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizers;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<DecoderStep> decoders;    // empty: tokens are joined by spaces
  std::vector<TokenId> prefix, suffix;  // what add_special puts around the text
  TokenId bos = -1;
  std::vector<TokenId> eos;  // the main one first
  struct {                   // those that the files name; -1: none
    TokenId eos = -1, unknown = -1, padding = -1, separator = -1, mask = -1;
  } named;
};

// The patterns of the families that have hand-written scanners (text/word_scanner.h).
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

inline constexpr const char* kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// GPT-4o's o200k, and Mistral's tekken: they also cut before capitals.
inline constexpr const char* kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr const char* kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Bounds on what a file may ask for. Looking for tokens takes up to a text's length times that of
// the longest token; known tokenizers have some hundreds of bytes (of spaces and dashes).
inline constexpr size_t kMaxTokens = size_t{1} << 22;
inline constexpr size_t kMaxTokenBytes = size_t{1} << 12;

// Whichever of the following fits the source. Errors: kBadInput naming the file and the entry.
Result<TokenizerSpec> read_tokenizer(const TokenizerSource& source);
// `config_json` may be "".
Result<TokenizerSpec> read_tokenizer_json(const std::string& json, const std::string& config_json);
Result<TokenizerSpec> read_tokenizer_gguf(const TokenizerSource::Gguf& source);
// tokenizer.model, tekken.json, *.tiktoken, vocab.json with merges.txt, vocab.txt.
Result<TokenizerSpec> read_tokenizer_files(const TokenizerSource& source);
// What sllm.tokenizer.steps of a GGUF file says: normalizer, pre-tokenizer, decoder and added
// tokens as in tokenizer.json, in place of what the file's other keys stand for.
Status read_tokenizer_steps(const std::string& json, TokenizerSpec& spec);
// Reads what tokenizer_config.json says of the tokens that begin and end a text.
Status read_tokenizer_config(const std::string& json, TokenizerSpec& spec);
// The pattern that finds `text` itself.
std::string regex_of_text(std::string_view text);
// The one text that a pattern finds; nullopt for patterns that find others too.
std::optional<std::string> text_of_regex(std::string_view regex);

// Texts that end an answer wherever they are special tokens (as llama.cpp treats them).
bool ends_answer(std::string_view token_text);

}  // namespace sllm
