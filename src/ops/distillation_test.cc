// Distillation: its value from the formulas, its gradient by finite differences, what is not kept
// as one class.
#include "ops/distillation.h"

#include <cmath>

#include "ops/gradient_check.h"

namespace sllm {
namespace {

constexpr int64_t kRows = 5, kWidth = 8, kVocabulary = 12;

// A teacher whose k likeliest tokens of each row are kept. With `gaps`, one less of row 1, and
// nothing is known of row 3.
struct Kept {
  Kept(int64_t k, double temperature, bool gaps = false, uint64_t seed = 7) : k(k) {
    const Tensor logits = random({kRows, kVocabulary}, seed);
    for (int64_t i = 0; i < kRows; ++i) {
      const float* z = logits.data<float>() + i * kVocabulary;
      std::vector<int32_t> order(kVocabulary);
      for (int32_t v = 0; v < kVocabulary; ++v) order[v] = v;
      std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return z[a] > z[b]; });
      double sum = 0, others = 0;
      for (int64_t v = 0; v < kVocabulary; ++v) sum += std::exp(z[v] / temperature);
      const int64_t here = gaps && i == 1 ? k - 1 : k;
      for (int64_t c = here; c < kVocabulary; ++c)
        others += std::exp(z[order[c]] / temperature) / sum;
      for (int64_t c = 0; c < k; ++c) {
        ids.push_back(c < here ? order[c] : -1);
        log_probs.push_back(static_cast<float>(z[order[c]] / temperature - std::log(sum)));
      }
      rest.push_back(gaps && i == 3 ? NAN : static_cast<float>(std::log(others)));
    }
    for (int64_t i = 0; i < kRows; ++i)
      rows.push_back({ids.data() + i * k, log_probs.data() + i * k, rest[i]});
  }
  int64_t k;
  std::vector<int32_t> ids;
  std::vector<float> log_probs, rest;
  std::vector<TeacherRow> rows;
};

const std::vector<int32_t> kTargets = {3, 0, 7, 11, 5};
const std::vector<float> kWeights = {0.5f, 1, 0, 0.25f, 2};

std::vector<Distillation> variants() {
  std::vector<Distillation> all;
  for (const Divergence d : {Divergence::kForward, Divergence::kReverse, Divergence::kJsd})
    for (const float temperature : {1.0f, 2.0f})
      for (const float share : {1.0f, 0.6f}) all.push_back({d, temperature, 0.3f, share});
  return all;
}

// The same from the definition, in double, over classes: the kept tokens and all others.
double expected(const Tensor& x, const Tensor& w, const Kept& kept, const Distillation& o) {
  double total = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    std::vector<double> z(kVocabulary, 0), q(kVocabulary);
    for (int64_t v = 0; v < kVocabulary; ++v)
      for (int64_t d = 0; d < kWidth; ++d)
        z[v] += double{x.data<float>()[i * kWidth + d]} * w.data<float>()[v * kWidth + d];
    double sum = 0, plain = 0;
    for (int64_t v = 0; v < kVocabulary; ++v)
      sum += q[v] = std::exp(z[v] / o.temperature), plain += std::exp(z[v]);
    std::vector<std::pair<double, double>> classes;  // p, q
    double others = 1;
    const double label = std::log(plain) - z[kTargets[i]];
    if (std::isnan(kept.rest[i])) {
      total += kWeights[i] * label;
      continue;
    }
    for (int64_t c = 0; c < kept.k && kept.rows[i].ids[c] >= 0; ++c) {
      const double share = q[kept.rows[i].ids[c]] / sum;
      classes.emplace_back(std::exp(kept.rows[i].log_probs[c]), share);
      others -= share;
    }
    if (std::ssize(classes) < kVocabulary) classes.emplace_back(std::exp(kept.rest[i]), others);
    double divergence = 0;
    for (const auto& [p, r] : classes) {
      const double m = o.mixture * p + (1 - o.mixture) * r;
      divergence += o.divergence == Divergence::kForward ? p * std::log(p / r)
                    : o.divergence == Divergence::kReverse
                        ? r * std::log(r / p)
                        : o.mixture * p * std::log(p / m) + (1 - o.mixture) * r * std::log(r / m);
    }
    total += kWeights[i] * (o.teacher_share * divergence + (1 - o.teacher_share) * label);
  }
  return total;
}

TEST(Distillation, IsTheDivergenceOverKeptTokensAndTheRest) {
  Backend backend;
  Context ctx{backend, Numerics::kExact, nullptr};
  const Tensor x = random({kRows, kWidth}, 1), w = random({kVocabulary, kWidth}, 2);
  for (const int64_t k : {int64_t{1}, int64_t{4}, kVocabulary - 1, kVocabulary})
    for (const bool gaps : {false, true})
      for (const Distillation& o : variants()) {
        const Kept kept(k, o.temperature, gaps);
        const double loss =
            ops::linear_distillation(ctx, x, Weight(w), kTargets, kWeights, kept.rows, k, o);
        const double reference = expected(x, w, kept, o);
        // float32 logits of about 5
        EXPECT_NEAR(loss, reference, 3e-6 * std::max(1.0, std::abs(reference))) << k << gaps;
      }
}

TEST(Distillation, GradientsMatchFiniteDifferences) {
  Backend backend;
  const Tensor x = random({kRows, kWidth}, 1), w = random({kVocabulary, kWidth}, 2);
  for (const auto& [k, gaps] :
       {std::pair{int64_t{4}, false}, {4, true}, {kVocabulary, false}, {kVocabulary, true}})
    for (const LogitShape shape : {LogitShape{}, LogitShape{0.7f, 3.0f}})
      for (const Distillation& o : variants()) {
        const Kept kept(k, o.temperature, gaps);
        Tape tape;
        tape.watch(x), tape.watch(w);
        Context ctx{backend, Numerics::kExact, &tape}, plain{backend, Numerics::kExact, nullptr};
        ops::linear_distillation(ctx, x, Weight(w), kTargets, kWeights, kept.rows, k, o, shape);
        for (const bool of_x : {true, false}) {
          const Tensor& input = of_x ? x : w;
          const Tensor direction = random(input.shape(), 100 + of_x);
          const auto at = [&](float step) {
            Tensor moved = input.clone();
            backend.axpy(moved.data<float>(), step, direction.data<float>(), moved.size());
            return ops::linear_distillation(plain, of_x ? moved : x, Weight(of_x ? w : moved),
                                            kTargets, kWeights, kept.rows, k, o, shape);
          };
          const double slope = (at(1e-2f) - at(-1e-2f)) / 2e-2;
          EXPECT_NEAR(inner(direction, tape.grad(input)), slope,
                      2e-3 * std::max(1.0, std::abs(slope)))
              << "k " << k << " of " << (of_x ? "x" : "w");
        }
      }
}

TEST(Distillation, IsNothingWhereTheStudentAgrees) {
  Backend backend;
  Tape tape;
  const Tensor x = random({kRows, kVocabulary}, 7);  // the teacher's logits
  Tensor identity = Tensor::zeros(DType::kF32, {kVocabulary, kVocabulary});
  for (int64_t v = 0; v < kVocabulary; ++v) identity.data<float>()[v * kVocabulary + v] = 1;
  tape.watch(x);
  Context ctx{backend, Numerics::kExact, &tape};
  for (const Distillation& o : variants()) {
    if (o.teacher_share < 1) continue;
    const Kept kept(4, o.temperature);
    tape.clear();
    const double loss =
        ops::linear_distillation(ctx, x, Weight(identity), kTargets, kWeights, kept.rows, 4, o);
    EXPECT_NEAR(loss, 0, 1e-6);
    for (int64_t i = 0; i < x.size(); ++i) ASSERT_NEAR(tape.grad(x).data<float>()[i], 0, 1e-6);
  }
}

}  // namespace
}  // namespace sllm
