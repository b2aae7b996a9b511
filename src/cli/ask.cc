// sllm ask: a question answered from indexed documents, with its sources.
#include <iostream>

#include "cli/command.h"
#include "cli/model_flags.h"
#include "ground/answer.h"

namespace sllm::cli {
namespace {

void print_answer(const GroundedAnswer& answer) {
  std::cout << answer.text << "\n";
  for (const Citation& c : answer.citations)
    std::cout << fmt::format("\n[{}] {}{}{}\n{}\n", c.number, c.chunk.document,
                             c.chunk.heading.empty() ? "" : " > ", c.chunk.heading, c.chunk.text);
  if (!answer.warning.empty()) log(LogLevel::kWarning, answer.warning);
}

}  // namespace

Action declare_ask(CLI::App& app, const Globals& globals) {
  struct Options {
    ModelFlags model;
    std::string question;
    fs::path index;
    GroundOptions ground;
  };
  auto o = std::make_shared<Options>();
  app.add_option("question", o->question, "The question; \"-\": one a line from stdin")->required();
  add_model_flags(app, o->model);
  app.add_option("-i,--index", o->index, "Index file of `sllm index`")->required();
  app.add_option("-k,--passages", o->ground.passages, "Passages shown to the model")
      ->check(positive())
      ->capture_default_str();
  app.add_option("-n,--tokens", o->ground.max_tokens, "Longest answer")
      ->check(positive())
      ->capture_default_str();
  app.add_option("--min-coverage", o->ground.min_coverage,
                 "Weaker retrieval than this is answered \"I don't know\"");
  app.add_option("--min-support", o->ground.min_support,
                 "Answers that the passages support less are withheld");
  return [o, &globals]() -> Status {
    if (is_blank(o->question))
      return with_hint(usage_error("the question is empty"),
                       "Write it in quotes, or - to read questions from standard input");
    SLLM_TRY(const auto index, Index::open(o->index));
    EngineOptions extra;
    extra.max_sequences = 1;
    SLLM_TRY(const auto engine, open_engine(o->model, extra));
    const auto one = [&](const std::string& question) -> Status {
      SLLM_TRY(const GroundedAnswer answer, ask(*engine, *index, question, o->ground));
      if (globals.json) {
        nlohmann::ordered_json document = {{"question", question}};
        document.update(answer.to_json());
        print_json("ask", std::move(document));
      } else {
        print_answer(answer);
      }
      return ok();
    };
    if (o->question != "-") return one(o->question);
    for (std::string line; read_line(line);)
      if (!is_blank(line)) SLLM_OK(one(line));
    return check_stop();
  };
}

}  // namespace sllm::cli
