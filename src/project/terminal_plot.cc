#include "project/terminal_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sllm::project {
namespace {

std::string utf8(char32_t c) {
  std::string out;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
  return out;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double v) { low = std::min(low, v), high = std::max(high, v); }
};

}  // namespace

std::string text_plot(const std::vector<TextCurve>& curves, int width, int height) {
  width = std::max(width, 10), height = std::max(height, 4);
  Range steps, losses;
  for (const TextCurve& c : curves)
    for (const auto& [step, loss] : c.points)
      if (std::isfinite(loss)) steps.add(step), losses.add(loss);
  if (steps.high < steps.low) return {};
  if (losses.high == losses.low) losses.high += 1e-6 + std::abs(losses.low) * 0.01;
  if (steps.high == steps.low) steps.high += 1;
  std::vector<std::u32string> lines(static_cast<size_t>(height),
                                    std::u32string(static_cast<size_t>(width), U' '));
  const auto place = [](double v, const Range& range, int cells) {
    const double share = (v - range.low) / (range.high - range.low);
    return std::clamp(static_cast<int>(std::lround(share * (cells - 1))), 0, cells - 1);
  };
  for (const TextCurve& c : curves)
    for (const auto& [step, loss] : c.points)
      if (std::isfinite(loss))
        lines[static_cast<size_t>(height - 1 - place(loss, losses, height))]
             [static_cast<size_t>(place(step, steps, width))] = c.mark;
  std::string out;
  for (int i = 0; i < height; ++i) {
    const double at = losses.high - (losses.high - losses.low) * i / (height - 1);
    const bool label = i % 4 == 0 || i == height - 1;
    std::string line = label ? fmt::format("{:>9.4f} ┤", at) : fmt::format("{:>9} │", "");
    for (const char32_t c : lines[static_cast<size_t>(i)]) line += utf8(c);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  std::string axis;
  for (int i = 0; i < width; ++i) axis += "─";
  out += fmt::format("{:>9} └{}\n", "", axis);
  const std::string last = fmt::format("step {:g}", steps.high);
  const std::string first = fmt::format("{:g}", steps.low);
  const int gap = std::max(1, width - static_cast<int>(first.size() + last.size()));
  return out + fmt::format("{:>11}{}{:>{}}{}\n", "", first, "", gap, last);
}

}  // namespace sllm::project
