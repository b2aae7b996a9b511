#include "compress/convert.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "io/gguf_model.h"
#include "quant/weighted.h"
#include "text/tokenizer_convert.h"

namespace sllm {
namespace {

bool all_finite(const float* x, int64_t n) {
  // Exponent bits all set means NaN or infinity; an integer loop that compilers vectorise.
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    bad |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

// Decodes row after row, shared among the threads, and calls use(row, numbers). kBadInput naming
// the first row with a number that is not finite.
Status for_each_row(const Tensor& tensor, ThreadPool& pool, const std::string& name,
                    const std::function<void(int64_t row, const float* numbers)>& use) {
  const int64_t cols = tensor.cols();
  std::atomic<int64_t> bad_row{INT64_MAX};
  pool.parallel_for(tensor.rows(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> numbers(static_cast<size_t>(cols));
    for (int64_t row = begin; row < end; ++row) {
      info(tensor.dtype()).decode(tensor.row(row), numbers.data(), cols);
      if (!all_finite(numbers.data(), cols)) {
        int64_t first = bad_row.load();
        while (row < first && !bad_row.compare_exchange_weak(first, row)) continue;
        return;
      }
      use(row, numbers.data());
    }
  });
  if (bad_row == INT64_MAX) return ok();
  return bad_input("tensor \"{}\", row {}: holds a NaN or an infinite number", name,
                   bad_row.load());
}

}  // namespace

Result<Tensor> convert_tensor(const Tensor& tensor, DType type, ThreadPool& pool,
                              const std::string& name, std::span<const float> importance) {
  if (tensor.dtype() == type) return tensor;
  const int64_t cols = tensor.cols();
  SLLM_CHECK(
      info(tensor.dtype()).decode && info(type).encode && cols % info(type).block_elements == 0,
      "convert_tensor: {} {} cannot become {}", name, tensor.to_string(), info(type).name);
  SLLM_CHECK(importance.empty() || std::ssize(importance) == cols,
             "convert_tensor: {} has {} columns, not {}", name, cols, importance.size());
  const WeightedEncode weighted = importance.empty() ? nullptr : weighted_encode(type);
  Tensor out = Tensor::empty(type, tensor.shape());
  const int64_t row_bytes = bytes_of(type, cols);
  SLLM_OK(for_each_row(tensor, pool, name, [&](int64_t row, const float* numbers) {
    char* to = static_cast<char*>(out.raw()) + row * row_bytes;
    if (weighted)
      weighted(numbers, importance.data(), to, cols);
    else
      info(type).encode(numbers, to, cols);
  }));
  return out;
}

Status check_values(const ModelSource& source, ThreadPool& pool, const ProgressSink& progress) {
  Progress state{"Checking", "tensors", 0, source.tensors().size(), {}};
  for (const TensorInfo& t : source.tensors()) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted");
    SLLM_TRY(const Tensor tensor, source.tensor(t.name));
    SLLM_OK(for_each_row(tensor, pool, t.name, [](int64_t, const float*) {
            }).context(source.path().string()));
    ++state.done;
    if (progress) progress(state);
  }
  return ok();
}

Status restore_vector_types(ModelToWrite& model) {
  std::map<DType, int> matrices;
  for (const TensorInfo& t : model.tensors) matrices[t.dtype] += t.shape.size() == 2;
  const auto most =
      std::ranges::max_element(matrices, {}, [](const auto& count) { return count.second; });
  if (most == matrices.end() || most->first == DType::kF32) return ok();
  for (TensorInfo& t : model.tensors) {
    if (t.shape.size() == 2 || t.dtype != DType::kF32) continue;
    SLLM_TRY(const Tensor tensor, model.tensor(t));
    const Tensor rounded = tensor.to(most->first).to_f32();
    if (std::memcmp(rounded.raw(), tensor.to_f32().raw(), static_cast<size_t>(rounded.bytes())) ==
        0)
      t.dtype = most->first;
  }
  return ok();
}

void apply_recipe(ModelToWrite& model, const Recipe& recipe, bool pure, bool weighted) {
  for (TensorInfo& t : model.tensors) t.dtype = type_for(recipe, model.config, t, pure, weighted);
  model.gguf_file_type = recipe.file_type;
}

WrittenModel count_types(const std::vector<TensorInfo>& tensors) {
  WrittenModel count;
  for (const TensorInfo& t : tensors) {
    int64_t elements = 1;
    for (int64_t n : t.shape) elements *= n;
    const int64_t bytes = bytes_of(t.dtype, elements);
    count.bytes += bytes;
    count.bytes_by_type[t.dtype] += bytes;
    ++count.tensors_by_type[t.dtype];
  }
  return count;
}

Result<WrittenModel> write_model(const fs::path& out, ModelToWrite model, ThreadPool& pool,
                                 const ProgressSink& progress, const ColumnImportance& importance) {
  const bool gguf = out.extension() == ".gguf";
  SLLM_TRY(model.tokenizer,
           gguf ? tokenizer_for_gguf(model.tokenizer, model.config)
                : tokenizer_for_folder(model.tokenizer, model.chat_template, model.config));
  for (TensorInfo& t : model.tensors)
    if (gguf && t.shape.size() != 2) t.dtype = DType::kF32;
  WrittenModel written = count_types(model.tensors);
  Progress state{"Writing", "bytes", 0, static_cast<uint64_t>(written.bytes), {}};
  const auto read = std::move(model.tensor);
  model.tensor = [&](const TensorInfo& t) -> Result<Tensor> {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "{}: stopped, nothing was written",
                        out.string());
    return read(t);
  };
  const auto encode = [&](const Tensor& stored, const TensorInfo& t) -> Result<Tensor> {
    const auto columns = importance.find(t.name);
    SLLM_TRY(Tensor tensor, convert_tensor(stored, t.dtype, pool, t.name,
                                           columns == importance.end() ? std::span<const float>()
                                                                       : columns->second));
    state.done += static_cast<uint64_t>(tensor.bytes());
    state.detail = t.name;
    if (progress) progress(state);
    return tensor;
  };
  written.path = out;
  if (gguf) {
    SLLM_TRY(written.path, write_gguf(out, model, encode));
    return written;
  }
  model.tensor = [&, next = std::move(model.tensor)](const TensorInfo& t) -> Result<Tensor> {
    SLLM_TRY(const Tensor stored, next(t));
    return encode(stored, t);
  };
  SLLM_OK(write_hf_folder(out, model));
  return written;
}

}  // namespace sllm
