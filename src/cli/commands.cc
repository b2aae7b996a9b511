#include "cli/commands.h"

#include <vector>

namespace sllm::cli {

// One prototype and one row per command. Groups appear in --help in the order of their first row.

namespace {
const std::vector<Command> kCommands = {
    {"pull", "Build", "Fetch a model and check it", declare_pull},
    {"list", "Build", "Models known by name, and models on this machine", declare_list},
    {"import", "Build", "Convert between Hugging Face folders and GGUF files", declare_import},
    {"data", "Build", "Clean, de-duplicate and split examples", declare_data},
    {"tune", "Build", "Fine-tune a model with LoRA", declare_tune},
    {"runs", "Build", "List tuning runs, or show one", declare_runs},
    {"merge", "Build", "Merge a LoRA adapter into its base model", declare_merge},
    {"quantize", "Build", "Store a model in fewer bits", declare_quantize},
    {"index", "Deploy", "Make documents searchable", declare_index},
    {"search", "Deploy", "Find passages of indexed documents", declare_search},
    {"ask", "Deploy", "Answer a question from indexed documents, with sources", declare_ask},
    {"tokenize", "Look inside", "Turn text into token ids and back", declare_tokenize},
    {"template", "Look inside", "Render a chat template exactly", declare_template},
    {"show", "Look inside", "Say what a model file holds and what it needs", declare_show},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sllm::cli
