// How models write calls of functions: one row for each form.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"

namespace sllm {

// How a call's arguments are written; all are read as one JSON object.
enum class ArgumentsForm {
  kJson,    // {"city": "Seoul"}
  kXml,     // <parameter=city>\nSeoul\n</parameter>\n ... </function>
  kPython,  // (city="Seoul")
  kGemma    // {city:<|"|>Seoul<|"|>}
};

// An answer's calls are: before call after, again and again with `separator` between; or, where
// `between` is set, one list: before call between call ... after.
// In these texts $N is the name and $A the arguments; white space is written by models as it stands
// here and read in any amount, and `~` is where it is not written but read.
struct CallForm {
  const char* name;
  const char* mark;  // what the templates that ask for this form hold
  ArgumentsForm arguments;
  const char *before, *call, *between, *after, *separator;
  const char* special[3];  // of its texts those that may be special tokens
  // Nothing but the call itself tells it from other text.
  bool bare = false;
  const CallForm* also = nullptr;  // which models of this form write too
};

// Of a model, by its chat template's source; the form of Hermes where it asks for none.
const CallForm& call_form_of(std::string_view template_source);
// Qwen's, and what models are asked for whose template knows no tools.
const CallForm& hermes_form();
std::vector<const CallForm*> call_forms();

// With what calls begin: the form's first characters, up to where models differ.
std::string opening_of(const CallForm& form);
// A form's text without its marks of white space, $N as `name`; nothing is done to $A.
std::string spelled(std::string_view pattern, std::string_view name);
struct WrittenCalls {
  std::string text;
  ByteSpans form;  // what of it is the form's, as arguments are not
};
// All calls of an answer. Each is {"name": text, "arguments": object}.
WrittenCalls write_calls(const CallForm& form, const nlohmann::ordered_json& calls);

}  // namespace sllm
