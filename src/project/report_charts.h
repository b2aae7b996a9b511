// The report's pictures as inline SVG: they scale with the page and carry a text alternative.
#pragma once

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

// Training loss as a thin line with its moving average, evaluation losses as dots.
std::string loss_chart(const std::vector<double>& loss,
                       const std::vector<std::pair<int64_t, double>>& eval_loss,
                       const std::string& train_label, const std::string& eval_label,
                       const std::string& step_label);

}  // namespace sllm::project
