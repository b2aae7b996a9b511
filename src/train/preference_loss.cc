// The formulas of preference_loss.h, in double.
#include "train/preference_loss.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sllm {
namespace {

double sigmoid(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
double log_sigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

// A loss of one number and its derivative.
struct Point {
  double value, slope;
};

// -(1-e) log sigma(z) - e log sigma(-z).
Point smoothed_logistic(double z, double e) {
  return {-(1 - e) * log_sigmoid(z) - e * log_sigmoid(-z), -(1 - e) * sigmoid(-z) + e * sigmoid(z)};
}

// (-(1-e) log sigma(z) + e log sigma(-z)) / (1-2e).
Point robust_logistic(double z, double e) {
  return {(-(1 - e) * log_sigmoid(z) + e * log_sigmoid(-z)) / (1 - 2 * e),
          (-(1 - e) * sigmoid(-z) - e * sigmoid(z)) / (1 - 2 * e)};
}

// log(p / (1 - p)) by log p. What is certain to the last place has odds without end; 1e-9 is below
// what a mean of float32 log-probabilities can tell from 0.
Point log_odds(double log_p) {
  const double x = std::min(log_p, -1e-9);
  const double log_rest = x > -std::log(2.0) ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
  return {x - log_rest, -1 / std::expm1(x)};
}

}  // namespace

std::optional<PreferenceKind> preference_kind(std::string_view objective) {
  if (objective == "dpo") return PreferenceKind::kDpo;
  if (objective == "ipo") return PreferenceKind::kIpo;
  if (objective == "simpo") return PreferenceKind::kSimPo;
  if (objective == "orpo") return PreferenceKind::kOrpo;
  if (objective == "kto") return PreferenceKind::kKto;
  return std::nullopt;
}

bool has_reference(PreferenceKind kind) {
  return kind != PreferenceKind::kSimPo && kind != PreferenceKind::kOrpo;
}

PairTerm pair_term(PreferenceKind kind, const TuneOptions& o, const AnswerScore& chosen,
                   const AnswerScore& rejected) {
  const double beta = o.beta;
  const auto tokens = [](const AnswerScore& s) { return static_cast<double>(s.tokens); };
  const double mean_chosen = chosen.policy / tokens(chosen),
               mean_rejected = rejected.policy / tokens(rejected);
  const double ratio_chosen = chosen.policy - chosen.reference,
               ratio_rejected = rejected.policy - rejected.reference;
  const AnswerTerm no_reference_chosen{0, beta * mean_chosen},
      no_reference_rejected{0, beta * mean_rejected};
  PairTerm term{0, {0, beta * ratio_chosen}, {0, beta * ratio_rejected}};
  switch (kind) {
    case PreferenceKind::kDpo: {
      const Point p = robust_logistic(beta * (ratio_chosen - ratio_rejected), o.label_smoothing);
      term.loss = p.value;
      term.chosen.slope = beta * p.slope, term.rejected.slope = -beta * p.slope;
      return term;
    }
    case PreferenceKind::kIpo: {
      const double error =
          ratio_chosen / tokens(chosen) - ratio_rejected / tokens(rejected) - 1 / (2 * beta);
      term.loss = error * error;
      term.chosen.slope = 2 * error / tokens(chosen);
      term.rejected.slope = -2 * error / tokens(rejected);
      return term;
    }
    case PreferenceKind::kSimPo: {
      const Point p =
          smoothed_logistic(beta * (mean_chosen - mean_rejected) - o.gamma, o.label_smoothing);
      term = {p.value, no_reference_chosen, no_reference_rejected};
      term.chosen.slope = beta * p.slope / tokens(chosen);
      term.rejected.slope = -beta * p.slope / tokens(rejected);
      return term;
    }
    case PreferenceKind::kOrpo: {
      const Point a = log_odds(mean_chosen), b = log_odds(mean_rejected);
      const double z = a.value - b.value, slope = -beta * sigmoid(-z);
      term = {-beta * log_sigmoid(z), no_reference_chosen, no_reference_rejected};
      term.chosen.slope = slope * a.slope / tokens(chosen);
      term.rejected.slope = -slope * b.slope / tokens(rejected);
      return term;
    }
    case PreferenceKind::kKto:
      break;
  }
  SLLM_CHECK(false, "pair_term: KTO has no pairs");
  return term;
}

KtoTerm kto_term(const TuneOptions& o, const AnswerScore& answer, bool wanted, double kl) {
  const double ratio = answer.policy - answer.reference;
  const double sign = wanted ? 1 : -1, weight = wanted ? o.desirable_weight : o.undesirable_weight;
  const double s = sigmoid(sign * o.beta * (ratio - kl)),
               rest = sigmoid(sign * o.beta * (kl - ratio));
  return {weight * rest, {-sign * weight * o.beta * s * rest, o.beta * ratio}};
}

}  // namespace sllm
