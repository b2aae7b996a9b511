// sllm distill: training rows from the answers of a teacher.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "cli/commands.h"
#include "cli/model_flags.h"
#include "data/distill.h"
#include "eval/answer_metrics.h"
#include "eval/answer_rules.h"
#include "hub/resolve.h"

namespace sllm::cli {
namespace {

struct Flags {
  fs::path prompts, out;
  ModelFlags model;
  ServerTeacherOptions server;
  std::string key_variable = "SLLM_API_KEY";
  int retries = 5;
  std::vector<std::string> rules;
  DistillOptions options;
};

// Bytes and the newest file's time: where they differ it is another model of the same name.
std::string version_of(const fs::path& model) {
  std::error_code error;
  std::vector<fs::path> files = {model};
  if (fs::is_directory(model, error))
    for (const auto& entry : fs::directory_iterator(model, error)) files.push_back(entry.path());
  uintmax_t bytes = 0;
  fs::file_time_type newest = fs::file_time_type::min();
  for (const fs::path& file : files) {
    if (!fs::is_regular_file(file, error)) continue;
    bytes += fs::file_size(file, error);
    newest = std::max(newest, fs::last_write_time(file, error));
  }
  return bytes == 0 ? "" : fmt::format("{} {}", bytes, newest.time_since_epoch().count());
}

Result<std::unique_ptr<Teacher>> open_teacher(Flags& flags) {
  if (!flags.server.server.url.empty()) {
    const std::string& url = flags.server.server.url;
    if (!url.starts_with("http://") && !url.starts_with("https://"))
      return usage_error("--server {}: expected http://HOST:PORT or https://HOST", url);
    if (const char* key = std::getenv(flags.key_variable.c_str())) flags.server.server.key = key;
    flags.server.server.attempts = flags.retries + 1;
    return server_teacher(flags.server);
  }
  EngineOptions engine;
  engine.max_sequences = flags.options.parallel;
  engine.queue_limit = std::max(engine.queue_limit, flags.options.parallel);
  SLLM_TRY(const auto opened, open_engine(flags.model, engine));
  SLLM_TRY(const fs::path path, resolve_model(flags.model.model));
  std::string name = flags.model.model, files = version_of(path);
  if (!flags.model.adapter.empty())
    name += "+" + flags.model.adapter, files += " " + version_of(flags.model.adapter);
  return engine_teacher(opened, fmt::format("{} ({})", name, flags.model.mode), std::move(files));
}

void print_text(const DistillSummary& s, const fs::path& out) {
  std::cout << fmt::format("{} prompts, {} answers ({} tokens)", s.prompts, s.answers, s.tokens);
  if (s.resumed > 0) std::cout << fmt::format("; {} prompts were answered before", s.resumed);
  std::cout << '\n';
  for (const auto& [reason, n] : s.rejected)
    std::cout << fmt::format("  rejected {:>6}  {}\n", n, reason);
  if (s.unanswered > 0)
    std::cout << fmt::format("  dropped  {:>6}  prompts without an accepted answer\n",
                             s.unanswered);
  if (s.near_duplicates > 0)
    std::cout << fmt::format("  dropped  {:>6}  near duplicates\n", s.near_duplicates);
  if (s.same_prompts > 0)
    std::cout << fmt::format("  dropped  {:>6}  prompts that were asked already\n", s.same_prompts);
  std::cout << fmt::format("{} rows in {}\n", s.rows, out.string());
}

Status run(Flags flags, const Globals& globals) {
  DistillOptions& o = flags.options;
  if (flags.model.model.empty() == flags.server.server.url.empty())
    return with_hint(usage_error("a distillation needs one teacher"),
                     "Name a model with -m, or a server with --server URL");
  SLLM_OK(validate(o));
  for (const std::string& name : flags.rules) {
    SLLM_TRY(AnswerRule rule, eval::find_answer_rule(name));
    o.rules.push_back(std::move(rule));
  }
  o.score = eval::token_f1;
  std::error_code error;
  if (fs::exists(flags.out, error) && !fs::exists(part_path(flags.out), error))
    return with_hint(usage_error("{}: is there already", flags.out.string()),
                     "Name another file, or remove it");
  if (globals.dry_run) {
    SLLM_TRY(const auto prompts, read_prompts(flags.prompts, o.system));
    size_t references = 0;
    for (const DistillPrompt& prompt : prompts) references += !prompt.reference.empty();
    const auto answers = static_cast<int64_t>(prompts.size()) * o.samples;
    if (globals.json)
      print_json("distill", {{"prompts", prompts.size()},
                             {"references", references},
                             {"answers", answers},
                             {"out", flags.out.string()}});
    else
      std::cout << fmt::format("would ask {} prompts ({} with a reference) for {} answers\n",
                               prompts.size(), references, answers);
    return ok();
  }
  SLLM_TRY(const auto prompts, read_prompts(flags.prompts, o.system));  // before a model is opened
  SLLM_TRY(const auto teacher, open_teacher(flags));
  SLLM_TRY(const DistillSummary summary,
           distill(flags.prompts, flags.out, *teacher, o, progress_sink(globals)));
  if (globals.json) {
    nlohmann::ordered_json document = {{"out", flags.out.string()}, {"teacher", teacher->name()}};
    document.update(summary.to_json());
    print_json("distill", document);
  } else {
    print_text(summary, flags.out);
  }
  return ok();
}

void add_teacher_flags(CLI::App& app, Flags& f) {
  add_model_flags(app, f.model);
  app.get_option("--model")
      ->required(false)  // a server will do
      ->description("Teacher: GGUF file, Hugging Face folder or name");
  app.add_option("--server", f.server.server.url,
                 "Teacher: a server that speaks the OpenAI API, by its URL");
  app.add_option("--server-model", f.server.model,
                 "Model to ask it for (default: the first that it names)");
  app.add_option("--key-env", f.key_variable, "Environment variable that holds the server's key")
      ->capture_default_str();
  app.add_option("--retries", f.retries,
                 "Times a request is sent again after 429, 5xx or a broken connection")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
}

}  // namespace

Action declare_distill(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  DistillOptions& o = flags->options;
  app.add_option("prompts", flags->prompts,
                 "Prompts: rows as `sllm data` reads them, with or without answers; .txt: a line "
                 "each")
      ->required();
  app.add_option("-o,--out", flags->out, "JSON Lines file to write")->required();
  add_teacher_flags(app, *flags);
  app.add_option("--system", o.system, "System message of prompts without one");
  app.add_flag("!--drop-system", o.keep_system,
               "Leave system messages out of the rows: the student learns to do without");
  app.add_option("--temp", o.temperature, "Temperature; 0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-p", o.top_p, "Only the likeliest tokens whose mass reaches p")
      ->capture_default_str();
  app.add_option("-n,--samples", o.samples, "Answers to each prompt")->capture_default_str();
  app.add_option("--max-tokens", o.max_tokens, "Tokens of an answer at most")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Other answers for another seed")->capture_default_str();
  app.add_option("--logprobs", o.top_logprobs,
                 "Keep the log-probabilities of so many alternatives to each token, for sllm tune "
                 "--teacher rows; 0: none")
      ->capture_default_str();
  app.add_option("--parallel", o.parallel, "Requests at a time")->capture_default_str();
  app.add_option("--accept", flags->rules,
                 "What an answer must be (may be given again): " + eval::answer_rules());
  app.add_flag("--keep-cut", o.keep_cut, "Also accept answers that --max-tokens cut");
  app.add_flag("--keep-all", o.keep_all,
               "A row for each accepted answer, not for the best of a prompt alone");
  app.add_option("--near", o.near_duplicate, "Similarity that makes two rows duplicates; 1: exact")
      ->capture_default_str();
  app.add_option("--rejected", o.rejected, "JSON Lines file for what was left out, and why");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
