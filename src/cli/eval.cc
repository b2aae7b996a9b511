// sllm eval: perplexity, divergence, lm-evaluation-harness tasks, held-out answers.
#include <iostream>

#include "cli/commands.h"
#include "cli/evaluation.h"

namespace sllm::cli {

Action declare_eval(CLI::App& app, const Globals& globals) {
  const auto model = std::make_shared<ModelFlags>();
  const auto flags = std::make_shared<EvaluationFlags>();
  add_model_flags(app, *model, "exact");
  add_evaluation_flags(app, *flags);
  return [=, &globals]() -> Status {
    SLLM_TRY(const nlohmann::ordered_json figures, evaluate(*model, *flags, globals));
    if (globals.json) {
      print_json("eval", figures);
      return ok();
    }
    for (const auto& [name, value] : figure_rows(figures))
      std::cout << fmt::format("{:<44} {}\n", name, value);
    return ok();
  };
}

}  // namespace sllm::cli
