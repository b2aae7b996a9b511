// Scores of one document and their aggregation over all (api/task.py process_results,
// api/metrics.py).
#include <algorithm>
#include <cmath>
#include <set>

#include "eval/python_text.h"
#include "eval/task.h"

namespace sllm::eval {
namespace {

// numpy's argmax: the first of the largest.
template <class F>
int64_t argmax(size_t n, F value) {
  int64_t best = 0;
  for (size_t i = 1; i < n; ++i)
    if (value(i) > value(static_cast<size_t>(best))) best = static_cast<int64_t>(i);
  return best;
}

Error unknown_metric(const std::string& task, const std::string& metric, std::string_view known) {
  return with_hint(usage_error("{}: the metric {} is not known for this output_type", task, metric),
                   fmt::format("Known metrics here: {}", known));
}

}  // namespace

bool Task::wants(const std::string& metric) const {
  return std::ranges::any_of(config_.metrics,
                             [&](const MetricConfig& m) { return m.metric == metric; });
}

Result<Contributions> Task::score_choices(const Item& item,
                                          const std::vector<ChoiceScore>& scores) const {
  const size_t n = item.choices.size();
  const auto logprob = [&](size_t i) { return scores[i].logprob; };
  const auto right = [&](int64_t predicted) {
    return std::ranges::find(item.gold, predicted) != item.gold.end() ? 1.0 : 0.0;
  };
  const int64_t predicted = argmax(n, logprob);
  Contributions out;
  for (const MetricConfig& metric : config_.metrics) {
    const std::string& name = metric.metric;
    if (name == "acc") {
      out[name] = right(predicted);
    } else if (name == "acc_norm") {  // per character of the choice
      out[name] = right(argmax(n, [&](size_t i) {
        return logprob(i) / static_cast<double>(character_count(item.choices[i]));
      }));
    } else if (name == "acc_bytes") {
      out[name] = right(argmax(
          n, [&](size_t i) { return logprob(i) / static_cast<double>(item.choices[i].size()); }));
    } else if (name == "acc_mutual_info") {
      out[name] = right(argmax(n, [&](size_t i) { return logprob(i) - logprob(n + i); }));
    } else if (name == "f1" || name == "mcc") {
      out[name] = Outcome{item.gold.empty() ? -1 : item.gold[0], predicted};
    } else if (name == "exact_match") {
      out[name] =
          std::ranges::any_of(item.gold, [&](int64_t g) { return g >= 0 && scores[g].greedy; })
              ? 1.0
              : 0.0;
    } else {
      return unknown_metric(config_.task, name,
                            "acc, acc_norm, acc_bytes, acc_mutual_info, f1, mcc, exact_match");
    }
  }
  return out;
}

Result<Contributions> Task::score_loglikelihood(const ChoiceScore& score) const {
  Contributions out;
  for (const MetricConfig& metric : config_.metrics) {
    if (metric.metric == "acc")
      out["acc"] = score.greedy ? 1.0 : 0.0;
    else if (metric.metric == "perplexity")
      out["perplexity"] = score.logprob;
    else
      return unknown_metric(config_.task, metric.metric, "acc, perplexity");
  }
  return out;
}

Result<Contributions> Task::score_generation(const Item& item, const std::string& answer) const {
  Contributions out;
  for (const MetricConfig& metric : config_.metrics) {
    if (metric.metric != "exact_match")
      return unknown_metric(config_.task, metric.metric, "exact_match");
    SLLM_TRY(const ExactMatchOptions options, ExactMatchOptions::from(metric.options));
    out["exact_match"] = std::ranges::any_of(item.answers,
                                             [&](const std::string& gold) {
                                               return exact_match(answer, gold, options);
                                             })
                             ? 1.0
                             : 0.0;
  }
  return out;
}

Result<Task::Aggregate> Task::aggregate(const MetricConfig& metric,
                                        const std::vector<Contribution>& contributions) const {
  static constexpr int64_t kBootstrapIterations = 100'000;  // the harness' default
  std::vector<double> numbers;
  std::vector<Outcome> outcomes;
  for (const Contribution& c : contributions) {
    if (const double* x = std::get_if<double>(&c))
      numbers.push_back(*x);
    else
      outcomes.push_back(std::get<Outcome>(c));
  }
  std::string name = metric.aggregation.kind == Field::Kind::kTemplate ? metric.aggregation.text
                     : metric.metric == "f1"                           ? "f1"
                     : metric.metric == "mcc"                          ? "matthews_corrcoef"
                     : metric.metric == "perplexity"                   ? "perplexity"
                                                                       : "mean";
  const auto wrong = [&](std::string_view expected) {
    return usage_error("{}: the metric {} cannot be aggregated by {}; expected {}", config_.task,
                       metric.metric, name, expected);
  };
  if (metric.aggregation.kind == Field::Kind::kFunction) {
    SLLM_TRY(const AggregationFunction f,
             find_aggregation_function(config_.task, metric.aggregation.text));
    if (!numbers.empty()) return wrong("mean");
    return Aggregate{f(outcomes), std::nullopt};  // the harness gives no error for these
  }
  const auto over_outcomes = [&](AggregationFunction f) {
    return Aggregate{f(outcomes),
                     bootstrap_stderr(static_cast<int64_t>(outcomes.size()), kBootstrapIterations,
                                      [&](std::span<const int64_t> drawn) {
                                        std::vector<Outcome> sample;
                                        for (const int64_t i : drawn) sample.push_back(outcomes[i]);
                                        return f(sample);
                                      })};
  };
  if (!outcomes.empty()) {
    if (name == "f1") return over_outcomes(binary_f1);
    if (name == "matthews_corrcoef") return over_outcomes(matthews_correlation);
    return wrong("f1 or matthews_corrcoef");
  }
  if (name == "mean") return Aggregate{mean(numbers), mean_stderr(numbers)};
  if (name == "perplexity")
    return Aggregate{std::exp(-mean(numbers)),
                     bootstrap_stderr(static_cast<int64_t>(numbers.size()), kBootstrapIterations,
                                      [&](std::span<const int64_t> drawn) {
                                        double sum = 0;
                                        for (const int64_t i : drawn) sum += numbers[i];
                                        return std::exp(-sum / static_cast<double>(drawn.size()));
                                      })};
  return wrong("mean or perplexity");
}

}  // namespace sllm::eval
