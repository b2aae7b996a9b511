// Which reader a path belongs to; a source as something to write.
#include "io/model_source.h"

#include "io/adapter.h"
#include "io/gguf_lora.h"
#include "io/gguf_model.h"
#include "io/hf_source.h"
#include "io/imatrix.h"

namespace sllm {

std::string model_name(const fs::path& path) {
  const fs::path name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return (name.extension() == ".gguf" ? name.stem() : name).string();
}

namespace {

Error adapter_not_model(const fs::path& path) {
  return with_hint(bad_input("{}: is a LoRA adapter, not a model", path.string()),
                   "Give the model it was trained on, and this as --adapter; sllm merge makes one "
                   "model of both");
}

}  // namespace

Result<std::shared_ptr<ModelSource>> ModelSource::open(const fs::path& path, Architectures known) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return with_hint(bad_input("{}: there is no such file or folder", path.string()),
                     "Give a .gguf file or a Hugging Face folder; sllm pull fetches one by name");
  if (fs::is_directory(status)) {
    if (!fs::exists(path / "config.json", error)) {
      if (find_adapter(path)) return adapter_not_model(path);
      // A run of full tuning holds its model in a folder.
      if (fs::exists(path / "model" / "config.json", error))
        return open_hf_folder(path / "model", known);
    }
    return open_hf_folder(path, known);
  }
  const std::string extension = path.extension().string();
  for (const char* pickle : {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
    if (extension == pickle)
      return with_hint(bad_input("{}: {} files are pickles, which can run code when they are read; "
                                 "refused",
                                 path.string(), pickle),
                       "Convert the model to safetensors, or use a GGUF file");
  if (extension == ".safetensors")
    return with_hint(
        bad_input("{}: is the weights alone, without a configuration and tokenizer", path.string()),
        fmt::format("Give its folder: {}", path.parent_path().string()));
  SLLM_TRY(GgufFile file, GgufFile::open(path));
  if (is_gguf_adapter(file)) return adapter_not_model(path);
  if (is_imatrix(file))
    return with_hint(bad_input("{}: is an importance matrix, not a model", path.string()),
                     "Give it as --imatrix to sllm quantize");
  return open_gguf(std::move(file), path, known);
}

const ModelExtras& ModelSource::extras() const {
  static const ModelExtras none;
  return none;
}

ModelToWrite as_written(std::shared_ptr<const ModelSource> source) {
  ModelToWrite model;
  model.config = source->config();
  model.tokenizer = source->tokenizer();
  model.chat_template = source->chat_template();
  model.extras = source->extras();
  model.tensors = source->tensors();
  model.description = source->description();
  model.tensor = [source](const TensorInfo& t) { return source->tensor(t.name); };
  return model;
}

}  // namespace sllm
