// The report's pictures as inline SVG: they scale with the page and carry a text alternative.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sllm::project {

struct Bar {
  std::string group;            // the model
  std::string series;           // the language
  double value = 0, error = 0;  // 0..1
};
// Horizontal bars, one block a group, with error whiskers and an optional bound per series.
std::string bar_chart(const std::vector<Bar>& bars,
                      const std::vector<std::pair<std::string, double>>& bounds,
                      const std::string& title);

struct Point {
  std::string label;
  double x = 0, y = 0;  // x > 0 on a logarithmic axis; y in 0..1
  int style = 0;        // colour class
};
std::string scatter_chart(const std::vector<Point>& points, const std::string& x_unit,
                          const std::string& title);

// (step, loss) of training, smoothed over a twentieth of the steps; what is not finite is left out.
// About `most` points.
std::vector<std::pair<double, double>> moving_average(const std::vector<double>& loss,
                                                      size_t most = SIZE_MAX);

// Training loss as a thin line with its moving average, evaluation losses as dots.
std::string loss_chart(const std::vector<double>& loss,
                       const std::vector<std::pair<int64_t, double>>& eval_loss,
                       const std::string& train_label, const std::string& eval_label,
                       const std::string& step_label);

// One of several runs.
struct Curve {
  std::string label;
  std::vector<std::pair<double, double>> evaluated;  // (step, evaluation loss)
  std::vector<double> loss;                          // of training, one per step
  bool chosen = false;
};
// Evaluation losses as dots on a line, training losses as thin lines (their moving average); the
// chosen run stands out and is drawn last.
std::string curves_chart(const std::vector<Curve>& curves, const std::string& title,
                         const std::string& step_label);

}  // namespace sllm::project
