// Curves of losses as lines of text, for a terminal of any size.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sllm::project {

struct TextCurve {
  char32_t mark = U'·';  // of its points; later curves are drawn over earlier ones
  std::vector<std::pair<double, double>> points;  // (step, loss); those not finite are left out
};
// `width` columns and `height` lines of plot (each at least 10 and 4), the axes around them; ""
// when there is nothing to show.
std::string text_plot(const std::vector<TextCurve>& curves, int width = 64, int height = 14);

}  // namespace sllm::project
