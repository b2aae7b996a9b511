// Which reader a path belongs to.
#include "io/model_source.h"

#include "io/gguf_model.h"

namespace sllm {

Result<std::shared_ptr<ModelSource>> ModelSource::open(const fs::path& path) {
  SLLM_TRY(GgufFile file, GgufFile::open(path));
  return open_gguf(std::move(file), path);
}

}  // namespace sllm
