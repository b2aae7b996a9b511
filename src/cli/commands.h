// The registry of commands: one row each, in the order of the four steps.
#pragma once

#include <span>

#include "cli/command.h"

namespace sllm::cli {

std::span<const Command> commands();

Action declare_pull(CLI::App& app, const Globals& globals);
Action declare_list(CLI::App& app, const Globals& globals);
Action declare_rm(CLI::App& app, const Globals& globals);
Action declare_data(CLI::App& app, const Globals& globals);
Action declare_index(CLI::App& app, const Globals& globals);
Action declare_search(CLI::App& app, const Globals& globals);
Action declare_augment(CLI::App& app, const Globals& globals);
Action declare_ask(CLI::App& app, const Globals& globals);

Action declare_import(CLI::App& app, const Globals& globals);
Action declare_merge(CLI::App& app, const Globals& globals);
Action declare_imatrix(CLI::App& app, const Globals& globals);
Action declare_quantize(CLI::App& app, const Globals& globals);
Action declare_template(CLI::App& app, const Globals& globals);
Action declare_tokenize(CLI::App& app, const Globals& globals);
Action declare_show(CLI::App& app, const Globals& globals);

Action declare_new(CLI::App& app, const Globals& globals);
Action declare_doctor(CLI::App& app, const Globals& globals);
Action declare_run(CLI::App& app, const Globals& globals);

Action declare_eval(CLI::App& app, const Globals& globals);
Action declare_compare(CLI::App& app, const Globals& globals);
Action declare_check(CLI::App& app, const Globals& globals);

Action declare_distill(CLI::App& app, const Globals& globals);
Action declare_tune(CLI::App& app, const Globals& globals);
Action declare_runs(CLI::App& app, const Globals& globals);

Action declare_bench(CLI::App& app, const Globals& globals);
Action declare_chat(CLI::App& app, const Globals& globals);
Action declare_complete(CLI::App& app, const Globals& globals);
Action declare_embed(CLI::App& app, const Globals& globals);
Action declare_logits(CLI::App& app, const Globals& globals);

Action declare_serve(CLI::App& app, const Globals& globals);

}  // namespace sllm::cli
