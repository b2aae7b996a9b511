// GGUF models in several files (llama.cpp's gguf-split): "<prefix>-00001-of-00003.gguf" with
// split.no (from 0), split.count and split.tensors.count in each; the first holds the metadata.
#pragma once

#include <optional>
#include <string>

#include "base/file.h"

namespace sllm {

struct GgufPart {
  std::string prefix;  // path without "-00001-of-00003.gguf"
  int64_t number = 1;  // from 1
  int64_t count = 1;
};
// nullopt when `path` is not named as a part.
std::optional<GgufPart> gguf_part(const fs::path& path);
fs::path gguf_part_path(const std::string& prefix, int64_t number, int64_t count);

}  // namespace sllm
