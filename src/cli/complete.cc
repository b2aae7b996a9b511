// sllm complete: continues a text, or many lists of tokens at once.
#include <future>
#include <iostream>

#include "cli/commands.h"
#include "cli/model_flags.h"
#include "cli/token_lists.h"
#include "grammar/grammar.h"
#include "io/json.h"

namespace sllm::cli {
namespace {

constexpr uint64_t kMaxGrammarFile = 1 << 20;

struct Flags {
  ModelFlags model;
  SamplingOptions sampling;
  std::string prompt, ids, ids_file, grammar, schema;
  int64_t count = 128, batch = 8, chunk = 512;
  EngineOptions guessing;  // --lookup, --draft
  std::vector<std::string> stop;
  bool ignore_eos = false;
};

nlohmann::ordered_json to_json(const GenerateResult& r) {
  return {{"text", r.text},
          {"token_ids", r.tokens},
          {"finish_reason", name(r.reason)},
          {"seconds_to_first", r.seconds_to_first},
          {"seconds", r.seconds}};
}

// What the answer must keep to; null: nothing.
Result<std::shared_ptr<const Grammar>> read_grammar(const Flags& flags) {
  if (flags.grammar.empty() && flags.schema.empty()) return std::shared_ptr<const Grammar>();
  const fs::path path = flags.grammar.empty() ? flags.schema : flags.grammar;
  SLLM_TRY(const std::string text, read_file(path, kMaxGrammarFile));
  if (!flags.grammar.empty()) return Grammar::from_gbnf(text).context(path.string());
  SLLM_TRY([[maybe_unused]] const auto checked, parse_json(text, path.string()));
  // Read again with its order, in which properties are written.
  return Grammar::from_json_schema(nlohmann::ordered_json::parse(text)).context(path.string());
}

// All lists at once, as many together as --batch says; the answers in the order of the lists.
Status complete_lists(Engine& engine, const Flags& flags, const GenerateRequest& like,
                      const std::vector<std::vector<TokenId>>& lists) {
  std::vector<std::future<Result<GenerateResult>>> answers;
  for (const auto& ids : lists) {
    GenerateRequest request = like;
    request.prompt = ids;
    answers.push_back(
        std::async(std::launch::async, [&engine, request] { return engine.generate(request); }));
  }
  auto results = nlohmann::ordered_json::array();
  for (auto& answer : answers) {
    SLLM_TRY(const GenerateResult result, answer.get());
    results.push_back(to_json(result));
  }
  print_json("complete", {{"model", flags.model.model}, {"results", results}});
  return ok();
}

Status run(const Flags& flags, const Globals& globals) {
  std::vector<std::vector<TokenId>> lists;
  if (!flags.ids_file.empty()) {
    SLLM_TRY(lists, read_ids_file(flags.ids_file));
  }
  EngineOptions options = flags.guessing;
  options.max_sequences = flags.batch;
  options.prefill_chunk = flags.chunk;
  options.queue_limit = std::max<int64_t>(options.queue_limit, static_cast<int64_t>(lists.size()));
  SLLM_TRY(const auto engine, open_engine(flags.model, options));

  GenerateRequest request;
  request.sampling = flags.sampling;
  request.max_tokens = flags.count;
  request.stop = flags.stop;
  request.ignore_eos = flags.ignore_eos;
  SLLM_TRY(request.grammar, read_grammar(flags));
  if (!flags.ids_file.empty()) return complete_lists(*engine, flags, request, lists);

  if (!flags.ids.empty()) {
    SLLM_TRY(request.prompt, parse_ids(flags.ids));
  } else {
    const std::string text = flags.prompt == "-" ? read_input() : flags.prompt;
    SLLM_OK(check_stop());
    request.prompt = engine->tokenizer()->encode(text, {.add_special = true});
    if (request.prompt.empty() && engine->tokenizer()->bos_id() >= 0)
      request.prompt = {engine->tokenizer()->bos_id()};
  }
  const auto prompt_tokens = request.prompt.size();
  const auto show = [&](std::string_view text) {
    if (!globals.json) std::cout << text << std::flush;
  };
  SLLM_TRY(const GenerateResult result, stream(*engine, std::move(request), show));
  if (globals.json) {
    nlohmann::ordered_json document = {
        {"model", flags.model.model}, {"mode", flags.model.mode}, {"prompt_tokens", prompt_tokens}};
    document.update(to_json(result));
    const EngineStats stats = engine->stats();
    document["lookup"] = {{"guessed", stats.guessed_tokens}, {"accepted", stats.accepted_tokens}};
    document["draft"] = {{"guessed", stats.drafted_tokens}, {"accepted", stats.accepted_drafts}};
    print_json("complete", document);
  } else {
    std::cout << std::endl;
  }
  return check_stop();
}

}  // namespace

Action declare_complete(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  add_model_flags(app, flags->model);
  add_sampling_flags(app, flags->sampling);
  auto* prompt = app.add_option_group("prompt", "What to continue (one of these)");
  prompt->add_option("-p,--prompt", flags->prompt, "Text; - reads standard input");
  prompt->add_option("--ids", flags->ids, "Token ids: 1,2,3");
  prompt->add_option("--ids-file", flags->ids_file, "Many prompts: a JSON array of id arrays");
  prompt->require_option(1);
  app.add_option("-n,--count", flags->count, "Most tokens to generate")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--stop", flags->stop, "Text that ends the answer (may be given again)");
  app.add_flag("--ignore-eos", flags->ignore_eos, "Go on after the end-of-text token");
  app.add_option("--batch", flags->batch, "Prompts answered together")->check(CLI::Range(1, 4096));
  app.add_option("--chunk", flags->chunk, "Prompt tokens per step")->check(CLI::Range(1, 65536));
  auto* grammar =
      app.add_option("--grammar", flags->grammar, "File with a GBNF grammar to keep to");
  app.add_option("--json-schema", flags->schema, "File with a JSON schema to keep to")
      ->excludes(grammar);
  add_guessing_flags(app, flags->guessing);
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
