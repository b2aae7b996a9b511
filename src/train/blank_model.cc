// Blank weights, and shapes by size.
#include "train/blank_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/registry.h"

namespace sllm {
namespace {

// No zeros: untouched zero pages would share one page of the cache. In every type these bytes are
// small numbers (0.0115 in bf16 and f32).
constexpr int kFiller = 0x3c;

class BlankModel final : public ModelSource {
 public:
  BlankModel(const ModelConfig& config, const TypeOf& type_of)
      : config_(config), infos_(tensors_of_shape(config, type_of)) {
    for (const TensorInfo& t : infos_) {
      Tensor tensor = Tensor::empty(t.dtype, t.shape);
      std::memset(tensor.raw(), kFiller, static_cast<size_t>(tensor.bytes()));
      tensors_[t.name] = std::move(tensor);
    }
  }
  const ModelConfig& config() const override { return config_; }
  const TokenizerSource& tokenizer() const override { return tokenizer_; }
  const std::string& chat_template() const override { return chat_template_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  bool has(const std::string& name) const override { return tensors_.contains(name); }
  Result<Tensor> tensor(const std::string& name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return bad_input("{}: no tensor of this shape", name);
    return found->second;
  }
  const fs::path& path() const override { return path_; }
  std::string format() const override { return "memory"; }
  std::map<std::string, std::string> description() const override { return {}; }

 private:
  ModelConfig config_;
  TokenizerSource tokenizer_;
  std::string chat_template_;
  fs::path path_ = "blank";
  std::vector<TensorInfo> infos_;
  std::map<std::string, Tensor> tensors_;
};

ModelConfig shape(const char* architecture, int64_t D, int64_t L, int64_t H, int64_t Hk, int64_t Dh,
                  int64_t F, int64_t V, bool tied) {
  ModelConfig c;
  c.architecture = find_architecture(architecture);
  c.D = D, c.L = L, c.H = H, c.Hk = Hk, c.Dh = Dh, c.F = F, c.V = V;
  c.max_context = 8192;
  c.tied_embeddings = tied;
  c.qkv_bias = std::string_view(architecture) == "qwen2";
  return c;
}

}  // namespace

std::shared_ptr<ModelSource> blank_model(const ModelConfig& config, const TypeOf& type_of) {
  return std::make_shared<BlankModel>(config, type_of);
}

TypeOf types_of(const ModelSource& source) {
  std::map<std::string, DType> types;
  for (const TensorInfo& t : source.tensors()) types[t.name] = t.dtype;
  return [types = std::move(types)](const TensorInfo& t) {
    const auto it = types.find(t.name);
    return it == types.end() ? DType::kBF16 : it->second;
  };
}

std::vector<TensorInfo> tensors_of_shape(const ModelConfig& config, const TypeOf& type_of) {
  std::vector<TensorInfo> infos;
  for (const TensorSpec& spec : expected_tensors(config)) {
    TensorInfo info{spec.hf, DType::kF32, spec.shape};
    if (spec.shape.size() > 1) info.dtype = type_of(info);
    infos.push_back(std::move(info));
  }
  return infos;
}

int64_t bytes_of_shape(const ModelConfig& config, const TypeOf& type_of) {
  int64_t bytes = 0;
  for (const TensorInfo& t : tensors_of_shape(config, type_of)) {
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    bytes += bytes_of(t.dtype, n);
  }
  return bytes;
}

ModelConfig shape_of_size(double parameters) {
  // config.json of each model.
  static const std::vector<std::pair<double, ModelConfig>> kShapes = {
      {134.5, shape("llama", 576, 30, 9, 3, 64, 1536, 49152, true)},
      {494, shape("qwen2", 896, 24, 14, 2, 64, 4864, 151936, true)},
      {1544, shape("qwen2", 1536, 28, 12, 2, 128, 8960, 151936, true)},
      {3086, shape("qwen2", 2048, 36, 16, 2, 128, 11008, 151936, true)},
      {7616, shape("qwen2", 3584, 28, 28, 4, 128, 18944, 152064, false)}};
  const auto distance = [&](const auto& s) { return std::abs(std::log(s.first / parameters)); };
  return std::ranges::min_element(kShapes, {}, distance)->second;
}

}  // namespace sllm
