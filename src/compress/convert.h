// Storage types changed, files and folders rewritten: quantising, dequantising, importing.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/events.h"
#include "base/thread_pool.h"
#include "compress/importance.h"
#include "compress/recipe.h"
#include "io/float_types.h"
#include "io/model_source.h"

namespace sllm {

// The tensor as `type`, rows shared among the threads; itself when it is that already. The result
// does not depend on the number of threads. kBadInput naming `name` and the row when a number is
// NaN or infinite (formats with scales could not keep it from spreading). `importance`: of the
// columns, [cols]; empty: not known. Types whose encoders do not ask for it pass it over.
Result<Tensor> convert_tensor(const Tensor& tensor, DType type, ThreadPool& pool,
                              const std::string& name, std::span<const float> importance = {});

// kBadInput naming the first tensor and row with a NaN or an infinite number; reads everything.
Status check_values(const ModelSource& source, ThreadPool& pool, const ProgressSink& progress = {});

// GGUF holds what is no matrix in F32. Such tensors get the matrices' float type back where it
// holds every number of theirs exactly, so that a folder that went through GGUF is the same again.
Status restore_vector_types(ModelToWrite& model);
// `weighted`: what is written will be encoded by an importance matrix.
void apply_recipe(ModelToWrite& model, const Recipe& recipe, bool pure, bool weighted = false);

struct WrittenModel {
  fs::path path;      // the file, the first of its parts, or the folder
  int64_t bytes = 0;  // of all tensors
  std::map<DType, int64_t> bytes_by_type;
  std::map<DType, int> tensors_by_type;
};
WrittenModel count_types(const std::vector<TensorInfo>& tensors);

// Writes `model` to `out`: a GGUF file when its name ends in .gguf, a Hugging Face folder
// otherwise. Converts each tensor to the type that model.tensors announces. Peak memory: one tensor
// twice. kInterrupted or kTerminated when a stop was requested; nothing is left behind then.
// model.max_file_bytes may make parts of a file and shards of a folder's weights. `importance` is
// for GGUF files.
Result<WrittenModel> write_model(const fs::path& out, ModelToWrite model, ThreadPool& pool,
                                 const ProgressSink& progress = {},
                                 const ColumnImportance& importance = {});

}  // namespace sllm
