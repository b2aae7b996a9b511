// A tokenizer made from texts: how they are cut into words, the vocabulary trained on these, and
// the description that tokenizer.json is written from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/events.h"
#include "base/file.h"
#include "text/tokenizer_spec.h"
#include "text/word_counter.h"

namespace sllm {

struct TokenizerTraining {
  ModelKind kind = ModelKind::kBpe;  // or kUnigram
  size_t vocab_size = 32000;
  // How text is cut into words: "gpt2", "llama3", "qwen2" or another name of tokenizer.ggml.pre.
  std::string pattern = "qwen2";
  std::optional<unicode::Form> form;  // what text is brought to first; nullopt: as `pattern` says
  std::vector<std::string> special = {"<|endoftext|>"};  // the first ids; the first one ends a text
  bool chatml = false;  // adds <|im_start|> and <|im_end|>, and the chat template that uses them
  uint64_t min_frequency = 2;  // BPE: of a pair that becomes a token
  // Unigram. What no piece covers becomes bytes, or, without them, the unknown token.
  bool byte_fallback = true;
  // Unigram: share of the text's characters that pieces cover; nullopt: 0.9995 where bytes can
  // stand for the rest (SentencePiece's default), else all.
  std::optional<double> coverage;
};

struct TrainedTokenizer {
  TokenizerSpec spec;
  std::string chat_template;  // "" unless asked for
  uint64_t text_bytes = 0;
  uint64_t different_words = 0;
  uint64_t tokens_of_text = 0;  // what the whole text becomes
};

class TokenizerTrainer {
 public:
  // Errors: kUsage for a pattern that is not known or not for this kind, special tokens that are
  // empty or stand twice, and a vocabulary that is too small for what it must hold.
  static Result<std::unique_ptr<TokenizerTrainer>> create(const TokenizerTraining& training,
                                                          ThreadPool& pool);
  // One text: valid UTF-8. Errors: as WordCounter::add().
  Status add(std::string_view text) { return counter_.add(text); }
  // Once, after the last text. The same for any number of threads and any order of the texts.
  // Errors: kBadInput when there was no text; kInterrupted.
  Result<TrainedTokenizer> train(const ProgressSink& progress = {});

 private:
  TokenizerTrainer(const TokenizerTraining& training, ThreadPool& pool, WordCounter counter)
      : training_(training), pool_(pool), counter_(std::move(counter)) {}
  Status train_bpe_model(const WordCounts& words, const ProgressSink& progress,
                         TrainedTokenizer& trained) const;
  Status train_unigram_model(const WordCounts& words, const ProgressSink& progress,
                             TrainedTokenizer& trained) const;

  TokenizerTraining training_;
  ThreadPool& pool_;
  WordCounter counter_;
  TokenizerSpec spec_;  // normalizer, pre-tokenizer and decoder
};

// tokenizer.json and tokenizer_config.json in a folder, which appears whole or not at all and
// replaces one that holds nothing else. Errors: those of AtomicDir.
Status write_trained_tokenizer(const fs::path& folder, const TrainedTokenizer& trained);
const FolderNames& tokenizer_folder_names();

// The names of patterns that help texts list; all of tokenizer.ggml.pre are known.
inline constexpr const char* kPatternExamples = "gpt2, llama3, qwen2";

}  // namespace sllm
