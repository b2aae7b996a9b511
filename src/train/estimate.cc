// Time and memory of a tuning run, from the model's shape and a short measurement.
#include "train/estimate.h"

#include <algorithm>
#include <chrono>

#include "cpu/cpu_backend.h"
#include "train/batches.h"
#include "train/tune.h"

namespace sllm {
namespace {

constexpr double kMeasureSeconds = 0.4;  // per kind of product
// Attention, norms, the optimiser and the losses of small products, on top of the large ones:
// assumed 1.2; to be replaced by a measurement.
constexpr double kBesidesProducts = 1.2;
constexpr int64_t kProgram = int64_t{80} << 20;  // code, tokenizer, buffers kept for reuse
constexpr int64_t kLogitsChunk = int64_t{48} << 20;

double numbers_per_layer(const ModelConfig& c) {
  const double q = static_cast<double>(c.H * c.Dh), kv = static_cast<double>(c.Hk * c.Dh),
               D = static_cast<double>(c.D), F = static_cast<double>(c.F);
  return D * (2 * q + 2 * kv) + 3 * D * F;
}

// Rank times (in + out), summed over a layer's seven linears.
double lora_numbers_per_layer(const ModelConfig& c, int64_t rank) {
  const int64_t q = c.H * c.Dh, kv = c.Hk * c.Dh;
  return static_cast<double>(rank * (2 * (c.D + q) + 2 * (c.D + kv) + 3 * (c.D + c.F)));
}

// Numbers per token and layer that wait for the backward (ops::Saved and operands).
int64_t saved_per_layer(const ModelConfig& c, int64_t rank) {
  const int64_t q = c.H * c.Dh, kv = c.Hk * c.Dh;
  return 4 * c.D + 3 * q + 2 * kv + 3 * c.F + 7 * rank;
}

}  // namespace

TuningSpeed measure_tuning_speed(Backend& backend, const ModelConfig& config, Numerics mode) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kRows = 512;
  const DType type = mode == Numerics::kExact ? DType::kF32 : DType::kBF16;
  const Weight w(Tensor::zeros(type, {config.F, config.D}));
  double seconds = 0, flops = 0;
  for (const bool backward : {false, true}) {
    const Tensor in = Tensor::zeros(DType::kF32, {kRows, backward ? config.F : config.D});
    Tensor out = Tensor::empty(DType::kF32, {kRows, backward ? config.D : config.F});
    const auto once = [&] {
      Operand x(in);
      if (backward)
        backend.linear_dx(out.data<float>(), x, w, mode);
      else
        backend.linear(out.data<float>(), x, w, mode);
    };
    once();  // pages, packed forms
    const auto start = Clock::now();
    double elapsed = 0;
    int64_t runs = 0;
    do {
      once();
      ++runs;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    } while (elapsed < kMeasureSeconds);
    seconds += elapsed / static_cast<double>(runs);
    flops += 2.0 * kRows * static_cast<double>(config.F * config.D);
  }
  return {flops / seconds};
}

TuneEstimate estimate_tune(const ModelConfig& c, const TuningWork& work, const TuneOptions& options,
                           TuningSpeed speed) {
  const double layers = static_cast<double>(c.L), tokens = static_cast<double>(work.tokens);
  const double lora = layers * lora_numbers_per_layer(c, options.rank);
  const double mean_keys = static_cast<double>(work.longest) / 2;
  // Scores and sums of a token: 4 FLOP per key and channel forward, 10 backward.
  const double attention = 14 * mean_keys * static_cast<double>(c.H * c.Dh) * layers;
  const double flops = tokens * (4 * layers * numbers_per_layer(c) + 6 * lora + attention) +
                       4 * static_cast<double>(work.supervised) * static_cast<double>(c.D * c.V);

  TuneEstimate estimate;
  estimate.tokens = work.tokens;
  estimate.steps = work.steps;
  estimate.seconds = kBesidesProducts * flops / speed.flops_per_second;
  const int64_t rows =
      std::min(std::max(options.micro_tokens, work.longest), std::max<int64_t>(work.tokens, 1));
  const int64_t width = options.mode == Numerics::kExact ? 4 : 2;
  const int64_t saved = rows * c.L * saved_per_layer(c, options.rank) * width;
  const int64_t passing = rows * 4 * (4 * c.F + 4 * c.D);  // one block's f32 rows and gradients
  const auto adapter = static_cast<int64_t>(lora) * 4;
  estimate.memory =
      kProgram + work.bytes_of_weights + saved + passing + 2 * kLogitsChunk + 4 * adapter;
  estimate.disk = adapter + (options.keep + 1) * 3 * adapter;
  return estimate;
}

Result<TuneEstimate> estimate_tune(const TuneOptions& options) {
  SLLM_TRY(const TuneFiles files, open_tune_files(options));
  const ModelConfig& config = files.source->config();
  const Schedule schedule(files.train, options);
  TuningWork work;
  work.tokens = schedule.total_tokens();
  work.steps = schedule.total_steps();
  work.supervised = work.tokens * files.train.supervised() / files.train.tokens();
  for (const Sample& s : files.train.samples)
    work.longest = std::max(work.longest, static_cast<int64_t>(s.ids.size()));
  for (const TensorInfo& t : files.source->tensors()) {
    int64_t n = 1;
    for (const int64_t d : t.shape) n *= d;
    work.bytes_of_weights += bytes_of(t.dtype, n);
  }
  const auto backend = make_cpu_backend(options.threads);
  return estimate_tune(config, work, options, measure_tuning_speed(*backend, config, options.mode));
}

}  // namespace sllm
