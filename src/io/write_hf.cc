// A model written as a Hugging Face folder.
#include <algorithm>

#include "io/hf_config.h"
#include "io/hf_shards.h"
#include "io/model_source.h"
#include "io/pooling.h"

namespace sllm {
namespace {

Status write_tokenizer(const fs::path& folder, const ModelToWrite& model) {
  const TokenizerSource& t = model.tokenizer;
  SLLM_CHECK(!t.gguf, "write_hf_folder: the tokenizer is not in a folder's form");
  for (const auto& [name, content] : t.files)
    SLLM_OK(write_file_atomically(folder / name, content));
  if (!t.tokenizer_json.empty())
    SLLM_OK(write_file_atomically(folder / "tokenizer.json", t.tokenizer_json));
  if (!t.tokenizer_config_json.empty())
    SLLM_OK(write_file_atomically(folder / "tokenizer_config.json", t.tokenizer_config_json));
  if (!model.chat_template.empty())
    SLLM_OK(write_file_atomically(folder / "chat_template.jinja", model.chat_template));
  return ok();
}

// What config.json calls the model's dtype: that of most tensors with two dimensions.
DType main_dtype(const std::vector<SafetensorsEntry>& entries) {
  std::map<DType, int> count;
  for (const SafetensorsEntry& e : entries) count[e.dtype] += e.shape.size() > 1;
  return std::ranges::max_element(count, {}, [](const auto& c) { return c.second; })->first;
}

}  // namespace

const FolderNames& hf_folder_names() {
  static const FolderNames names = {{"config.json", "generation_config.json"},
                                    {"model.safetensors",
                                     "model-*.safetensors",
                                     "model.safetensors.index.json",
                                     "tokenizer.json",
                                     "tokenizer_config.json",
                                     "chat_template.jinja",
                                     "additional_chat_templates/",
                                     "tokenizer.model",
                                     "tekken.json",
                                     "*.tiktoken",
                                     "vocab.json",
                                     "merges.txt",
                                     "vocab.txt",
                                     "modules.json",
                                     "1_Pooling/",
                                     "2_Dense/",
                                     "3_Dense/",
                                     "2_Normalize/",
                                     "3_Normalize/",
                                     "4_Normalize/",
                                     "sentence_bert_config.json",
                                     "config_sentence_transformers.json"}};
  return names;
}

Status write_hf_folder(const fs::path& folder, const ModelToWrite& model) {
  SLLM_OK(validate(model.config));
  SLLM_OK(check_tensors(model.config, model.tensors));
  const std::vector<TensorSpec> behind_pooling = dense_tensors(model.config);
  std::vector<SafetensorsEntry> entries, dense;  // those behind the pooling have their own folders
  for (const TensorInfo& t : model.tensors) {
    if (is_block_format(t.dtype))
      return with_hint(
          bad_input("a Hugging Face folder cannot hold {} ({})", info(t.dtype).name, t.name),
          "Choose BF16, F16 or F32");
    const bool behind =
        std::ranges::find(behind_pooling, t.name, &TensorSpec::hf) != behind_pooling.end();
    (behind ? dense : entries).push_back({t.name, t.dtype, t.shape});
  }
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  for (const auto& [key, value] : model.description)
    if (key.starts_with("sllm.") || key == "license") metadata[key] = value;
  SLLM_TRY(const std::string config, hf_config_json(model.config, main_dtype(entries)));

  SLLM_TRY(auto dir, AtomicDir::create(folder, hf_folder_names()));
  SLLM_OK(write_file_atomically(dir.path() / "config.json", config));
  SLLM_OK(write_hf_extras(dir.path(), model.extras, hf_generation_config_json(model.config)));
  SLLM_OK(write_tokenizer(dir.path(), model));
  const auto tensor = [&](const SafetensorsEntry& e) -> Result<Tensor> {
    SLLM_TRY(const Tensor t, model.tensor({e.name, e.dtype, e.shape}));
    return t.to(e.dtype);
  };
  SLLM_OK(write_hf_weights(dir.path(), entries, tensor, metadata, model.max_file_bytes));
  SLLM_OK(write_pooling_modules(dir.path(), model.config));
  for (size_t k = 0; k < dense.size(); ++k)
    SLLM_OK(write_hf_weights(
        dir.path() / dense_folder(k), {{"linear.weight", dense[k].dtype, dense[k].shape}},
        [&](const SafetensorsEntry&) { return tensor(dense[k]); }, {{"format", "pt"}}, 0));
  return dir.commit();
}

}  // namespace sllm
