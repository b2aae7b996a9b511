// Divergence from a teacher's kept probabilities, through the head.
//   z = logits / T;  q = softmax z over the vocabulary, summed into the classes c (distillation.h)
//   u_c = q_c ∂D/∂q_c;   dD/dz_v = q_v / q_c u_c - q_v Σ u  for v in class c, divided by T
//   forward u = -p;   reverse u = q (log(q/p) + 1);   jsd u = (1-b) q log(q/m)
// Tokens that are not kept share q_v / q_rest = exp(z_v - lse_rest), lse_rest over them alone.
#include "ops/distillation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/logit_chunks.h"

namespace sllm::ops {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
// A logit whose exponential is 0 beside any other's, and finite, so that no NaN comes of it.
constexpr float kMasked = -1e30f;

double log_add(double a, double b) {
  const double largest = std::max(a, b);
  if (largest == kNever) return kNever;
  return largest + std::log1p(std::exp(std::min(a, b) - largest));
}

struct ClassTerm {
  double loss, u;
};

// One class's part of D and its u, from log p and log q.
ClassTerm class_term(const Distillation& o, double log_p, double log_q) {
  const double p = std::exp(log_p), q = std::exp(log_q);
  switch (o.divergence) {
    case Divergence::kForward:
      return {p > 0 ? p * (log_p - log_q) : 0, -p};
    case Divergence::kReverse: {
      const double ratio = q > 0 ? log_q - log_p : 0;
      return {q * ratio, q * (ratio + 1)};
    }
    case Divergence::kJsd:
      break;
  }
  const double b = o.mixture;
  const double log_m = log_add(log_p + std::log(b), log_q + std::log1p(-b));
  const double of_p = p > 0 ? p * (log_p - log_m) : 0, of_q = q > 0 ? q * (log_q - log_m) : 0;
  return {b * of_p + (1 - b) * of_q, (1 - b) * of_q};
}

// One row's kept tokens: their logits at the temperature, and what comes of them.
struct Kept {
  std::span<const float> z;  // [k]
  const TeacherRow& teacher;
  double lse_rest;  // of the others' logits; -inf where there are none
};

struct RowTerm {
  double loss = 0;
  double others = 0;      // the derivative by the others' logits together
  std::vector<double> d;  // by each kept one
};

RowTerm row_divergence(const Kept& kept, const Distillation& o) {
  double lse = kept.lse_rest;
  for (const float z : kept.z) lse = std::max<double>(lse, z);
  const double largest = lse;
  double sum = std::exp(kept.lse_rest - largest);
  for (const float z : kept.z) sum += std::exp(z - largest);
  lse = largest + std::log(sum);

  RowTerm row;
  double total = 0;
  row.d.reserve(kept.z.size());
  for (size_t c = 0; c < kept.z.size(); ++c) {
    const ClassTerm term = class_term(o, kept.teacher.log_probs[c], kept.z[c] - lse);
    row.loss += term.loss, total += term.u;
    row.d.push_back(term.u);
  }
  ClassTerm others{0, 0};
  if (kept.lse_rest != kNever) others = class_term(o, kept.teacher.log_rest, kept.lse_rest - lse);
  row.loss += others.loss, total += others.u;
  row.others = (others.u - std::exp(kept.lse_rest - lse) * total) / o.temperature;
  for (size_t c = 0; c < kept.z.size(); ++c)
    row.d[c] = (row.d[c] - std::exp(kept.z[c] - lse) * total) / o.temperature;
  return row;
}

// The divergences of a chunk's rows; with `wanted`, logits become weight times the derivatives.
// The backend's cross-entropy gives log-sum-exp and softmax over the tokens that are not kept: the
// kept ones are masked, and its target is one of the others.
void divergences(Backend& backend, std::vector<double>& losses, Tensor& logits,
                 const std::vector<const TeacherRow*>& teacher, const std::vector<float>& weights,
                 int64_t k, const Distillation& o, bool wanted) {
  const int64_t V = logits.cols();
  const auto n = losses.size();
  float* z = logits.data<float>();
  if (o.temperature != 1) backend.scale(z, 1 / o.temperature, logits.size());
  std::vector<float> kept(n * static_cast<size_t>(k)), anchors(n), loss(n), ones(n, 1.0f);
  std::vector<int32_t> target(n);
  std::vector<int64_t> count(n);  // of the kept tokens; -1: nothing is known
  bool others = false;
  for (size_t i = 0; i < n; ++i) {
    float* row = z + static_cast<int64_t>(i) * V;
    const int32_t* ids = teacher[i]->ids;
    count[i] = teacher[i]->is_known() ? std::find(ids, ids + k, -1) - ids : -1;
    for (int64_t c = 0; c < count[i]; ++c) {
      kept[i * static_cast<size_t>(k) + static_cast<size_t>(c)] = row[ids[c]];
      row[ids[c]] = kMasked;
    }
    if (count[i] == V) continue;
    others = true;
    target[i] = static_cast<int32_t>(
        std::find_if(row, row + V, [](float x) { return x != kMasked; }) - row);
    anchors[i] = row[target[i]];
  }
  if (others) backend.cross_entropy(loss.data(), wanted ? z : nullptr, z, target, ones.data(), V);
  for (size_t i = 0; i < n; ++i) {
    float* row = z + static_cast<int64_t>(i) * V;
    losses[i] = 0;
    if (count[i] < 0) {
      if (wanted) std::fill(row, row + V, 0.0f);
      continue;
    }
    const double lse_rest = count[i] < V ? double{loss[i]} + anchors[i] : kNever;
    const RowTerm term = row_divergence(
        {std::span(kept).subspan(i * static_cast<size_t>(k), static_cast<size_t>(count[i])),
         *teacher[i], lse_rest},
        o);
    losses[i] = term.loss;
    if (!wanted) continue;
    if (count[i] < V) {
      row[target[i]] = static_cast<float>(std::exp(anchors[i] - lse_rest));
      backend.scale(row, static_cast<float>(weights[i] * term.others), V);
    }
    for (int64_t c = 0; c < count[i]; ++c)
      row[teacher[i]->ids[c]] = static_cast<float>(weights[i] * term.d[static_cast<size_t>(c)]);
  }
}

}  // namespace

double linear_distillation(Context& ctx, const Tensor& x, const Weight& head,
                           std::span<const int32_t> targets, std::span<const float> row_weight,
                           std::span<const TeacherRow> teacher, int64_t k,
                           const Distillation& options, LogitShape shape) {
  const auto N = static_cast<size_t>(x.rows());
  SLLM_CHECK(targets.size() == N && row_weight.size() == N && teacher.size() == N,
             "linear_distillation: {} targets, {} weights and {} teacher's rows for {}",
             targets.size(), row_weight.size(), teacher.size(), x.to_string());
  SLLM_CHECK(k >= 1 && k <= head.N(), "linear_distillation: {} kept of {} tokens", k, head.N());
  std::vector<int32_t> rows;
  for (size_t i = 0; i < N; ++i)
    if (row_weight[i] != 0) rows.push_back(static_cast<int32_t>(i));
  const auto share = [&](int32_t row) {
    return teacher[static_cast<size_t>(row)].is_known() ? double{options.teacher_share} : 0.0;
  };
  double total = 0;
  in_logit_chunks(
      ctx, x, head, rows, shape, [&](std::span<const int32_t> part, Tensor& logits, bool wanted) {
        std::vector<int32_t> target;
        std::vector<float> of_teacher, of_labels, label_loss(part.size(), 0);
        std::vector<const TeacherRow*> kept;
        for (const int32_t i : part) {
          target.push_back(targets[i]);
          kept.push_back(&teacher[i]);
          of_teacher.push_back(static_cast<float>(row_weight[i] * share(i)));
          of_labels.push_back(static_cast<float>(row_weight[i] * (1 - share(i))));
        }
        Tensor from_labels;
        if (std::any_of(of_labels.begin(), of_labels.end(), [](float w) { return w != 0; })) {
          if (wanted) from_labels = Tensor::empty(DType::kF32, logits.shape());
          ctx.backend.cross_entropy(label_loss.data(), wanted ? from_labels.data<float>() : nullptr,
                                    logits.data<float>(), target, of_labels.data(), logits.cols());
        }
        std::vector<double> loss(part.size());
        divergences(ctx.backend, loss, logits, kept, of_teacher, k, options, wanted);
        if (from_labels.defined())
          ctx.backend.add(logits.data<float>(), logits.data<float>(), from_labels.data<float>(),
                          logits.size());
        for (size_t i = 0; i < part.size(); ++i)
          total += double{row_weight[part[i]]} *
                   (share(part[i]) * loss[i] + (1 - share(part[i])) * label_loss[i]);
      });
  return total;
}

}  // namespace sllm::ops
