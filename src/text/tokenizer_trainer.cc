#include "text/tokenizer_trainer.h"

#include <algorithm>

#include "text/bpe_trainer.h"
#include "text/pre_tokenizer_families.h"
#include "text/template_family.h"
#include "text/tokenizer_writers.h"
#include "text/unigram_model.h"
#include "text/unigram_trainer.h"

namespace sllm {
namespace {

constexpr double kUsualCoverage = .9995;  // SentencePiece's character_coverage
constexpr const char* kUnknown = "<unk>";
constexpr const char* kSpaceSign = "\xE2\x96\x81";  // in a unigram vocabulary

Status check_special(const std::vector<std::string>& special) {
  if (special.empty()) return usage_error("no special token is given; one has to end a text");
  for (size_t i = 0; i < special.size(); ++i) {
    if (special[i].empty()) return usage_error("a special token is empty");
    if (special[i].size() > kMaxTokenBytes)
      return usage_error("a special token has {} bytes, at most {}", special[i].size(),
                         kMaxTokenBytes);
    if (!unicode::valid_utf8(special[i])) return usage_error("a special token is not UTF-8 text");
    if (std::count(special.begin(), special.end(), special[i]) > 1)
      return usage_error("the special token {} is given twice", special[i]);
  }
  return ok();
}

Result<PreTokenizerFamily> family_of(const std::string& pattern) {
  // The name that people know; tokenizer.ggml.pre has it with a hyphen.
  auto family = pre_tokenizer_family(pattern == "gpt2" ? "gpt-2" : pattern);
  if (family.ok() && !pattern.empty()) return family;
  return with_hint(usage_error("the pattern \"{}\" is not known", pattern),
                   fmt::format("Use {}, or another name that tokenizer.ggml.pre has in GGUF files",
                               kPatternExamples));
}

// How text is cut into words, and how tokens become text.
Status describe_steps(const TokenizerTraining& training, TokenizerSpec& spec) {
  SLLM_TRY(const PreTokenizerFamily family, family_of(training.pattern));
  const auto form = training.form.value_or(family.nfc ? unicode::Form::kNfc : unicode::Form::kNone);
  if (form != unicode::Form::kNone) spec.normalizers.push_back(FormStep{form});
  spec.pre_tokenizer = family.steps;
  if (training.kind == ModelKind::kBpe) {
    spec.byte_level = true;
    spec.decoders = {ByteLevelDecode{}};
    return ok();
  }
  const auto is_bytes = [](const PreTokenizerStep& s) {
    return std::holds_alternative<BytesStep>(s);
  };
  if (std::ranges::any_of(family.steps, is_bytes))
    return with_hint(usage_error("the pattern {} cuts bytes, not characters", training.pattern),
                     fmt::format("Use another, such as {}", kPatternExamples));
  // Words keep the space in front of them, and nothing is put before the first: every text comes
  // back as it was.
  spec.pre_tokenizer.push_back(MetaspaceStep{kSpaceSign, MetaspaceStep::Prepend::kNever, false});
  spec.decoders.push_back(ReplaceDecode{regex_of_text(kSpaceSign), " "});
  if (training.byte_fallback) spec.decoders.push_back(ByteFallbackDecode{});
  spec.decoders.push_back(FuseDecode{});
  spec.byte_fallback = training.byte_fallback;
  spec.unknown = kUnknown;
  spec.fuse_unknown = true;
  return ok();
}

}  // namespace

Result<std::unique_ptr<TokenizerTrainer>> TokenizerTrainer::create(
    const TokenizerTraining& training, ThreadPool& pool) {
  TokenizerTraining all = training;
  if (all.chatml)
    for (const char* token : {"<|im_start|>", "<|im_end|>"})
      if (std::ranges::find(all.special, token) == all.special.end()) all.special.push_back(token);
  SLLM_OK(check_special(all.special));
  if (all.vocab_size > kMaxTokens)
    return usage_error("a vocabulary of {} tokens; at most {}", all.vocab_size, kMaxTokens);
  if (all.kind == ModelKind::kUnigram &&
      std::ranges::find(all.special, kUnknown) == all.special.end())
    all.special.insert(all.special.begin(), kUnknown);
  TokenizerSpec spec;
  spec.kind = all.kind;
  SLLM_OK(describe_steps(all, spec));
  if (std::ranges::all_of(all.special, [](const std::string& t) { return t == kUnknown; }))
    return with_hint(usage_error("no special token ends a text"),
                     "Name one, as in --special '<|endoftext|>'");
  SLLM_TRY(WordCounter counter, WordCounter::build(spec.normalizers, spec.pre_tokenizer, pool));
  std::unique_ptr<TokenizerTrainer> trainer(new TokenizerTrainer(all, pool, std::move(counter)));
  trainer->spec_ = std::move(spec);
  return trainer;
}

Status TokenizerTrainer::train_bpe_model(const WordCounts& words, const ProgressSink& progress,
                                         TrainedTokenizer& trained) const {
  SLLM_TRY(TrainedBpe bpe, train_bpe(words,
                                     {.vocab_size = training_.vocab_size,
                                      .min_frequency = training_.min_frequency,
                                      .first_tokens = training_.special},
                                     progress));
  trained.spec.tokens = std::move(bpe.tokens);
  trained.spec.merges = std::move(bpe.merges);
  trained.tokens_of_text = bpe.words_as_tokens;
  return ok();
}

Status TokenizerTrainer::train_unigram_model(const WordCounts& words, const ProgressSink& progress,
                                             TrainedTokenizer& trained) const {
  SLLM_TRY(
      TrainedUnigram unigram,
      train_unigram(
          words,
          {.vocab_size = training_.vocab_size,
           .first_tokens = training_.special,
           .byte_fallback = training_.byte_fallback,
           .coverage = training_.coverage.value_or(training_.byte_fallback ? kUsualCoverage : 1)},
          pool_, progress));
  TokenizerSpec& spec = trained.spec;
  spec.tokens = std::move(unigram.tokens);
  spec.scores = std::move(unigram.scores);
  spec.matchable.assign(spec.tokens.size(), true);
  std::fill_n(spec.matchable.begin(), training_.special.size(), false);
  SLLM_TRY(const UnigramModel model, UnigramModel::build(spec));
  std::vector<TokenId> ids;
  for (const auto& [word, count] : words.sorted()) {
    ids.clear();
    model.encode(word, ids);
    trained.tokens_of_text += count * ids.size();
  }
  return ok();
}

Result<TrainedTokenizer> TokenizerTrainer::train(const ProgressSink& progress) {
  SLLM_TRY(const WordCounts words, counter_.finish());
  if (words.size() == 0) return bad_input("there is no text to train a vocabulary on");
  TrainedTokenizer trained;
  trained.spec = spec_;
  trained.text_bytes = counter_.text_bytes();
  trained.different_words = words.size();
  SLLM_OK(training_.kind == ModelKind::kBpe ? train_bpe_model(words, progress, trained)
                                            : train_unigram_model(words, progress, trained));
  TokenizerSpec& spec = trained.spec;
  for (const std::string& text : training_.special) {
    const auto id =
        static_cast<TokenId>(std::ranges::find(spec.tokens, text) - spec.tokens.begin());
    spec.added.push_back({.id = id, .text = text, .special = true});
  }
  const bool has_unknown = training_.kind == ModelKind::kUnigram;
  const auto ends = std::ranges::find_if(
      spec.added, [&](const AddedToken& t) { return !has_unknown || t.text != kUnknown; });
  if (has_unknown)
    spec.named.unknown = std::ranges::find(spec.added, kUnknown, &AddedToken::text)->id;
  spec.named.eos = spec.named.padding = ends->id;
  if (training_.chatml) trained.chat_template = canonical_template("ChatML");
  return trained;
}

const FolderNames& tokenizer_folder_names() {
  static const FolderNames names = {{"tokenizer.json", "tokenizer_config.json"}, {}};
  return names;
}

Status write_trained_tokenizer(const fs::path& folder, const TrainedTokenizer& trained) {
  constexpr int64_t kUnknownContext = 0;  // the model's that will use it
  SLLM_TRY(const TokenizerJson files,
           write_tokenizer_json(trained.spec, trained.chat_template, kUnknownContext));
  SLLM_TRY(AtomicDir dir, AtomicDir::create(folder, tokenizer_folder_names()));
  SLLM_OK(write_file_atomically(dir.path() / "tokenizer.json", files.tokenizer_json));
  SLLM_OK(write_file_atomically(dir.path() / "tokenizer_config.json", files.config_json));
  return dir.commit();
}

}  // namespace sllm
