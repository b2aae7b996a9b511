// What is done to every example's text before anything else, and what makes an example unusable.
#pragma once

#include <string>
#include <string_view>

#include "data/dataset.h"

namespace sllm {

// NFC; control and invisible characters (but tab, newline and joiners) removed; space at line ends
// and around the whole removed. Spacing inside lines stays: it may be code.
std::string clean_text(std::string_view text);

// Cleans in place. "" when the example is usable, else the reason ("no assistant turn").
std::string clean_example(Example& example, const ImportOptions& options);

// "ko" when at least a fifth of the letters is Hangul, "en" when most are Latin, else "other".
std::string language_of(std::string_view text);

}  // namespace sllm
