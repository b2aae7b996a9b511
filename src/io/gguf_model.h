// The parts of a GGUF model that are metadata: configuration, tokenizer, description.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "io/architecture.h"
#include "io/gguf.h"
#include "io/model_source.h"

namespace sllm {

// Says which of several model types with one general.architecture a file that we wrote is.
inline constexpr const char* kModelTypeKey = "sllm.model_type";

Result<ModelConfig> gguf_config(const GgufFile& file, Architectures known);
// Checks types, lengths and ids; nullopt when the file has no tokenizer.
Result<std::optional<TokenizerSource::Gguf>> gguf_tokenizer(const GgufFile& file,
                                                            const ModelConfig& config);
std::map<std::string, std::string> gguf_description(const GgufFile& file);

// Opens a GGUF model; `file` holds its own mapping or borrows memory that outlives the source.
Result<std::shared_ptr<ModelSource>> open_gguf(GgufFile file, const fs::path& path,
                                               Architectures known);

// What is stored of a tensor whose columns lie as in the file, as the type of `info`.
using GgufEncode = std::function<Result<Tensor>(const Tensor& tensor, const TensorInfo& info)>;
// write_gguf (io/model_source.h) with another encoding than Tensor::to.
Result<fs::path> write_gguf(const fs::path& path, const ModelToWrite& model,
                            const GgufEncode& encode);

}  // namespace sllm
