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
};

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
};
struct DigitsStep {
  bool individual = false;
};
struct PrefixSpaceStep {};  // ByteLevel's add_prefix_space
using PreTokenizerStep = std::variant<SplitStep, DigitsStep, PrefixSpaceStep>;

struct TokenizerSpec {
  std::vector<std::string> tokens;  // by id, as in the vocabulary ("Ġthe"); "" where ids have holes
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  bool ignore_merges = false;  // a word that is itself a token is taken whole (Llama-3)
  std::string unknown;         // token for bytes that the vocabulary lacks; "": they are dropped
  bool fuse_unknown = false;
  std::vector<AddedToken> added;
  std::vector<unicode::Form> normalizers;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<TokenId> prefix, suffix;  // what add_special puts around the text
  TokenId bos = -1;
  std::vector<TokenId> eos;  // the main one first
};

// The patterns of the families that have hand-written scanners (text/word_scanner.h).
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Bounds on what a file may ask for.
inline constexpr size_t kMaxTokens = size_t{1} << 22;
inline constexpr size_t kMaxTokenBytes = size_t{1} << 16;

// Errors: kBadInput naming the entry. `config_json` may be "".
Result<TokenizerSpec> read_tokenizer_json(const std::string& json, const std::string& config_json);
Result<TokenizerSpec> read_tokenizer_gguf(const TokenizerSource::Gguf& source);

// Texts that end an answer wherever they are special tokens (as llama.cpp treats them).
bool ends_answer(std::string_view token_text);

}  // namespace sllm
