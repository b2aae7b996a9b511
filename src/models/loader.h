// Takes a model's tensors from its source by Hugging Face name, checking every shape. The first
// error is kept and everything after it is skipped, so that constructors stay plain.
#pragma once

#include <string>

#include "io/model_source.h"
#include "ops/backend.h"

namespace sllm {

class Loader {
 public:
  explicit Loader(const ModelSource& source) : source_(source) {}
  const ModelConfig& config() const { return source_.config(); }
  // A matrix in its stored type.
  Weight matrix(const std::string& name, int64_t rows, int64_t cols);
  // A vector, decoded to F32: norms and biases are small and added or multiplied in f32.
  Weight vector(const std::string& name, int64_t size) { return values(name, {size}); }
  Weight values(const std::string& name, const Shape& shape);  // so too, of any shape
  bool has(const std::string& name) const { return source_.has(name); }
  const Status& status() const { return status_; }

 private:
  Tensor take(const std::string& name, const Shape& shape);
  const ModelSource& source_;
  Status status_ = ok();
};

}  // namespace sllm
