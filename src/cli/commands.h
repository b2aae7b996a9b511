// The registry of commands: one row each, in the order of the four steps.
#pragma once

#include <span>

#include "cli/command.h"

namespace sllm::cli {

std::span<const Command> commands();

}  // namespace sllm::cli
