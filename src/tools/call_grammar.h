// The grammar that answers with calls keep to.
#pragma once

#include <memory>

#include "grammar/grammar.h"
#include "tools/call_syntax.h"

namespace sllm {

// With Choice::kAuto anything may be said until a call begins, and from there on it must be one,
// of a known function with arguments that fit its schema, and nothing but further calls may follow.
// With kRequired there is nothing but calls, and what is thought aloud before. A schema that
// Grammar::from_json_schema does not understand allows any object.
// Errors: kBadInput for such a schema of a function that is `strict`, and too large grammars.
Result<std::shared_ptr<const Grammar>> call_grammar(const CallSyntax& syntax);

}  // namespace sllm
