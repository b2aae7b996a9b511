// Time and memory of a tuning run, from the model's shape and a short measurement.
#include "train/estimate.h"

#include <algorithm>
#include <chrono>

#include "cpu/cpu_backend.h"
#include "train/batches.h"
#include "train/fit.h"
#include "train/optimizer.h"
#include "train/preference_loss.h"
#include "train/trainable.h"
#include "train/tune.h"

namespace sllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMeasureSeconds = 0.5;
constexpr int64_t kFirstRows = 64;
// Enough that the first layer, which needs no gradient of its input, and caches do not mislead.
constexpr int64_t kLayers = 2;
constexpr int64_t kVocabulary = 8192;
constexpr int64_t kProgram = int64_t{80} << 20;          // code, tokenizer, buffers kept for reuse
constexpr int64_t kMasterBytes = 4, kGradientBytes = 4;  // of a trained number
constexpr int64_t kLogitsChunk = int64_t{48} << 20;

// Of both moments of a trained number; the scales of 8-bit ones are a 32nd of a byte each.
int64_t moment_bytes(const TuneOptions& o) { return o.optimizer == "adamw8bit" ? 2 : 8; }

// Outputs of all layers' seven linears.
int64_t outputs(const ModelConfig& c) {
  int64_t numbers = 0;
  for (int64_t i = 0; i < c.L; ++i)
    numbers += (c.H + 2 * c.kv_heads(i)) * c.head_width(i) + 2 * c.D + 2 * c.mlp_width(i);
  return numbers;
}

// Rank times (in + out), summed over those linears, and DoRA's magnitudes.
int64_t lora_numbers(const ModelConfig& c, const TuneOptions& options) {
  int64_t numbers = options.dora ? outputs(c) : 0;
  for (int64_t i = 0; i < c.L; ++i) {
    const int64_t q = c.H * c.head_width(i), kv = c.kv_heads(i) * c.head_width(i);
    const int64_t mlp = c.D + c.mlp_width(i);
    numbers += options.rank * (2 * (c.D + q) + 2 * (c.D + kv) + 3 * mlp);
  }
  return numbers;
}

// Numbers per token that wait for the backward (ops::Saved and operands), all layers together.
int64_t saved_numbers(const ModelConfig& c, const TuneOptions& options) {
  const int64_t rank = options.method == "full" ? 0 : options.rank;
  int64_t numbers = options.dora ? outputs(c) : 0;
  for (int64_t i = 0; i < c.L; ++i) {
    const int64_t q = c.H * c.head_width(i), kv = c.kv_heads(i) * c.head_width(i);
    numbers += 4 * c.D + 3 * q + 2 * kv + 3 * c.mlp_width(i) + 7 * rank;
  }
  return numbers;
}

int64_t numbers_of(const TensorInfo& t) {
  int64_t n = 1;
  for (const int64_t d : t.shape) n *= d;
  return n;
}

int64_t trained_numbers(const ModelConfig& c, const TuneOptions& options) {
  if (options.method != "full") return lora_numbers(c, options);
  int64_t numbers = 0;
  for (const TensorInfo& t : tensors_of_shape(c, [](const TensorInfo&) { return DType::kF32; }))
    numbers += numbers_of(t);
  return numbers;
}

// Without clipping, full tuning frees a layer's gradients before the next one's are there; the
// embedding's, which the head's are where they are tied, are there from the first to the last.
// Where a step has several forwards, all but the last one's gradients wait.
int64_t gradients_at_once(const ModelConfig& c, const TuningWork& work,
                          const TuneOptions& options) {
  const int64_t all = trained_numbers(c, options);
  const double tokens_of_a_step = work.computed * static_cast<double>(work.tokens) /
                                  static_cast<double>(std::max<int64_t>(work.steps, 1));
  const bool several = tokens_of_a_step > static_cast<double>(options.micro_tokens);
  if (options.method != "full" || options.clip > 0 || several || options.shards > 1) return all;
  const int64_t tables = c.V * c.D * (c.tied_embeddings ? 1 : 2);
  return c.V * c.D + (all - tables) / c.L;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Two layers and a short vocabulary, tuned as tune() does it.
class StepProbe {
 public:
  StepProbe(const Model& model, Trainable& trained, Backend& backend, const TuneOptions& options)
      : model_(model), trained_(trained), options_(options), ctx_{backend, options.mode, &tape_} {
    trained_.watch(tape_);
    trained_.derive(backend);
  }

  // Seconds per token of all layers, and of the head per learned token.
  TuningSpeed measure(int64_t rows, int64_t length, double at_least) {
    const Batch batch = samples(rows, length);
    const std::vector<int32_t> targets(static_cast<size_t>(rows), 1);
    const std::vector<float> weights(static_cast<size_t>(rows), 1);
    double layers = 0, head = 0, update = 1e9;
    int64_t tokens = 0;
    do {
      const auto start = Clock::now();
      const Tensor hidden = model_.forward(ctx_, batch);
      const auto loss_start = Clock::now();
      model_.loss(ctx_, hidden, targets, weights);
      head += seconds_since(loss_start);
      tape_.backward();
      layers += seconds_since(start);
      tokens += rows;
      const auto update_start = Clock::now();
      OptimizerStep step(ctx_.backend, tape_, trained_, options_, /*lr=*/0, ++step_);
      step.end_shard();
      SLLM_CHECK(step.gather(ok()).ok(), "no other rank");
      step.finish();
      update = std::min(update, seconds_since(update_start));
      tape_.clear();
    } while (layers < at_least);
    const auto n = static_cast<double>(tokens);
    return {(layers - head) / n, head / n, update / static_cast<double>(trained_.size())};
  }

 private:
  Batch samples(int64_t rows, int64_t length) const {
    Batch batch;
    batch.tokens.assign(static_cast<size_t>(rows), 1);
    for (int64_t first = 0; first < rows; first += length) {
      Segment segment;
      segment.first_row = first, segment.rows = std::min(length, rows - first);
      segment.adapter = trained_.bound();
      batch.segments.push_back(segment);
    }
    return batch;
  }

  const Model& model_;
  Trainable& trained_;
  const TuneOptions& options_;
  int64_t step_ = 0;
  Tape tape_;
  Context ctx_;
};

int64_t rows_of_a_forward(const TuningWork& work, const TuneOptions& options) {
  const int64_t most = std::max(options.micro_tokens, work.longest);
  return std::min(work.rows > 0 ? std::min(work.rows, most) : most,
                  std::max<int64_t>(work.tokens, 1));
}

}  // namespace

Result<TuningSpeed> measure_tuning_speed(const ModelConfig& config, const TypeOf& type_of,
                                         const TuningWork& work, const TuneOptions& options) {
  ModelConfig part = config;
  part.L = std::min(config.L, kLayers), part.V = std::min(config.V, kVocabulary);
  part.tied_embeddings = true;
  part.kv_readers = 0, part.layer_input_vocab = 0;
  const std::shared_ptr<ModelSource> source = blank_model(part, type_of);
  SLLM_TRY(const auto model, Model::load(source));
  TuneOptions fresh = options;  // an adapter to start from would have more layers
  fresh.init_adapter.clear();
  SLLM_TRY(const auto trained, make_trainable({*model, source, ""}, fresh));
  const auto backend = make_cpu_backend(options.threads);
  StepProbe probe(*model, *trained, *backend, options);
  const int64_t length = std::max<int64_t>(work.typical, 1),
                most = rows_of_a_forward(work, options);
  const int64_t few = std::min(kFirstRows, most);
  probe.measure(few, length, 0);  // pages, packed forms
  const TuningSpeed first = probe.measure(few, length, 0);
  // As many rows as there will be, unless that takes too long.
  const auto affordable = static_cast<int64_t>(kMeasureSeconds / (first.layer + first.head));
  const int64_t rows = std::clamp(affordable, few, most);
  probe.measure(rows, length, 0);
  const TuningSpeed speed = probe.measure(rows, length, kMeasureSeconds);
  return TuningSpeed{speed.layer / static_cast<double>(part.L),
                     speed.head * static_cast<double>(config.V) / static_cast<double>(part.V),
                     speed.update};
}

TuneEstimate estimate_tune(const ModelConfig& c, const TuningWork& work, const TuneOptions& options,
                           TuningSpeed speed) {
  const int64_t trained = trained_numbers(c, options);
  TuneEstimate estimate;
  estimate.tokens = work.tokens;
  estimate.steps = work.steps;
  estimate.seconds = work.computed * static_cast<double>(work.tokens * c.L) * speed.layer +
                     static_cast<double>(work.supervised) * speed.head +
                     static_cast<double>(work.steps * trained) * speed.update;
  const int64_t rows = rows_of_a_forward(work, options);
  const int64_t width = options.mode == Numerics::kExact ? 4 : 2;
  const int64_t saved = rows * saved_numbers(c, options) * width;
  const int64_t passing = rows * 4 * (4 * c.F + 4 * c.D);  // one block's f32 rows and gradients
  estimate.memory = kProgram + work.bytes_of_weights + saved + passing + 2 * kLogitsChunk +
                    trained * (kMasterBytes + moment_bytes(options)) +
                    gradients_at_once(c, work, options) * kGradientBytes;
  // The result is no larger than the masters.
  const auto disk = [&](int64_t keep) {
    return trained * (kMasterBytes + (keep + 1) * (kMasterBytes + moment_bytes(options)));
  };
  estimate.disk = disk(options.keep), estimate.disk_of_two = disk(2);
  return estimate;
}

// Tokens that preference tuning reads without a backward: the reference's, once, and KTO's prompts
// with other prompts' answers, which are read in every step and for the reference too.
static int64_t tokens_only_read(const TuneFiles& files, const Schedule& schedule,
                                const TuneOptions& options) {
  const auto kind = preference_kind(options.objective);
  if (!kind || !has_reference(*kind)) return 0;
  return files.train.tokens() + files.eval.tokens() +
         (*kind == PreferenceKind::kKto ? 2 * schedule.total_tokens() : 0);
}

// From the first steps: the share of their tokens that is computed, and the largest forward.
static void look_at_forwards(TuningWork& work, const SampleSet& data, Schedule& schedule,
                             const PackOptions& packing) {
  constexpr int64_t kSteps = 64;
  Cursor cursor;
  int64_t rows = 0, tokens = 0;
  for (int64_t step = 0; step < std::min(kSteps, schedule.total_steps()); ++step)
    for (const MicroBatch& micro : pack(data, data.samples_of(schedule.next(cursor)), packing)) {
      const int64_t here = std::ssize(micro.batch.tokens);
      rows += here, tokens += micro.sample_tokens;
      work.rows = std::max(work.rows, here);
    }
  work.computed = tokens > 0 ? static_cast<double>(rows) / static_cast<double>(tokens) : 1;
}

// It reads every text once, and what it says is kept.
static void add_teacher(TuneEstimate& estimate, const TuneFiles& files, const TuneOptions& options,
                        TuningSpeed speed) {
  const ModelConfig &student = files.source->config(), &teacher = files.teacher->config();
  const auto size = [](const ModelConfig& c) {
    return static_cast<double>(c.L * c.D * (c.F + c.D));
  };
  const int64_t tokens = files.train.tokens() + files.eval.tokens(),
                rows = files.train.supervised() + files.eval.supervised(),
                kept = options.top_k > 0 ? std::min(options.top_k, student.V) : student.V;
  estimate.seconds +=
      static_cast<double>(tokens * student.L) * speed.layer / 3 * size(teacher) / size(student);
  const int64_t said = rows * (8 * kept + 4);
  estimate.disk += said, estimate.disk_of_two += said;
  // Put away before the first step, unless it judges the student's answers; what is trained is
  // there already.
  const int64_t trained = trained_numbers(student, options);
  int64_t weights = 0;
  for (const TensorInfo& t : files.teacher->tensors()) weights += bytes_of(t.dtype, numbers_of(t));
  const int64_t asking = kProgram + trained * (kMasterBytes + moment_bytes(options)) +
                         2 * kLogitsChunk + weights +
                         options.micro_tokens * 4 * (4 * teacher.F + 4 * teacher.D);
  const auto with_teacher = [&](int64_t memory) {
    return options.on_policy > 0 ? memory + weights : std::max(memory, asking);
  };
  estimate.memory = with_teacher(estimate.memory);
  for (SmallerRun& run : estimate.smaller) run.memory = with_teacher(run.memory);
}

// Of the weights in q4_k, the rest as it is; none where they are in blocks already.
static std::optional<int64_t> quantised_bytes(const ModelSource& source) {
  int64_t bytes = 0;
  bool floats = false;
  for (const TensorInfo& t : source.tensors()) {
    const bool matrix = t.shape.size() > 1, block = info(t.dtype).block_elements > 1;
    floats |= matrix && !block;
    bytes += bytes_of(matrix && !block ? DType::kQ4_K : t.dtype, numbers_of(t));
  }
  return floats ? std::optional(bytes) : std::nullopt;
}

Result<TuneEstimate> estimate_tune(const TuneOptions& options) {
  SLLM_TRY(const TuneFiles files, open_tune_files(options));
  const ModelConfig& config = files.source->config();
  Schedule schedule(files.train, options);
  TuningWork work;
  look_at_forwards(work, files.train, schedule,
                   {.micro_tokens = options.micro_tokens,
                    .share_beginnings = shares_beginnings(config),
                    .group = files.train.group,
                    .whole_first = options.objective == "orpo"});
  work.tokens = schedule.total_tokens();
  work.steps = schedule.total_steps();
  work.supervised = work.tokens * files.train.supervised() / files.train.tokens();
  double squares = 0;
  for (const Sample& s : files.train.samples) {
    const auto length = static_cast<int64_t>(s.ids.size());
    work.longest = std::max(work.longest, length);
    squares += static_cast<double>(length * length);
  }
  work.typical = static_cast<int64_t>(squares / static_cast<double>(files.train.tokens()));
  for (const TensorInfo& t : files.source->tensors())
    work.bytes_of_weights += bytes_of(t.dtype, numbers_of(t));
  SLLM_TRY(const TuningSpeed speed,
           measure_tuning_speed(config, types_of(*files.source), work, options));
  TuneEstimate estimate = estimate_tune(config, work, options, speed);
  estimate.smaller = smaller_runs(config, work, options, quantised_bytes(*files.source));
  if (files.teacher) add_teacher(estimate, files, options, speed);
  // A forward takes about a third of the time that it takes together with its backward.
  estimate.seconds *= 1 + static_cast<double>(tokens_only_read(files, schedule, options)) /
                              (3 * static_cast<double>(work.tokens));
  return estimate;
}

}  // namespace sllm
