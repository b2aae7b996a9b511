// sllm tokenizer train: a vocabulary of one's own, from texts to tokenizer.json.
#include "text/tokenizer_trainer.h"

#include <iostream>

#include "cli/commands.h"
#include "data/corpus.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::vector<fs::path> inputs;
  fs::path out;
  std::string kind = "bpe", normalize;
  TokenizerTraining training;
  CorpusOptions corpus;
  double coverage = 0;  // 0: the usual
  bool no_byte_fallback = false;
  int threads = 0;
};

Result<ModelKind> kind_from_name(const std::string& name) {
  if (name == "bpe") return ModelKind::kBpe;
  if (name == "unigram") return ModelKind::kUnigram;
  return usage_error("--kind {}: expected bpe or unigram", name);
}

Result<std::optional<unicode::Form>> form_from_name(const std::string& name) {
  using unicode::Form;
  if (name.empty()) return std::optional<Form>();
  if (name == "none") return std::optional(Form::kNone);
  if (name == "nfc") return std::optional(Form::kNfc);
  if (name == "nfkc") return std::optional(Form::kNfkc);
  return usage_error("--normalize {}: expected none, nfc or nfkc", name);
}

double bytes_per_token(const TrainedTokenizer& t) {
  return static_cast<double>(t.text_bytes) /
         static_cast<double>(std::max<uint64_t>(t.tokens_of_text, 1));
}

void print_result(const Flags& flags, const TrainedTokenizer& t) {
  const size_t tokens = t.spec.tokens.size();
  std::cout << fmt::format("{} tokens from {:.1f} MB of text with {} different words\n", tokens,
                           static_cast<double>(t.text_bytes) / 1e6, t.different_words);
  if (tokens < flags.training.vocab_size)
    std::cout << fmt::format("--vocab asked for {}, but the text has no more to give\n",
                             flags.training.vocab_size);
  std::cout << fmt::format("A token stands for {:.2f} bytes of that text\n{}\n", bytes_per_token(t),
                           flags.out.string());
}

nlohmann::ordered_json to_json(const Flags& flags, const TrainedTokenizer& t) {
  return {{"out", flags.out.string()},         {"kind", flags.kind},
          {"tokens", t.spec.tokens.size()},    {"merges", t.spec.merges.size()},
          {"text_bytes", t.text_bytes},        {"different_words", t.different_words},
          {"tokens_of_text", t.tokens_of_text}};
}

Status print_plan(const Flags& flags, const std::vector<fs::path>& files, const Globals& globals) {
  uint64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code missing;
    const uintmax_t size = fs::file_size(file, missing);
    if (missing) return bad_input("{}: no such file", file.string());
    bytes += size;
  }
  if (globals.json)
    print_json("tokenizer", {{"out", flags.out.string()},
                             {"files", files.size()},
                             {"bytes", bytes},
                             {"vocab", flags.training.vocab_size}});
  else
    std::cout << fmt::format("would train {} tokens on {} files ({:.1f} MB) into {}\n",
                             flags.training.vocab_size, files.size(),
                             static_cast<double>(bytes) / 1e6, flags.out.string());
  return ok();
}

Status train(Flags flags, const Globals& globals) {
  SLLM_TRY(flags.training.kind, kind_from_name(flags.kind));
  flags.training.byte_fallback = !flags.no_byte_fallback;
  if (flags.coverage > 0) flags.training.coverage = flags.coverage;
  SLLM_TRY(flags.training.form, form_from_name(flags.normalize));
  ThreadPool pool(flags.threads);
  SLLM_TRY(const auto trainer, TokenizerTrainer::create(flags.training, pool));
  SLLM_TRY(const std::vector<fs::path> files, data_files(flags.inputs));
  SLLM_OK(check_replaceable(flags.out, tokenizer_folder_names(), files));
  if (globals.dry_run) return print_plan(flags, files, globals);
  const ProgressSink progress = progress_sink(globals);
  SLLM_OK(each_text(
      files, flags.corpus, [&](std::string_view text) { return trainer->add(text); }, progress));
  SLLM_TRY(const TrainedTokenizer trained, trainer->train(progress));
  SLLM_OK(write_trained_tokenizer(flags.out, trained));
  if (globals.json)
    print_json("tokenizer", to_json(flags, trained));
  else
    print_result(flags, trained);
  return ok();
}

void declare_train(CLI::App& app, Flags& f) {
  TokenizerTraining& t = f.training;
  app.add_option("inputs", f.inputs, "Files or folders: .txt .md .html .jsonl .json .csv .tsv")
      ->required();
  app.add_option("-o,--out", f.out, "Folder for tokenizer.json and tokenizer_config.json")
      ->required();
  app.add_option("--vocab", t.vocab_size, "Tokens in all, special ones too")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--kind", f.kind,
                 "bpe (pairs of bytes are merged) or unigram (the likeliest pieces are kept)")
      ->capture_default_str();
  app.add_option("--pattern", t.pattern,
                 fmt::format("How text is cut into words: {}, or another name of "
                             "tokenizer.ggml.pre",
                             kPatternExamples))
      ->capture_default_str();
  app.add_option("--normalize", f.normalize,
                 "none, nfc or nfkc; as the pattern's own models do when left out (qwen2: nfc)");
  app.add_option("--min-frequency", t.min_frequency,
                 "bpe: pairs that occur less often are not merged")
      ->capture_default_str();
  app.add_option(
         "--coverage", f.coverage,
         "unigram: share of the text's characters that pieces cover; the rest becomes bytes "
         "(default 0.9995, without bytes 1)")
      ->check(CLI::Range(0.5, 1.0));
  app.add_flag("--no-byte-fallback", f.no_byte_fallback,
               "unigram: unknown characters become <unk>, not their bytes");
  app.add_option("--special", t.special,
                 "Special tokens, which get the first ids; the first one ends a text")
      ->capture_default_str();
  app.add_flag("--chatml", t.chatml, "Add <|im_start|> and <|im_end|>, and ChatML's template");
  app.add_flag("--by-line", f.corpus.by_line,
               "Take the lines of documents as texts of their own, as tokenizers' train(files)");
  app.add_option("--skip-bad", f.corpus.read.skip_bad, "Malformed rows to leave out of a file");
  app.add_option("--threads", f.threads, "0: all usable cores")->check(not_negative());
  app.footer(
      "  sllm tokenizer train texts/ -o tok --vocab 16000 --chatml\n"
      "  echo -n 'Hello' | sllm tokenize -m tok");
}

}  // namespace

Action declare_tokenizer(CLI::App& app, const Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  app.require_subcommand(0, 1);  // what is missing is said below
  CLI::App* command = app.add_subcommand("train", "Train a vocabulary on texts")->fallthrough();
  declare_train(*command, *flags);
  return [flags, command, &globals]() -> Status {
    if (!command->parsed())
      return with_hint(usage_error("what to do with a tokenizer is not said; expected train"),
                       "Try: sllm tokenizer train --help");
    return train(*flags, globals);
  };
}

}  // namespace sllm::cli
