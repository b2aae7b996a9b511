// sllm embed: texts to vectors, as the model's own pooling makes them.
#include <iostream>
#include <sstream>

#include "cli/commands.h"
#include "cli/model_flags.h"

namespace sllm::cli {
namespace {

// A line of standard input at a time, so that a pipe sees each vector when it is made.
Status run(const ModelFlags& flags) {
  if (!flags.adapter.empty())
    return with_hint(usage_error("embeddings come from the base model, not from an adapter"),
                     "Leave out --adapter, or merge it first: sllm merge");
  SLLM_TRY(const auto engine, open_engine(flags));
  std::istringstream input(read_input());
  std::string line;
  for (int64_t number = 1; std::getline(input, line); ++number) {
    SLLM_OK(check_stop());
    const auto where = fmt::format("line {}", number);
    const auto ids = engine->tokenizer()->encode(line, {.add_special = true});
    SLLM_TRY(const auto vector, engine->embed(ids).context(where));
    std::cout << nlohmann::json(vector).dump() << std::endl;
  }
  return ok();
}

}  // namespace

Action declare_embed(CLI::App& app, const Globals&) {
  auto flags = std::make_shared<ModelFlags>();
  add_model_flags(app, *flags, "exact");
  app.footer(
      "Reads texts from standard input, one a line, and prints a JSON array of numbers for each.\n"
      "  sllm embed -m FOLDER < texts.txt > vectors.jsonl");
  return [flags] { return run(*flags); };
}

}  // namespace sllm::cli
