// What an answer may look like: a grammar over bytes, made of llama.cpp's GBNF (grammars/README.md
// there) or of a JSON schema (json-schema.org, draft 2020-12; the subset is told below).
#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/program.h"

namespace sllm {

// Immutable, so that requests can share one.
class Grammar {
 public:
  // Rules such as `root ::= "a" [b-z]* ( item | "\n" ){2,4}  # comment`. Literals and classes know
  // the escapes \n \r \t \\ \" \[ \] \- \xHH \uHHHH \UHHHHHHHH (code points), `.` is any character,
  // a rule ends with its line unless a group is open or the next line begins with `|`. Tokens by
  // number (<[17]>) are not supported.
  // Errors: kBadInput with line and column, for what is malformed, a rule that is not defined, is
  // defined twice or refers to itself before any text, a missing root, groups deeper than 64,
  // repetition bounds above 100000, and grammars of more than 2^20 nodes.
  static Result<std::shared_ptr<const Grammar>> from_gbnf(std::string_view text);

  // The JSON texts that the schema allows:
  //   type (also a list), enum, const, anyOf, oneOf (as anyOf: the others are not ruled out),
  //   allOf, $ref to "#" and below (recursive ones too), properties, required,
  //   additionalProperties, items, prefixItems, additionalItems, minItems, maxItems, minLength,
  //   maxLength, pattern, format (date, time, date-time, uuid), minimum, maximum, exclusiveMinimum,
  //   exclusiveMaximum (exact; those of "number" must be whole), true, {} and false.
  //
  // Where it says nothing: without `type` the other keywords tell it ("properties": an object), and
  // where there are none, any value is allowed; as in llama.cpp an object with `properties` has no
  // others, and an array with `prefixItems` no further items. Properties come in the schema's
  // order, then additional ones, whose names are none of those (but may come twice). A pattern is a
  // subset of ECMA-262 (pattern.h), and is searched for unless ^ and $ anchor it.
  //
  // What the texts look like: between the parts of objects and arrays (after { [ , and before } ])
  // one space, or a newline with up to 20 blanks, so that nobody can go on with blanks for ever;
  // after a colon at most one space; nothing before or behind the value. Numbers have at most 16
  // digits on each side of the point unless the bounds ask for more, and exponents 2. Strings are
  // valid UTF-8 without control characters; \u escapes make no half of a surrogate pair.
  //
  // Annotations (title, description, default, examples, $comment, ...) and keywords that begin with
  // "x-" are ignored. Errors: kBadInput with the place as a JSON pointer, for any other keyword, a
  // malformed one, nesting deeper than 64, a schema that nothing fits or that refers to itself
  // without content between, and grammars of more than 2^20 nodes.
  static Result<std::shared_ptr<const Grammar>> from_json_schema(
      const nlohmann::ordered_json& schema);

  // Any JSON object ("response_format": {"type": "json_object"}).
  static std::shared_ptr<const Grammar> any_json();

  // The texts of both. Special tokens are as the first has them.
  static std::shared_ptr<const Grammar> either(const Grammar& first, const Grammar& second);

  explicit Grammar(GrammarProgram program) : program_(std::move(program)) {}
  // `shown`: special tokens by their text, e.g. "[TOOL_CALLS]". To such a grammar all special
  // tokens are text, and answers show these, as they hide the others.
  Grammar(GrammarProgram program, std::vector<std::string> shown)
      : program_(std::move(program)), shown_(std::move(shown)) {}
  const GrammarProgram& program() const { return program_; }
  // Absent: special tokens are no text, and none may come.
  const std::optional<std::vector<std::string>>& shown() const { return shown_; }

 private:
  GrammarProgram program_;
  std::optional<std::vector<std::string>> shown_;
};

}  // namespace sllm
