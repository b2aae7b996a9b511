// Any text, watched for the first of some words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grammar/builder.h"

namespace sllm {

struct WatchedText {
  uint32_t start;
  std::vector<uint32_t> ends;  // for each word a point behind it, to be linked
};

// Bytes up to the first word that is complete, which they include. With `leave` they may also stop
// anywhere before, and go on there. No word may be empty or be there twice.
WatchedText watched_text(GrammarBuilder& builder, const std::vector<std::string>& words,
                         std::optional<uint32_t> leave = std::nullopt);

}  // namespace sllm
