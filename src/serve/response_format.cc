// From the request's fields to a grammar; see response_format.h.
#include "serve/response_format.h"

#include "grammar/grammar.h"

namespace sllm {
namespace {

using Compiled = Result<std::shared_ptr<const Grammar>>;

std::shared_ptr<const Grammar> taken(Fields& f, const char* name, const Compiled& grammar) {
  if (grammar.ok()) return grammar.value();
  return f.fail(name, grammar.error().message), nullptr;
}

std::shared_ptr<const Grammar> schema_of(Fields& format) {
  const Json* named = format.find("json_schema");
  if (!named) return format.fail("json_schema", "is required with this type"), nullptr;
  Fields f(*named, format.path("json_schema"));
  std::shared_ptr<const Grammar> grammar;
  const Json* schema = f.find("schema");
  if (schema)
    grammar = taken(f, "schema", Grammar::from_json_schema(*schema));
  else
    f.fail("schema", "is required");
  // The schema is always kept to the letter, which is what `strict` asks for.
  f.ignore({"name", "description", "strict"});
  if (auto error = f.finish()) format.fail(*error);
  return grammar;
}

}  // namespace

std::shared_ptr<const Grammar> read_response_format(Fields& f) {
  std::shared_ptr<const Grammar> grammar;
  if (const Json* text = f.find("grammar")) {
    if (text->is_string())
      grammar = taken(f, "grammar", Grammar::from_gbnf(text->get_ref<const std::string&>()));
    else
      f.fail("grammar", "must be a string: a grammar in GBNF");
  }
  const Json* value = f.find("response_format");
  if (!value) return grammar;
  Fields format(*value, f.path("response_format"));
  const std::string type = format.text("type");
  if (grammar && type != "text")
    f.fail("response_format", "cannot be combined with \"grammar\"");
  else if (type == "json_object")
    grammar = Grammar::any_json();
  else if (type == "json_schema")
    grammar = schema_of(format);
  else if (type != "text")
    format.fail("type", "must be \"text\", \"json_object\" or \"json_schema\"");
  if (auto error = format.finish()) f.fail(*error);
  return grammar;
}

std::shared_ptr<const Grammar> read_ollama_format(Fields& f) {
  const Json* format = f.find("format");
  if (!format || *format == "") return nullptr;
  if (*format == "json") return Grammar::any_json();
  if (format->is_object()) return taken(f, "format", Grammar::from_json_schema(*format));
  return f.fail("format", "must be \"json\" or a JSON schema"), nullptr;
}

}  // namespace sllm
