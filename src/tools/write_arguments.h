// A call's arguments in the words of each form.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "tools/call_form.h"

namespace sllm {

// `arguments`: an object.
std::string write_arguments(ArgumentsForm form, const nlohmann::ordered_json& arguments);

}  // namespace sllm
