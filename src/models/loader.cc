// Shape-checked tensors for the architectures; see loader.h.
#include "models/loader.h"

namespace sllm {

Tensor Loader::take(const std::string& name, const Shape& shape) {
  if (!status_.ok()) return {};
  auto tensor = source_.tensor(name);
  if (!tensor.ok()) {
    status_ = std::move(tensor).error();
    return {};
  }
  if (tensor->shape() != shape) {
    status_ = bad_input("{}: tensor {} is {}, but the configuration makes it [{}]",
                        source_.path().string(), name, tensor->to_string(), fmt::join(shape, ", "));
    return {};
  }
  return std::move(*tensor);
}

Weight Loader::matrix(const std::string& name, int64_t rows, int64_t cols) {
  return Weight(take(name, {rows, cols}));
}

Weight Loader::values(const std::string& name, const Shape& shape) {
  Tensor t = take(name, shape);
  if (!t.defined() || t.dtype() == DType::kF32) return Weight(std::move(t));
  return Weight(t.to_f32());
}

}  // namespace sllm
