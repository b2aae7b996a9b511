#include "io/float_types.h"

namespace sllm {

void keep_floats(ModelToWrite& model, std::optional<DType> type) {
  for (TensorInfo& t : model.tensors)
    t.dtype = type ? *type : is_block_format(t.dtype) ? DType::kBF16 : t.dtype;
}

}  // namespace sllm
