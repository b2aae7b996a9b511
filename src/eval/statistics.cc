// Means, F1 and their standard errors.
#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "eval/python_random.h"

namespace sllm::eval {

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double mean_stderr(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mu = mean(values);
  double squares = 0;
  for (const double x : values) squares += (x - mu) * (x - mu);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1)) / std::sqrt(n);
}

namespace {
double f1_of_class(std::span<const Outcome> outcomes, int64_t c) {
  double hit = 0, wrong = 0;
  for (const Outcome& o : outcomes) {
    hit += o.gold == c && o.predicted == c;
    wrong += (o.gold == c) != (o.predicted == c);
  }
  return hit + wrong == 0 ? 0 : 2 * hit / (2 * hit + wrong);
}
}  // namespace

double binary_f1(std::span<const Outcome> outcomes) { return f1_of_class(outcomes, 1); }

double macro_f1(std::span<const Outcome> outcomes) {
  std::set<int64_t> classes;
  for (const Outcome& o : outcomes) classes.insert({o.gold, o.predicted});
  double sum = 0;
  for (const int64_t c : classes) sum += f1_of_class(outcomes, c);
  return classes.empty() ? 0 : sum / static_cast<double>(classes.size());
}

double matthews_correlation(std::span<const Outcome> outcomes) {  // Gorodkin 2004, K classes
  std::map<int64_t, double> gold, predicted;
  double correct = 0;
  for (const Outcome& o : outcomes) {
    ++gold[o.gold];
    ++predicted[o.predicted];
    correct += o.gold == o.predicted;
  }
  const auto n = static_cast<double>(outcomes.size());
  double cross = 0, gold2 = 0, predicted2 = 0;
  for (const auto& [c, count] : gold) {
    gold2 += count * count;
    if (const auto it = predicted.find(c); it != predicted.end()) cross += count * it->second;
  }
  for (const auto& [c, count] : predicted) predicted2 += count * count;
  const double denominator = std::sqrt((n * n - predicted2) * (n * n - gold2));
  return denominator == 0 ? 0 : (correct * n - cross) / denominator;
}

double bootstrap_stderr(int64_t n, int64_t iterations,
                        const std::function<double(std::span<const int64_t>)>& statistic) {
  const int64_t chunk = std::min<int64_t>(1000, iterations);
  if (n < 1 || chunk < 1) return 0;
  std::vector<double> values;
  std::vector<int64_t> drawn(n);
  for (int64_t i = 0; i < iterations / chunk; ++i) {
    PythonRandom random(static_cast<uint64_t>(i));
    for (int64_t j = 0; j < chunk; ++j) {
      for (int64_t& index : drawn)
        index = static_cast<int64_t>(std::floor(random.random() * static_cast<double>(n)));
      values.push_back(statistic(drawn));
    }
  }
  return mean_stderr(values) * std::sqrt(static_cast<double>(values.size()));
}

}  // namespace sllm::eval
