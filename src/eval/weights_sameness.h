// How far the weights of two models lie apart, whatever they are stored as.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/thread_pool.h"
#include "io/model_source.h"

namespace sllm::eval {

struct WeightsDistance {
  int64_t tensors = 0, equal = 0;  // equal: every number is the same
  int64_t skipped = 0;             // tensors that an adapter changes
  bool rounding = true;  // no two numbers lie further apart than rounding one to BF16 or F16 takes
  double distance = 0;   // the largest over tensors of rms(a - b) / rms(a)
  std::string furthest;  // that tensor
  int64_t row = -1;      // its first row with a number beyond rounding; -1: none
  std::optional<DType> coarsest;  // of the block formats of tensors that differ
  std::string mismatch;           // a tensor that one of them lacks or that has another shape; ""
};

// Compares every tensor but those of `changed` modules. An embedding or head with more rows than
// the other's (padding) is compared where both have rows. Errors: as ModelSource::tensor.
Result<WeightsDistance> weights_distance(const ModelSource& a, const ModelSource& b,
                                         const std::set<std::string>& changed, ThreadPool& pool);

}  // namespace sllm::eval
