#include "train/fresh_model.h"

#include <algorithm>

#include "base/rng.h"
#include "io/tokenizer_files.h"
#include "models/registry.h"
#include "text/tokenizer.h"

namespace sllm {
namespace {

constexpr int64_t kMostColumns = int64_t{1} << 20;  // so that no product of sizes overflows
constexpr int64_t kDrawsPerNumber = 2;              // of Rng::normal()

Status check_sizes(const FreshModelOptions& o, int64_t kv_heads) {
  if (o.hidden > kMostColumns || o.ffn > kMostColumns)
    return usage_error("a width of {} columns is more than {}", std::max(o.hidden, o.ffn),
                       kMostColumns);
  if (o.heads < 1 || o.hidden < 1 || o.hidden % o.heads != 0)
    return usage_error("--hidden {} is not a multiple of --heads {}", o.hidden, o.heads);
  if (o.hidden / o.heads % 2 != 0)
    return usage_error(
        "a head has --hidden / --heads = {} columns; rotary positions need an even "
        "number",
        o.hidden / o.heads);
  if (kv_heads < 1 || o.heads % kv_heads != 0)
    return usage_error("--heads {} is not a multiple of --kv-heads {}", o.heads, kv_heads);
  if (o.type != DType::kF32 && o.type != DType::kF16 && o.type != DType::kBF16)
    return usage_error("--type {}: expected f32, f16 or bf16", info(o.type).name);
  return ok();
}

Result<ModelConfig> config_of(const FreshModelOptions& o, const Tokenizer& tokenizer) {
  ModelConfig c;
  c.architecture = find_architecture("llama");
  c.D = o.hidden, c.L = o.layers, c.H = o.heads;
  c.Hk = o.kv_heads > 0 ? o.kv_heads : o.heads;
  SLLM_OK(check_sizes(o, c.Hk));
  c.Dh = c.D / c.H;
  c.F = o.ffn > 0 ? o.ffn : (c.D * 8 / 3 + 63) / 64 * 64;
  c.V = tokenizer.vocab_size();
  c.max_context = o.context;
  c.tied_embeddings = o.tied;
  c.rope.theta = static_cast<float>(o.rope_theta);
  c.bos_id = tokenizer.bos_id();
  c.eos_ids = tokenizer.eos_ids();
  if (auto valid = validate(c); !valid.ok()) {
    Error error = std::move(valid).error();
    error.code = ErrorCode::kUsage;
    return error;
  }
  return c;
}

// The n-th number of tensor `index` depends on them and the seed alone.
Tensor draw(const Shape& shape, uint64_t index, const FreshModelOptions& o, ThreadPool& pool) {
  Tensor tensor = Tensor::empty(DType::kF32, shape);
  float* const values = tensor.data<float>();
  if (shape.size() == 1) {
    std::fill_n(values, tensor.size(), 1.0f);
    return tensor;
  }
  const auto range = static_cast<float>(o.range);
  pool.parallel_for(tensor.size(), 4096, [&](int64_t begin, int64_t end) {
    Rng rng(o.seed, index, static_cast<uint64_t>(begin * kDrawsPerNumber));
    for (int64_t i = begin; i < end; ++i) values[i] = range * rng.normal();
  });
  return tensor;
}

}  // namespace

Result<FreshModel> fresh_model(const FreshModelOptions& options, ThreadPool& pool) {
  SLLM_TRY(TokenizerSource source, open_tokenizer_source(options.tokenizer));
  SLLM_TRY(const auto tokenizer, Tokenizer::load(source).context(options.tokenizer.string()));
  FreshModel fresh;
  ModelToWrite& model = fresh.model;
  SLLM_TRY(model.config, config_of(options, *tokenizer));
  SLLM_TRY(model.chat_template, open_chat_template(options.tokenizer, source));
  model.tokenizer = std::move(source);
  std::map<std::string, uint64_t> index;
  for (const TensorSpec& spec : expected_tensors(model.config)) {
    index.emplace(spec.hf, index.size());
    model.tensors.push_back({spec.hf, options.type, spec.shape});
    int64_t size = 1;
    for (const int64_t d : spec.shape) size *= d;
    fresh.parameters += size;
    if (spec.shape.size() > 1 && spec.shape[0] == model.config.V)
      fresh.embedding_parameters += size;
  }
  model.tensor = [options, index = std::move(index), &pool](const TensorInfo& t) -> Result<Tensor> {
    return draw(t.shape, index.at(t.name), options, pool);
  };
  return fresh;
}

}  // namespace sllm
