#include "cli/commands.h"

#include <vector>

namespace sllm::cli {

// One prototype and one row per command. Groups appear in --help in the order of their first row.

namespace {
const std::vector<Command> kCommands = {
    // {"tune", "Build", "Fine-tune a model with LoRA", declare_tune},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sllm::cli
