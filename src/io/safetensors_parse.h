// Safetensors from memory: what read_safetensors does after mapping the file.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "io/safetensors.h"

namespace sllm {

// Tensors borrow `bytes`, kept alive by `owner`. `file` is for messages.
Result<SafetensorsFile> parse_safetensors(std::span<const std::byte> bytes,
                                          std::shared_ptr<const void> owner,
                                          const std::string& file);

}  // namespace sllm
