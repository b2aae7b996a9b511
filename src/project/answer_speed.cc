// Times a prompt and a step of decoding on blank weights.
#include "project/answer_speed.h"

#include <algorithm>
#include <chrono>

#include "cpu/cpu_backend.h"
#include "models/model.h"

namespace sllm::project {
namespace {

using Clock = std::chrono::steady_clock;

// Decoding reads weights from memory: there must be more of them than caches hold.
constexpr int64_t kBytesBeyondCaches = int64_t{128} << 20;
constexpr int64_t kBytesOfHead = int64_t{64} << 20;
constexpr double kMeasureSeconds = 0.2;
constexpr int64_t kFewRows = 16, kManyRows = 256;

// Mean seconds of one call; the call before them is not counted (pages, packed forms).
template <class Work>
double seconds_of(const Work& work, double at_least) {
  work();
  const auto start = Clock::now();
  double elapsed = 0;
  int64_t runs = 0;
  do {
    work();
    ++runs;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  } while (elapsed < at_least);
  return elapsed / static_cast<double>(runs);
}

Batch rows_in_segments(int64_t rows, int64_t length) {
  Batch batch;
  batch.tokens.assign(static_cast<size_t>(rows), 1);
  for (int64_t first = 0; first < rows; first += length) {
    Segment segment;
    segment.first_row = first, segment.rows = length;
    batch.segments.push_back(segment);
  }
  return batch;
}

}  // namespace

Result<AnswerSpeed> measure_answer_speed(const ModelConfig& config, const TypeOf& type_of,
                                         Numerics numerics, int threads) {
  ModelConfig part = config;
  part.tied_embeddings = true;
  part.kv_readers = 0, part.layer_input_vocab = 0;
  part.L = 1, part.V = std::min<int64_t>(config.V, 1024);
  const int64_t with_one = bytes_of_shape(part, type_of);
  part.V *= 2;
  const int64_t of_rows = std::max<int64_t>(bytes_of_shape(part, type_of) - with_one, 1);
  const int64_t of_layer = std::max<int64_t>(with_one - of_rows, 1);
  part.L = std::clamp<int64_t>(kBytesBeyondCaches / of_layer + 1, std::min<int64_t>(2, config.L),
                               config.L);
  part.V = std::min(config.V, std::max<int64_t>(1, kBytesOfHead / of_rows) * (part.V / 2));
  SLLM_TRY(const auto model, Model::load(blank_model(part, type_of)));
  const auto backend = make_cpu_backend(threads);
  Context ctx{*backend, numerics, nullptr};

  const double all_layers = static_cast<double>(config.L) / static_cast<double>(part.L);
  const auto prompt = [&](int64_t rows, double at_least) {
    const Batch batch = rows_in_segments(rows, rows);
    return seconds_of([&] { model->forward(ctx, batch); }, at_least) / static_cast<double>(rows);
  };
  // A slow machine is measured on fewer rows.
  const auto affordable = static_cast<int64_t>(kMeasureSeconds / prompt(kFewRows, 0));
  AnswerSpeed speed;
  speed.prompt = all_layers * prompt(std::clamp(affordable, kFewRows, kManyRows), kMeasureSeconds);

  const Batch step = rows_in_segments(kTogether, 1);
  Tensor hidden;
  const double layers = seconds_of([&] { hidden = model->forward(ctx, step); }, kMeasureSeconds);
  const double head = seconds_of([&] { model->logits(ctx, hidden); }, kMeasureSeconds / 4);
  speed.answer =
      (layers * all_layers + head * static_cast<double>(config.V) / static_cast<double>(part.V)) /
      static_cast<double>(kTogether);
  return speed;
}

}  // namespace sllm::project
