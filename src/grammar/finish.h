// What is found out about a grammar as a whole, before it runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/program.h"

namespace sllm {

// Nodes and the rules' starts must be set. Takes jumps out, and ways that lead to no end; fills in
// the rest. Errors as GrammarBuilder::finish(), with the rules' names ("": part of others).
Result<GrammarProgram> finish_grammar(GrammarProgram program,
                                      const std::vector<std::string>& names);

}  // namespace sllm
