// The safetensors container (github.com/huggingface/safetensors, README "Format"): an 8-byte
// little-endian header length, a JSON header, then contiguous tensor data that it covers exactly.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace sllm {

struct SafetensorsFile {
  std::map<std::string, Tensor> tensors;        // borrowed from the mapping
  std::map<std::string, std::string> metadata;  // "__metadata__"
};
// Errors: kBadInput naming what is wrong: header over 100 MB or past the end, not JSON, duplicate
// names, offsets that overlap, leave holes or pass the end, sizes that do not match the shape.
Result<SafetensorsFile> read_safetensors(const fs::path& path);
// Atomic. Tensors are written sorted by dtype size then name, as the Python library does.
Status write_safetensors(const fs::path& path, const std::map<std::string, Tensor>& tensors,
                         const std::map<std::string, std::string>& metadata = {});
// The same, one tensor in memory at a time: `tensor` is asked for each entry in the file's order.
struct SafetensorsEntry {
  std::string name;
  DType dtype;
  Shape shape;
};
Status write_safetensors(const fs::path& path, std::vector<SafetensorsEntry> entries,
                         const std::function<Result<Tensor>(const SafetensorsEntry&)>& tensor,
                         const std::map<std::string, std::string>& metadata);

}  // namespace sllm
