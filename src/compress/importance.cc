#include "compress/importance.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "cpu/observed_backend.h"
#include "infer/runner.h"
#include "infer/state_type.h"
#include "models/registry.h"

namespace sllm {
namespace {

// What one weight was given so far. In double, so that no text is too long for the sums.
struct Seen {
  std::vector<double> squares;
  int64_t rows = 0;

  void add(const Tensor& x) {
    const int64_t K = x.cols();
    squares.resize(static_cast<size_t>(K));
    double* sums = squares.data();
    for (int64_t m = 0; m < x.rows(); ++m) {
      const float* row = x.data<float>() + m * K;
      for (int64_t k = 0; k < K; ++k) sums[k] += double{row[k]} * row[k];
    }
    rows += x.rows();
  }
};

struct Observed {
  TensorSpec spec;
  const Weight* weight;
};
// As llama.cpp does: the matrices of the layers, and the output matrix when it is asked for.
std::vector<Observed> observed(const Model& model, bool output) {
  std::map<std::string, const Weight*> weights;
  for (const auto& [module, weight] : model.linears()) weights[module + ".weight"] = weight;
  std::vector<Observed> all;
  for (TensorSpec& spec : expected_tensors(model.config())) {
    const auto found = weights.find(spec.hf);
    if (output && spec.gguf == "output.weight")
      all.push_back({std::move(spec), &model.head()});
    else if (found != weights.end() && spec.gguf.starts_with("blk."))
      all.push_back({std::move(spec), found->second});
  }
  return all;
}

// The sums in the order of GGUF's columns.
ImportanceEntry entry_of(const Seen& seen, const GgufForm& form) {
  std::vector<float> sums(seen.squares.begin(), seen.squares.end());
  if (form.columns > 0) {
    const Tensor moved = form.to_gguf(Tensor::from(sums, {1, std::ssize(sums)}), form.n);
    sums.assign(moved.data<float>(), moved.data<float>() + moved.size());
  }
  return {std::move(sums), {seen.rows}};
}

}  // namespace

Result<ImportanceMatrix> collect_importance(std::shared_ptr<ModelSource> source,
                                            std::span<const std::vector<TokenId>> windows,
                                            const CollectOptions& options) {
  SLLM_OK(check_generates(source->config()).context(source->path().string()));
  SLLM_CHECK(!windows.empty(), "collect_importance: there is no text");
  const DType kv = state_type(options.numerics, *source);
  SLLM_TRY(const std::shared_ptr<Model> model, Model::load(std::move(source)));
  const std::vector<Observed> matrices = observed(*model, options.output);
  std::unordered_map<const Weight*, Seen> seen;
  for (const Observed& m : matrices) seen[m.weight];
  const auto observe = [&](const Weight& w, const Tensor& x) {
    if (const auto found = seen.find(&w); found != seen.end()) found->second.add(x);
  };
  Runner runner(model, make_observed_backend(options.threads, observe), options.numerics);
  const auto length = std::ssize(windows.front());
  StatePool pool(model->config(), kv, length);
  ImportanceMatrix matrix;
  matrix.chunk_size = length;
  for (const std::vector<TokenId>& window : windows) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "stopped after {} chunks",
                        matrix.chunks);
    SequenceState state(pool);
    const Feed feed{&state, window, nullptr};
    const Tensor hidden = runner.forward(std::span(&feed, 1));
    if (options.output) runner.logits(hidden, [](int64_t, std::span<float>) {});
    ++matrix.chunks;
    if (options.progress)
      options.progress(
          {"Reading", "chunks", static_cast<uint64_t>(matrix.chunks), windows.size(), {}});
  }
  for (const auto& [spec, weight] : matrices) {
    const Seen& inputs = seen.at(weight);
    if (inputs.rows == 0) continue;
    for (const double sum : inputs.squares)
      if (!std::isfinite(static_cast<float>(sum)))
        return bad_input("the inputs of {} are not finite on this text", spec.gguf);
    matrix.entries[spec.gguf] = entry_of(inputs, spec.form);
  }
  return matrix;
}

Result<ColumnImportance> column_importance(const ImportanceMatrix& matrix,
                                           const ModelConfig& config, const std::string& file) {
  std::map<std::string, TensorSpec> specs;
  for (TensorSpec& spec : expected_tensors(config)) {
    std::string name = spec.gguf;
    specs.emplace(std::move(name), std::move(spec));
  }
  const auto other_model = [&](const Error& error) {
    return with_hint(error,
                     "Make the matrix from the model that is quantised, or from one of the "
                     "same architecture and size: sllm imatrix");
  };
  ColumnImportance importance;
  for (const auto& [name, entry] : matrix.entries) {
    const auto spec = specs.find(name);
    // The output matrix of a model that ties it to its embedding has no name of its own.
    if (spec == specs.end() && name == "output.weight" && config.tied_embeddings) continue;
    if (spec == specs.end() || spec->second.shape.size() != 2)
      return other_model(bad_input("{}: \"{}\" is not a matrix of this {} model with {} layers",
                                   file, name, config.architecture->model_type, config.L));
    const int64_t columns = spec->second.shape[1];
    if (std::ssize(entry.sums) != columns || entry.counts.size() != 1)
      return other_model(bad_input("{}: \"{}\" has {} columns, and {} in the model", file, name,
                                   entry.sums.size(), columns));
    std::vector<float> means = entry.mean_squares();
    // No model's inputs are so large, and the searches' sums would leave f32's range.
    constexpr float kLargest = 1e12f;
    if (std::ranges::any_of(means, [](float m) { return m > kLargest; }))
      return bad_input("{}: \"{}\" holds means above {}; it is damaged", file, name, kLargest);
    importance[spec->second.hf] = std::move(means);
  }
  return importance;
}

}  // namespace sllm
