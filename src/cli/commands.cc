#include "cli/commands.h"

#include <vector>

namespace sllm::cli {

// One prototype and one row per command. Groups appear in --help in the order of their first row.

namespace {
const std::vector<Command> kCommands = {
    {"import", "Build", "Convert between Hugging Face folders and GGUF files", declare_import},
    {"tune", "Build", "Fine-tune a model with LoRA", declare_tune},
    {"runs", "Build", "List tuning runs, or show one", declare_runs},
    {"merge", "Build", "Merge a LoRA adapter into its base model", declare_merge},
    {"quantize", "Build", "Store a model in fewer bits", declare_quantize},
    {"tokenize", "Look inside", "Turn text into token ids and back", declare_tokenize},
    {"template", "Look inside", "Render a chat template exactly", declare_template},
    {"show", "Look inside", "Say what a model file holds and what it needs", declare_show},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sllm::cli
