// Which GGUF file of a repository is meant: one a type of weights, some of them split into parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm {

struct GgufModel {
  std::string label;               // "Q4_K_M"; the file's stem when it names no type
  std::vector<std::string> files;  // one, or the parts in order
  size_t parts = 1;                // as many as the names announce
};

// The models among `files`, in the order of the names. Projectors (mmproj) and importance matrices
// are none.
std::vector<GgufModel> gguf_models(std::vector<std::string> files);

// The type of weights in a file's or its folder's name, upper case: "q4_k_m" -> "Q4_K_M",
// "UD-Q4_K_XL"; "" when there is none.
std::string quant_label(std::string_view file);

// All parts of which `file` is one ("x-00001-of-00003.gguf"); `file` itself when it is no part.
std::vector<std::string> parts_of_split(const std::string& file);

// The files of the model of type `quant`; with "" of the only model, else of Q4_K_M. Errors:
// kUsage naming the choices; kBadInput when parts are missing.
Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& files,
                                             const std::string& repo, std::string_view quant = "");

}  // namespace sllm
