// A GGUF file seen as a model: Hugging Face names and row order over the mapped data.
#include <set>
#include <unordered_map>

#include "io/gguf_model.h"

namespace sllm {
namespace {

class GgufSource : public ModelSource {
 public:
  static Result<std::shared_ptr<ModelSource>> make(GgufFile file, const fs::path& path,
                                                   Architectures known) {
    auto source = std::make_shared<GgufSource>();
    source->path_ = path;
    SLLM_TRY(source->config_, gguf_config(file, known));
    if (source->config_.name.empty()) source->config_.name = path.stem().string();
    SLLM_TRY(source->tokenizer_.gguf, gguf_tokenizer(file, source->config_));
    SLLM_TRY(const auto chat_template, file.string("tokenizer.chat_template"));
    source->chat_template_ = chat_template.value_or("");
    SLLM_TRY(source->extras_, read_gguf_extras(file));
    source->description_ = gguf_description(file);
    source->file_ = std::make_shared<const GgufFile>(std::move(file));
    SLLM_OK(source->list_tensors());
    return std::shared_ptr<ModelSource>(std::move(source));
  }

  const ModelConfig& config() const override { return config_; }
  const TokenizerSource& tokenizer() const override { return tokenizer_; }
  const std::string& chat_template() const override { return chat_template_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  bool has(const std::string& hf_name) const override { return by_name_.contains(hf_name); }
  const fs::path& path() const override { return path_; }
  std::string format() const override { return fmt::format("GGUF v{}", file_->version()); }
  std::map<std::string, std::string> description() const override { return description_; }
  const ModelExtras& extras() const override { return extras_; }

  Result<Tensor> tensor(const std::string& hf_name) const override {
    const auto found = by_name_.find(hf_name);
    if (found == by_name_.end())
      return bad_input("{}: there is no tensor \"{}\"", path_.string(), hf_name);
    const auto& [t, form] = found->second;
    Tensor stored = Tensor::borrow(t->dtype, t->shape, t->data.data(), file_);
    if (form.splits(stored.dtype())) stored = stored.to_f32();
    if (form.from_gguf) return form.from_gguf(stored, form.n);
    // With a small general.alignment, numbers may lie where their type must not.
    if (reinterpret_cast<uintptr_t>(t->data.data()) % 4 != 0) return stored.clone();
    return stored;
  }

 private:
  struct Stored {
    const GgufTensor* tensor;
    GgufForm form;
  };

  Status list_tensors() {
    std::unordered_map<std::string, TensorSpec> specs;
    for (TensorSpec& spec : expected_tensors(config_)) {
      std::string name = spec.gguf;
      specs.emplace(std::move(name), std::move(spec));
    }
    std::set<std::string> unread;
    for (TensorSpec& spec : unread_tensors(config_)) unread.insert(std::move(spec.gguf));
    for (const GgufTensor& t : file_->tensors()) {
      if (unread.contains(t.name)) continue;
      if (t.name.starts_with("rope_")) continue;         // read as part of the configuration
      if (t.name.ends_with(".attn_rot_embd")) continue;  // derived from the configuration, unused
      if (of_predictor(t.name)) continue;
      const auto spec = specs.find(t.name);
      if (spec == specs.end())
        return bad_input("tensor \"{}\" is not part of a {} model with {} layers", t.name,
                         config_.architecture->model_type, config_.L);
      const Shape& other = spec->second.gguf_shape;
      const bool same = !other.empty() && t.shape == other;
      const DType dtype = spec->second.form.splits(t.dtype) ? DType::kF32 : t.dtype;
      tensors_.push_back({spec->second.hf, dtype, same ? spec->second.shape : t.shape});
      by_name_[spec->second.hf] = {&t, spec->second.form};
    }
    return check_tensors(config_, tensors_);
  }

  bool of_predictor(const std::string& name) const {
    for (int64_t i = 0; i < config_.predictor_layers; ++i)
      if (name.starts_with(fmt::format("blk.{}.", config_.L + i))) return true;
    return false;
  }

  fs::path path_;
  std::shared_ptr<const GgufFile> file_;
  ModelConfig config_;
  TokenizerSource tokenizer_;
  std::string chat_template_;
  ModelExtras extras_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, Stored> by_name_;
  std::map<std::string, std::string> description_;
};

}  // namespace

Result<std::shared_ptr<ModelSource>> open_gguf(GgufFile file, const fs::path& path,
                                               Architectures known) {
  auto source = GgufSource::make(std::move(file), path, known);
  if (source.ok()) return source;
  // Container errors name the file already; those of the model's metadata do not.
  if (source.error().message.starts_with(path.string())) return source;
  return std::move(source).context(path.string());
}

}  // namespace sllm
