// Importance matrices made and used: what a model's matrices are multiplied by on some text, and by
// it which columns of each matter most when it is quantised. Files: io/imatrix.h.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/events.h"
#include "io/imatrix.h"
#include "io/model_source.h"
#include "ops/numerics.h"

namespace sllm {

struct CollectOptions {
  Numerics numerics = Numerics::kFast;
  int threads = 0;      // 0: all cores this process may use
  bool output = false;  // the output matrix too, where it is a matrix of its own
  ProgressSink progress;
};
// Reads each window (all of the same length) as a text of its own and sums the squares of what
// every matrix of the layers is given, for all tokens of it. The sums do not depend on the number
// of threads. Errors: kUsage for an encoder, kBadInput for inputs that are not finite, kInterrupted
// or kTerminated.
Result<ImportanceMatrix> collect_importance(std::shared_ptr<ModelSource> source,
                                            std::span<const std::vector<int32_t>> windows,
                                            const CollectOptions& options = {});

// The mean squared input of each column of a matrix [out, in], by Hugging Face name; the columns in
// the order that GGUF keeps them in.
using ColumnImportance = std::map<std::string, std::vector<float>>;
// Errors: kBadInput when `matrix` is of another model: an entry that is no matrix of `config`'s, or
// has another number of columns. `file` is for messages.
Result<ColumnImportance> column_importance(const ImportanceMatrix& matrix,
                                           const ModelConfig& config, const std::string& file);

}  // namespace sllm
