#include "eval/weights_sameness.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/events.h"

namespace sllm::eval {
namespace {

// BF16 keeps 8 significant bits: rounding moves a number by at most 2^-8 of it; F16 keeps 11, but
// below 2^-14 its steps are 2^-24.
constexpr float kRounding = 0x1p-8f * 1.01f, kSmallest = 0x1p-25f * 1.01f;

struct Sums {
  double difference = 0, size = 0;  // of squares
  bool equal = true;
  int64_t row = INT64_MAX;  // the first beyond rounding
  void add(const Sums& other) {
    difference += other.difference, size += other.size;
    equal &= other.equal;
    row = std::min(row, other.row);
  }
};

void add_row(Sums& sums, int64_t row, const float* a, const float* b, int64_t n) {
  float difference = 0, size = 0;
  bool beyond = false, differs = false;
  for (int64_t i = 0; i < n; ++i) {
    const float d = std::abs(a[i] - b[i]);
    differs |= a[i] != b[i];
    difference += d * d, size += a[i] * a[i];
    beyond |= !(d <= kRounding * std::max(std::abs(a[i]), std::abs(b[i])) + kSmallest);
  }
  sums.difference += difference, sums.size += size;
  sums.equal &= !differs;
  if (beyond) sums.row = std::min(sums.row, row);
}

Sums compare(const Tensor& a, const Tensor& b, ThreadPool& pool) {
  const int64_t rows = std::min(a.rows(), b.rows()), cols = a.cols();
  Sums all;
  const auto bytes = static_cast<size_t>(bytes_of(a.dtype(), cols) * rows);
  if (a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), bytes) == 0) return all;
  std::mutex mutex;
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> left(static_cast<size_t>(cols)), right(left.size());
    Sums mine;
    for (int64_t row = begin; row < end; ++row) {
      info(a.dtype()).decode(a.row(row), left.data(), cols);
      info(b.dtype()).decode(b.row(row), right.data(), cols);
      add_row(mine, row, left.data(), right.data(), cols);
    }
    const std::lock_guard lock(mutex);
    all.add(mine);
  });
  return all;
}

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

// A tied model's head is its embedding.
std::string stored_name(const ModelSource& model, const std::string& name) {
  return name == kHead && !model.has(name) && model.config().tied_embeddings ? kEmbedding : name;
}

}  // namespace

Result<WeightsDistance> weights_distance(const ModelSource& a, const ModelSource& b,
                                         const std::set<std::string>& changed, ThreadPool& pool) {
  WeightsDistance out;
  std::set<std::string> names;
  for (const auto* model : {&a, &b})
    for (const TensorInfo& t : model->tensors()) names.insert(t.name);
  for (const std::string& name : names) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while comparing");
    if (changed.contains(name.substr(0, name.rfind('.'))) && name.ends_with(".weight")) {
      ++out.skipped;
      continue;
    }
    const std::string in_a = stored_name(a, name), in_b = stored_name(b, name);
    for (const auto& [model, stored] : {std::pair(&a, &in_a), std::pair(&b, &in_b)})
      if (!model->has(*stored)) {
        if (out.mismatch.empty())
          out.mismatch = fmt::format("{} has no {}", model->path().string(), name);
        continue;
      }
    if (!a.has(in_a) || !b.has(in_b)) continue;
    SLLM_TRY(const Tensor left, a.tensor(in_a));
    SLLM_TRY(const Tensor right, b.tensor(in_b));
    const bool may_be_padded = name == kEmbedding || name == kHead;
    if (left.cols() != right.cols() || (left.rows() != right.rows() && !may_be_padded)) {
      if (out.mismatch.empty())
        out.mismatch = fmt::format("{} is {} in one and {} in the other", name, left.to_string(),
                                   right.to_string());
      continue;
    }
    const Sums sums = compare(left, right, pool);
    ++out.tensors;
    if (sums.equal) {
      ++out.equal;
      continue;
    }
    for (const DType type : {left.dtype(), right.dtype()}) {
      if (!is_block_format(type)) continue;
      const auto bits = [](DType t) { return bytes_of(t, 256); };
      if (!out.coarsest || bits(type) < bits(*out.coarsest)) out.coarsest = type;
    }
    const bool beyond = sums.row != INT64_MAX;
    const double distance = sums.size > 0 ? std::sqrt(sums.difference / sums.size) : INFINITY;
    // What is beyond rounding is more telling than what is far.
    const bool first_beyond = beyond && out.rounding;
    if (first_beyond || (distance > out.distance && (beyond || out.rounding))) {
      out.furthest = name;
      out.row = beyond ? sums.row : -1;
    }
    out.distance = std::max(out.distance, distance);
    out.rounding &= !beyond;
  }
  return out;
}

}  // namespace sllm::eval
