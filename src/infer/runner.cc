// Flat batches over a model; see runner.h.
#include "infer/runner.h"

#include <algorithm>
#include <cstring>

namespace sllm {
namespace {
constexpr int64_t kHeadRows = 64;  // 64 rows of 152k logits are 39 MB
}

void begin_again_if_stretched(const Rope& rope, int64_t tokens, SequenceState& state,
                              bool& stretched) {
  if (rope.stretches(tokens) != std::exchange(stretched, rope.stretches(tokens))) state.truncate(0);
}

Tensor Runner::forward(std::span<const Feed> feeds, const std::atomic<bool>* interrupt) {
  Batch batch;
  batch.interrupt = interrupt;
  for (const Feed& feed : feeds) {
    const auto rows = static_cast<int64_t>(feed.tokens.size());
    const Status reserved = feed.state->reserve(rows);
    if (!reserved.ok()) throw ResultError(reserved.error());
    batch.segments.push_back({static_cast<int64_t>(batch.tokens.size()), rows, feed.state->length(),
                              feed.state, feed.adapter, feed.text_length});
    batch.tokens.insert(batch.tokens.end(), feed.tokens.begin(), feed.tokens.end());
  }
  return model_->forward(context_, batch);
}

void Runner::run(std::span<const Feed> feeds, int64_t rows, const Each& each) {
  struct Part {
    size_t feed;
    int64_t first;
  };
  std::vector<Part> parts;
  std::vector<Feed> batch;
  int64_t left = rows;
  const auto flush = [&] {
    if (batch.empty()) return;
    const Tensor hidden = forward(batch);
    int64_t row = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      const auto n = static_cast<int64_t>(batch[i].tokens.size());
      each(parts[i].feed, parts[i].first, hidden.slice_rows(row, row + n));
      row += n;
    }
    batch.clear(), parts.clear();
    left = rows;
  };
  for (size_t i = 0; i < feeds.size(); ++i) {
    const auto total = static_cast<int64_t>(feeds[i].tokens.size());
    const int64_t text = std::max(feeds[i].text_length, feeds[i].state->length() + total);
    for (int64_t first = 0; first < total;) {
      const int64_t n = std::min(left, total - first);
      batch.push_back({feeds[i].state,
                       feeds[i].tokens.subspan(static_cast<size_t>(first), static_cast<size_t>(n)),
                       feeds[i].adapter, text});
      parts.push_back({i, first});
      first += n, left -= n;
      if (left == 0) flush();
    }
  }
  flush();
}

void Runner::logits(const Tensor& hidden, const EachRow& each) {
  for (int64_t first = 0; first < hidden.rows(); first += kHeadRows) {
    const int64_t end = std::min(first + kHeadRows, hidden.rows());
    Tensor chunk = logits(hidden.slice_rows(first, end));
    const auto V = static_cast<size_t>(chunk.cols());
    for (int64_t row = first; row < end; ++row)
      each(row, {chunk.data<float>() + static_cast<size_t>(row - first) * V, V});
  }
}

float Runner::log_sum_exp(std::span<const float> logits, TokenId largest) {
  float loss = 0;
  backend_->cross_entropy(&loss, nullptr, logits.data(), {&largest, 1}, nullptr,
                          static_cast<int64_t>(logits.size()));
  return loss + logits[static_cast<size_t>(largest)];
}

Tensor concatenate_rows(std::span<const Tensor> parts) {
  int64_t rows = 0;
  for (const Tensor& part : parts) rows += part.rows();
  const int64_t D = parts.empty() ? 0 : parts.front().cols();
  Tensor all = Tensor::empty(DType::kF32, {rows, D});
  float* to = all.data<float>();
  for (const Tensor& part : parts) to = std::copy_n(part.data<float>(), part.size(), to);
  return all;
}

}  // namespace sllm
