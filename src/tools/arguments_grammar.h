// The arguments of one function as they may be written.
#pragma once

#include "grammar/builder.h"
#include "grammar/json_text.h"
#include "tools/call_form.h"
#include "tools/tool.h"

namespace sllm {

// `schema`: of an object, which Grammar::from_json_schema understands. Texts of Gemma's and XML's
// forms are not looked into: a text is any, and in Gemma's form so are lists and objects.
GrammarBuilder::Fragment arguments_text(ArgumentsForm form, const nlohmann::ordered_json& schema,
                                        GrammarBuilder& builder, JsonText& json);

}  // namespace sllm
