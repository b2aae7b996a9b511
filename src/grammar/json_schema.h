// JSON schemas as parts of larger grammars; what of them is understood is told at
// Grammar::from_json_schema.
#pragma once

#include "grammar/builder.h"
#include "grammar/json_text.h"
#include "grammar/schema_part.h"

namespace sllm {

// The JSON texts that `part` of `document` allows; its references are looked up in the document.
// Throws ResultError (kBadInput), and then the builder cannot be finished any more.
GrammarBuilder::Fragment schema_text(const nlohmann::ordered_json& document, const SchemaPart& part,
                                     GrammarBuilder& builder, JsonText& json);

}  // namespace sllm
