// sllm tune: fine-tune a model with LoRA, DoRA, or all its weights; on examples, on preferences or
// from a teacher; or look for the settings to do it with.
#include "train/tune.h"

#include <ctime>
#include <iostream>
#include <limits>

#include "cli/commands.h"
#include "cli/tune_result.h"
#include "cli/tune_search.h"
#include "hub/resolve.h"
#include "infer/memory.h"
#include "io/model_source.h"
#include "project/plan.h"
#include "ranks/mpi.h"
#include "train/estimate.h"
#include "train/fit.h"

namespace sllm::cli {
namespace {

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::localtime(&now));
  return text;
}

void declare_options(CLI::App& app, TuneOptions& o, std::string& mode) {
  app.add_option("-m,--model", o.model, "Base model: GGUF file, Hugging Face folder or name");
  app.add_option("--data", o.data,
                 "Training rows: JSONL and the other formats of `sllm data`, or preferences");
  app.add_option("--eval", o.eval, "Held-out rows for the evaluation loss");
  app.add_option("--eval-fraction", o.eval_fraction, "Without --eval: share of the data held out");
  app.add_option("-o,--out", o.run, "The run's folder (default runs/<date>-<model>)");
  app.add_option("--init-adapter", o.init_adapter,
                 "LoRA adapter to start from: a PEFT or mlx-lm folder, or a GGUF LoRA");
  app.add_option("--objective", o.objective,
                 "sft; of preferences dpo, ipo, simpo, orpo (pairs) or kto (labels)");
  app.add_option("--beta", o.beta, "dpo, ipo, kto: hold to the base; simpo: scale; orpo: share");
  app.add_option("--gamma", o.gamma, "simpo: by how much the chosen answer is to win");
  app.add_option("--label-smoothing", o.label_smoothing,
                 "dpo, simpo: share of the pairs taken to be the wrong way round");
  app.add_option("--desirable-weight", o.desirable_weight, "kto: weight of wanted answers");
  app.add_option("--undesirable-weight", o.undesirable_weight, "kto: weight of unwanted answers");
  app.add_option("--teacher", o.teacher,
                 "Model whose probabilities are learned from; rows: those that sllm distill "
                 "--logprobs kept");
  app.add_flag("--align-tokens", o.align_tokens,
               "The teacher may have other tokens: they are spelled in the student's where both "
               "begin at the same byte");
  app.add_option("--divergence", o.divergence, "From the teacher: forward, reverse or jsd");
  app.add_option("--top-k", o.top_k, "Tokens kept of each of the teacher's rows; 0: all");
  app.add_option("--temperature", o.temperature, "Of the teacher and of what it is compared with");
  app.add_option("--mixture", o.mixture, "jsd: the teacher's weight");
  app.add_option("--teacher-share", o.teacher_share,
                 "Of the divergence in the loss; the rest is the labels' cross-entropy");
  app.add_option("--on-policy", o.on_policy,
                 "Share of the steps in which the student's own answers are judged, not the rows'");
  app.add_option("--answer-tokens", o.answer_tokens, "Of the student's own answers at most");
  app.add_flag_callback(
      "--full", [&o] { o.method = "full"; },
      "Train all weights: 16 bytes of memory for each, and a whole model as the result");
  app.add_option("--optimizer", o.optimizer,
                 "adamw, or adamw8bit: its two moments take 2 bytes of memory instead of 8");
  app.add_option("--targets", o.targets, "Linears to adapt: q_proj,v_proj,... or all");
  app.add_option("--rank", o.rank, "Rank of the low-rank updates");
  app.add_option("--alpha", o.alpha, "The update is scaled by alpha / rank");
  app.add_flag("--rslora", o.rslora, "Scale by alpha / sqrt(rank)");
  app.add_flag("--dora", o.dora, "DoRA: learn the length of each row apart from its direction");
  app.add_option("--lora-plus", o.lora_plus, "LoRA+: B's learning rate is so many times A's");
  app.add_option("--lr", o.lr, "Peak learning rate")
      ->default_str(fmt::format("{:g}; {:g} with --full", o.lr, kFullLr));
  app.add_option("--schedule", o.schedule, "cosine, linear or constant");
  app.add_option("--warmup", o.warmup, "Below 1: share of the steps; else steps");
  app.add_option("--weight-decay", o.weight_decay, "AdamW's weight decay");
  app.add_option("--clip", o.clip, "Largest gradient norm; 0: off");
  app.add_option("--epochs", o.epochs, "Passes over the data");
  app.add_option("--steps", o.steps, "Optimiser steps, instead of --epochs");
  app.add_option("--batch", o.batch, "Samples per step, times --accumulate");
  app.add_option("--accumulate", o.accumulate, "Factor of --batch");
  app.add_option("--batch-tokens", o.batch_tokens, "Tokens per step, instead of --batch");
  app.add_option(
      "--shards", o.shards,
      "Parts of a step that are computed apart, so that as many ranks may share it; 0: one a "
      "rank");
  app.add_option("--micro-tokens", o.micro_tokens, "Tokens per forward: less needs less memory");
  app.add_option("--max-length", o.max_length, "Tokens of a sample at most");
  app.add_flag("!--no-shuffle", o.shuffle, "Take the samples in the file's order");
  app.add_option("--seed", o.seed, "Of the first weights and the order");
  app.add_option("--mode", mode,
                 "bf16, exact or fast (int8 going forward where the base is quantised)")
      ->default_str("bf16");
  app.add_option("--eval-every", o.eval_every, "Steps between evaluations (0: every epoch)");
  app.add_option("--patience", o.patience, "Stop after so many evaluations without a better one");
  app.add_option("--answers", o.answers,
                 "Held-out prompts that are answered at each evaluation, for you to read; 0: none");
  app.add_option("--save-every", o.save_every, "Steps between checkpoints");
  app.add_option("--save-minutes", o.save_minutes, "Minutes between checkpoints at most");
  app.add_option("--keep", o.keep, "Newest checkpoints kept, besides the best");
  app.add_option("--threads", o.threads, "0: all usable cores");
  app.add_flag("--resume", o.resume, "Go on from the newest valid checkpoint");
}

// The file's settings, and over them the flags that were given. The folder in which the file's run
// lies is not the folder of this one.
Status read_config(const std::string& file, CLI::App& app, TuneOptions& options,
                   std::string& mode) {
  const auto text = read_file(file, 1 << 20);
  if (!text.ok()) return usage_error("--config {}", text.error().message);
  const bool full = options.method == "full";  // by a flag
  SLLM_TRY(options, tune_options_from_toml(*text, file));
  if (full && options.method != "full") options.lr = kFullLr;
  options.run.clear();
  mode = name(options.mode);
  for (CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->count() > 0; }))
    option->run_callback();
  return ok();
}

// Bytes that are free where the folder will lie, or the nearest one above it that is there.
int64_t free_disk(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder, error);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, error);
  return error ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(space.available);
}

Status print_estimate(const TuneOptions& options, const Globals& globals) {
  SLLM_TRY(const TuneEstimate e, estimate_tune(options));
  const Room room{available_memory(), free_disk(options.run)};
  const auto advice = fit_advice(e, room);
  if (globals.json) {
    nlohmann::ordered_json smaller = nlohmann::ordered_json::array();
    for (const SmallerRun& run : e.smaller)
      smaller.push_back(
          {{"change", run.change}, {"memory_mb", static_cast<double>(run.memory) / 1e6}});
    print_json("tune", {{"tokens", e.tokens},
                        {"steps", e.steps},
                        {"seconds", e.seconds},
                        {"memory_mb", static_cast<double>(e.memory) / 1e6},
                        {"disk_mb", static_cast<double>(e.disk) / 1e6},
                        {"free_memory_mb", static_cast<double>(room.memory) / 1e6},
                        {"free_disk_mb", static_cast<double>(room.disk) / 1e6},
                        {"fits", advice.empty()},
                        {"smaller", smaller},
                        {"advice", advice}});
    return ok();
  }
  std::cout << fmt::format("{} steps over {} tokens: {}, {:.1f} GB of memory, {:.2f} GB of disk\n",
                           e.steps, e.tokens, project::human_time(e.seconds),
                           static_cast<double>(e.memory) / 1e9, static_cast<double>(e.disk) / 1e9);
  for (const std::string& sentence : advice) std::cout << sentence << '\n';
  return ok();
}

// One of several processes; the first one speaks for all of them.
Status tune_together(TuneOptions options, const SearchFlags& search, const Globals& globals) {
  if (search.search || globals.dry_run)
    return with_hint(usage_error("{} is the work of one process, and {} were started",
                                 search.search ? "--search" : "--dry-run", launched_ranks()),
                     "Run it without mpirun");
  if (options.threads == 0) options.threads = cores_of_a_rank();
  SLLM_TRY(const auto ranks, join_ranks());
  SLLM_TRY(const TuneResult result,
           tune(options, ranks->first() ? progress_sink(globals) : ProgressSink(), *ranks));
  if (ranks->first()) print_tune_result(result, "tune", globals);
  return ok();
}

Status run(TuneOptions options, const std::string& mode, const SearchFlags& search,
           const Globals& globals) {
  SLLM_TRY(options.mode, numerics_from_name(mode));
  if (options.run.empty() && !options.model.empty())
    options.run = fs::path("runs") /
                  (today() + "-" + model_name(options.model) + (search.search ? "-search" : ""));
  if (!options.model.empty()) {
    SLLM_TRY(options.model, resolve_model(options.model.string()));
  }
  if (!options.teacher.empty() && options.teacher != kRowsTeacher) {
    SLLM_TRY(options.teacher, resolve_model(options.teacher.string()));
  }
  if (launched_ranks() > 1) return tune_together(options, search, globals);
  if (search.search) return run_search(options, search, globals);
  if (globals.dry_run) {
    return print_estimate(options, globals);
  }
  SLLM_TRY(const TuneResult result, tune(options, progress_sink(globals)));
  print_tune_result(result, "tune", globals);
  return ok();
}

}  // namespace

Action declare_tune(CLI::App& app, const Globals& globals) {
  const auto options = std::make_shared<TuneOptions>();
  const auto mode = std::make_shared<std::string>("bf16");
  const auto search = std::make_shared<SearchFlags>();
  const auto config = std::make_shared<std::string>();
  app.add_option("--config", *config,
                 "Settings from a file: a run's config.toml, or the best.toml of a search; flags "
                 "win");
  declare_options(app, *options, *mode);
  add_search_flags(app, *search);
  return [=, &app, &globals]() -> Status {
    if (!config->empty())
      SLLM_OK(read_config(*config, app, *options, *mode));
    else if (options->method == "full" && app.count("--lr") == 0)
      options->lr = kFullLr;
    return run(*options, *mode, *search, globals);
  };
}

}  // namespace sllm::cli
