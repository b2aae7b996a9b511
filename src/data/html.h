// HTML to blocks of readable text.
#pragma once

#include <string_view>

#include "data/document.h"

namespace sllm {

// Scripts, styles, navigation and hidden parts are left out. Never loads anything; malformed markup
// is repaired as libxml2 does.
Document parse_html(std::string_view html);

}  // namespace sllm
