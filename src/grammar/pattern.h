// The regular expressions of JSON schemas ("pattern"): a subset of ECMA-262, as strings of JSON.
#pragma once

#include <string_view>

#include "grammar/json_text.h"

namespace sllm {

// The content of a string (between the quotes) that the pattern matches: as a search, unless an
// alternative begins with ^ and ends with $. Known are characters, `.`, classes, \d \w \s and their
// opposites, the escapes \t \n \r \f \v \0 \xHH \uHHHH and those of punctuation, groups, (?:...),
// (?<name>...), | and the repetitions * + ? {m} {m,} {m,n}, with a ? behind that changes nothing.
// Throws ResultError (kBadInput), beginning with `where`, that names what is beyond it.
GrammarBuilder::Fragment pattern_content(std::string_view pattern, std::string_view where,
                                         GrammarBuilder& builder, JsonText& json);

}  // namespace sllm
