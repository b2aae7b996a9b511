// A model on disk, whatever its format: a GGUF file (v2, v3) or a Hugging Face folder (config.json,
// tokenizer.json, safetensors single or sharded). Tensors are looked up by their Hugging Face name
// ("model.layers.0.self_attn.q_proj.weight") in either; the architecture says what GGUF calls them.
// Where GGUF keeps a tensor in another form (q and k rows permuted for ggml's rope), the source
// undoes that: every source yields what Hugging Face's folder holds.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "io/architecture.h"
#include "io/model_config.h"
#include "io/model_extras.h"
#include "tensor/tensor.h"

namespace sllm {

struct TensorInfo {
  std::string name;  // Hugging Face name
  DType dtype;
  Shape shape;  // PyTorch order: [out, in]
};

// Where text/tokenizer.h gets its tables from.
struct TokenizerSource {
  // Exactly one of tokenizer_json, files and gguf is set.
  std::string tokenizer_json;  // contents of tokenizer.json
  // Where there is none: the files that say the same, by name (io/tokenizer_files.h).
  std::map<std::string, std::string> files;
  std::string tokenizer_config_json;  // contents of tokenizer_config.json ("" when absent)
  struct Gguf {
    std::string model, pre;  // tokenizer.ggml.model ("gpt2"), tokenizer.ggml.pre
    std::vector<std::string> tokens, merges;
    std::vector<float> scores;
    std::vector<int32_t> types;  // 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
    int32_t bos_id = -1, eos_id = -1, unknown_id = -1, padding_id = -1, eot_id = -1;
    int32_t separator_id = -1, mask_id = -1;  // [SEP] and [MASK]
    std::optional<bool> add_bos, add_eos;     // absent: the default of the model and pre-tokenizer
    // SentencePiece models; absent: the default of the model.
    std::optional<bool> add_space_prefix, remove_extra_spaces;
    std::string precompiled_charsmap;  // raw bytes
    // sllm.tokenizer.steps: parts of a tokenizer.json that the keys above only come near to.
    std::string steps;
  };
  std::optional<Gguf> gguf;
};

// What people call the model at `path`: the folder's name, or the file's without .gguf. A name from
// the catalogue stays whole ("qwen2.5-coder-0.5b" has no extension).
std::string model_name(const fs::path& path);

class ModelSource {
 public:
  // `path`: a .gguf file or a folder. Everything is validated here (offsets, overlaps, sizes,
  // types, shapes against the config) before any tensor is handed out. Errors: kBadInput with file
  // and offset; a pickle (.bin, .pt) is refused by name. models/registry.h's open_model knows all
  // architectures.
  static Result<std::shared_ptr<ModelSource>> open(const fs::path& path, Architectures known);
  virtual ~ModelSource() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const TokenizerSource& tokenizer() const = 0;
  virtual const std::string& chat_template() const = 0;  // Jinja source; "" when the model has none
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  virtual bool has(const std::string& hf_name) const = 0;
  // Borrows mapped memory where the stored bytes are usable as they lie; copies otherwise.
  virtual Result<Tensor> tensor(const std::string& hf_name) const = 0;
  virtual const fs::path& path() const = 0;
  virtual std::string format() const = 0;  // "GGUF v3", "safetensors"
  // Free-form description for `sllm show` and lineage: licence, quantisation, ... (string ->
  // string).
  virtual std::map<std::string, std::string> description() const = 0;
  virtual const ModelExtras& extras() const;
};

// Writers. `next` yields tensors one at a time (Hugging Face name, any dtype) so that the peak of
// memory is one tensor; `infos` announces them all beforehand, in order.
struct ModelToWrite {
  ModelConfig config;
  TokenizerSource tokenizer;  // in the form of what is written (text/tokenizer_convert.h)
  std::string chat_template;
  ModelExtras extras;
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> description;  // e.g. "license", "sllm.lineage"
  std::function<Result<Tensor>(const TensorInfo&)> tensor;
  // GGUF's general.file_type; absent: told from the tensors' types.
  std::optional<uint32_t> gguf_file_type;
  uint64_t max_file_bytes = 0;  // more tensor data than that makes several files; 0: one
};
// A model to write that holds what `source` holds, and keeps it alive.
ModelToWrite as_written(std::shared_ptr<const ModelSource> source);

// Atomically written; the result loads in llama.cpp. A tokenizer.json source is converted. Returns
// the path by which to open it: `path`, or its first part's.
Result<fs::path> write_gguf(const fs::path& path, const ModelToWrite& model);
// A folder with config.json, generation_config.json, model.safetensors, tokenizer.json and
// tokenizer_config.json; loads in transformers. A GGUF tokenizer source is converted. kUsage when a
// folder is there that check_replaceable(folder, hf_folder_names()) refuses.
const FolderNames& hf_folder_names();
Status write_hf_folder(const fs::path& folder, const ModelToWrite& model);

}  // namespace sllm
