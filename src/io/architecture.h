// How an architecture is written down: what each format calls the numbers of its configuration and
// its tensors. src/models supplies one for each file there, with a row in its registry, so that the
// readers and writers here know no architecture by name.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/config_fields.h"
#include "io/model_config.h"
#include "tensor/tensor.h"

namespace sllm {

// How GGUF keeps a tensor otherwise than Hugging Face: its rows reordered, or its numbers changed.
// `n` is what the form needs to know, such as a number of heads.
struct GgufForm {
  std::function<Tensor(const Tensor&, int64_t n)> to_gguf, from_gguf;
  int64_t n = 0;
  // It moves columns, so many together. A block format whose blocks are longer is decoded for it.
  int64_t columns = 0;
  bool splits(DType type) const { return columns > 0 && columns % info(type).block_elements != 0; }
};

struct TensorSpec {
  std::string hf;       // "model.layers.0.self_attn.q_proj.weight"
  std::string gguf;     // "blk.0.attn_q.weight"
  Shape shape;          // PyTorch order
  GgufForm form;        // empty: as it is
  Shape gguf_shape;     // where GGUF has another; empty: the same
  bool unread = false;  // files may hold it, but nothing uses it: it is passed over
};

// Collects an architecture's tensors.
class TensorList {
 public:
  void add(std::string hf, std::string gguf, Shape shape, GgufForm form = {},
           Shape gguf_shape = {});
  // "<hf>.weight" [out, in] and, with a bias, "<hf>.bias" [out].
  void linear(const std::string& hf, const std::string& gguf, int64_t out, int64_t in,
              bool bias = false, GgufForm form = {});
  // A weight and, where there is one, its bias that checkpoints hold though the model has no use.
  void unread(const std::string& hf, const std::string& gguf);
  std::vector<TensorSpec> take() { return std::move(specs_); }

 private:
  std::vector<TensorSpec> specs_;
};

struct Architecture {
  std::string_view model_type;  // config.json's model_type; of rows that share one, class_name
  std::string_view
      class_name;         // config.json's architectures[0] decides, and the first is the default
  std::string_view gguf;  // general.architecture; rows that share one are told apart by
                          // the key sllm.model_type, and the first is the default
  void (*fields)(ConfigFields& fields, ModelConfig& config);
  std::vector<TensorSpec> (*tensors)(const ModelConfig& config);
};
using Architectures = std::span<const Architecture* const>;

// The tensors that `config` calls for. kBadInput naming the first of `tensors` that is missing,
// misshapen or not part of the architecture.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);
// And those that may be there and are passed over.
std::vector<TensorSpec> unread_tensors(const ModelConfig& config);
struct TensorInfo;
Status check_tensors(const ModelConfig& config, const std::vector<TensorInfo>& tensors);

// "llama, mistral, qwen2": for sentences about what is supported.
std::string names_of(Architectures known, std::string_view Architecture::*name);

}  // namespace sllm
