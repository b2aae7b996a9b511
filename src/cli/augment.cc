// sllm augment: training pairs from a hand-written grammar.
#include <iostream>

#include "cli/commands.h"
#include "data/augment.h"

namespace sllm::cli {

Action declare_augment(CLI::App& app, const Globals& globals) {
  struct Flags {
    std::string grammar, out;
    AugmentOptions options;
  };
  auto flags = std::make_shared<Flags>();
  app.add_option("grammar", flags->grammar, "Grammar file (TOML)")->required();
  app.add_option("-o,--out", flags->out, "JSON Lines file to write; standard output without it");
  app.add_option("-n,--count", flags->options.count, "Pairs to make")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--seed", flags->options.seed, "Other pairs for another seed")
      ->capture_default_str();
  return [flags, &globals]() -> Status {
    if (globals.json && flags->out.empty())
      return with_hint(usage_error("--json needs --out"),
                       "Without it the pairs are printed as JSONL");
    SLLM_TRY(const auto grammar, PairGrammar::read(flags->grammar));
    SLLM_TRY(const auto pairs, grammar.expand(flags->options));
    if (flags->out.empty()) {
      std::cout << to_jsonl(pairs);
      return ok();
    }
    if (!globals.dry_run) SLLM_OK(write_file_atomically(flags->out, to_jsonl(pairs)));
    std::map<std::string, int64_t> languages;
    for (const auto& p : pairs) ++languages[p.language];
    if (globals.json)
      print_json("augment",
                 {{"pairs", pairs.size()}, {"languages", languages}, {"out", flags->out}});
    else
      for (const auto& [language, n] : languages) std::cout << language << ": " << n << " pairs\n";
    return ok();
  };
}

}  // namespace sllm::cli
