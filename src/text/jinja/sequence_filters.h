// The filters that take sequences apart and put them together.
#pragma once

#include "text/jinja/builtins.h"

namespace sllm::jinja {

const Builtin<Filter>* find_sequence_filter(std::string_view name);

}  // namespace sllm::jinja
