#include "train/generate.h"

#include <algorithm>
#include <cstring>

#include "base/rng.h"
#include "infer/sampler.h"

namespace sllm {
namespace {

// A sequence that is answered.
struct Answering {
  const Sample* sample;
  SequenceState state;
  std::vector<TokenId> next;  // what the forward is to read
  Sampler sampler;
  GeneratedAnswer answer;
};

Batch batch_of(std::span<Answering*> all, const BoundAdapter* adapter) {
  Batch batch;
  for (Answering* a : all) {
    const auto rows = static_cast<int64_t>(a->next.size());
    if (const Status status = a->state.reserve(rows); !status.ok())
      throw ResultError(status.error());  // the pool holds them all
    batch.segments.push_back(
        {static_cast<int64_t>(batch.tokens.size()), rows, a->state.length(), &a->state, adapter});
    batch.tokens.insert(batch.tokens.end(), a->next.begin(), a->next.end());
  }
  return batch;
}

// The hidden row behind each segment's last token.
Tensor last_rows(const Tensor& hidden, const Batch& batch) {
  Tensor last =
      Tensor::empty(DType::kF32, {static_cast<int64_t>(batch.segments.size()), hidden.cols()});
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& s = batch.segments[i];
    std::memcpy(last.data<float>() + static_cast<int64_t>(i) * hidden.cols(),
                hidden.row(s.first_row + s.rows - 1),
                static_cast<size_t>(hidden.cols()) * sizeof(float));
  }
  return last;
}

}  // namespace

size_t answer_begin(const Sample& s) {
  const auto learned =
      std::ranges::find_if(s.targets, [](TokenId t) { return t >= 0; }) - s.targets.begin();
  return std::min(static_cast<size_t>(learned) + 1, s.ids.size());
}
size_t answer_end(const Sample& s) {
  size_t end = answer_begin(s);
  while (end < s.ids.size() && s.targets[end - 1] >= 0) ++end;
  return end;
}

std::vector<GeneratedAnswer> generate_answers(Context& ctx, const Model& model,
                                              const BoundAdapter* adapter,
                                              std::span<const Sample* const> samples,
                                              const GenerateOptions& options) {
  int64_t tokens = 0;
  for (const Sample* s : samples)
    tokens += static_cast<int64_t>(answer_begin(*s)) + options.max_tokens + KvView::kBlockTokens;
  StatePool pool(model.config(), DType::kF32, tokens);
  std::vector<Answering> all;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& ids = samples[i]->ids;
    const std::vector<TokenId> prompt(
        ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(answer_begin(*samples[i])));
    SamplingOptions sampling;
    sampling.temperature = options.temperature;
    sampling.seed = Rng(options.seed, i).next_u64();
    all.push_back({samples[i], SequenceState(pool), prompt, Sampler(sampling, prompt), {}});
  }
  std::vector<Answering*> open;
  for (Answering& a : all) open.push_back(&a);
  while (!open.empty()) {
    const Batch batch = batch_of(open, adapter);
    Tensor logits = model.logits(ctx, last_rows(model.forward(ctx, batch), batch));
    for (size_t i = 0; i < open.size(); ++i) {
      Answering& a = *open[i];
      const std::span<float> row(logits.data<float>() + static_cast<int64_t>(i) * logits.cols(),
                                 static_cast<size_t>(logits.cols()));
      const TokenId id = a.sampler.sample(row, a.answer.ids.size());
      const size_t end = answer_end(*a.sample);
      a.answer.ended = id < 0 || (end > 0 && id == a.sample->ids[end - 1]);
      if (!a.answer.ended) a.answer.ids.push_back(id), a.sampler.accept(id);
      a.next = {id};
      if (a.answer.ended || std::ssize(a.answer.ids) >= options.max_tokens ||
          a.state.length() >= model.config().max_context)
        open[i] = nullptr;
    }
    std::erase(open, nullptr);
  }
  std::vector<GeneratedAnswer> answers;
  for (Answering& a : all) answers.push_back(std::move(a.answer));
  return answers;
}

}  // namespace sllm
