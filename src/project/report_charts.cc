// SVG by hand: coordinates are in a fixed view box, colours come from the page's style.
#include "project/report_charts.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "project/report.h"

namespace sllm::project {
namespace {

constexpr double kWidth = 440;

std::string begin_svg(double height, const std::string& title) {
  return fmt::format(
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\" "
      "xmlns=\"http://www.w3.org/2000/svg\">",
      kWidth, height, html_escape(title));
}
std::string text(double x, double y, std::string_view anchor, std::string_view content,
                 std::string_view style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>", x,
                     y, anchor, style, html_escape(content));
}
std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>",
                     x1, y1, x2, y2, style);
}

// 1, 2 or 5 times a power of ten, about `target` steps over the span.
double nice_step(double span, int target) {
  const double raw = span / target, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double m : {1.0, 2.0, 5.0})
    if (raw <= m * power) return m * power;
  return 10 * power;
}

}  // namespace

std::string bar_chart(const std::vector<Bar>& bars,
                      const std::vector<std::pair<std::string, double>>& bounds,
                      const std::string& title) {
  constexpr double kLeft = 4, kRight = 92, kBarHeight = 15, kLabelHeight = 19, kGap = 8;
  std::vector<std::string> series;
  std::vector<std::pair<std::string, std::vector<const Bar*>>> groups;
  for (const Bar& bar : bars) {
    if (std::ranges::find(series, bar.series) == series.end()) series.push_back(bar.series);
    if (groups.empty() || groups.back().first != bar.group) groups.push_back({bar.group, {}});
    groups.back().second.push_back(&bar);
  }
  double height = 26;
  for (const auto& [group, list] : groups)
    height += kLabelHeight + kGap + kBarHeight * static_cast<double>(list.size());
  const auto x = [&](double value) {
    return kLeft + (kWidth - kLeft - kRight) * std::clamp(value, 0.0, 1.0);
  };
  std::string svg = begin_svg(height, title);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0})
    svg += line(x(tick), 0, x(tick), height - 22, "grid") +
           text(x(tick), height - 6, tick == 0 ? "start" : "middle",
                fmt::format("{:.0f} %", 100 * tick), "tick");
  double y = 0;
  for (const auto& [group, list] : groups) {
    svg += text(kLeft, y + 15, "start", group, "label");
    y += kLabelHeight;
    for (const Bar* bar : list) {
      const auto s = std::ranges::find(series, bar->series) - series.begin();
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"2\" "
          "class=\"series{}\"><title>{} {}: {:.1f} % ± {:.1f}</title></rect>",
          kLeft, y, std::max(1.0, x(bar->value) - kLeft), kBarHeight - 3, s % 4, html_escape(group),
          html_escape(bar->series), 100 * bar->value, 100 * bar->error);
      const double middle = y + (kBarHeight - 3) / 2;
      if (bar->error > 0)
        svg +=
            line(x(bar->value - bar->error), middle, x(bar->value + bar->error), middle, "whisker");
      svg += text(kWidth - 2, middle + 4, "end",
                  fmt::format("{} {:.0f}", bar->series, 100 * bar->value), "tick");
      for (const auto& [name, bound] : bounds)
        if (name == bar->series)
          svg += line(x(bound), y - 1, x(bound), y + kBarHeight - 2, "bound");
      y += kBarHeight;
    }
    y += kGap;
  }
  return svg + "</svg>";
}

std::string scatter_chart(const std::vector<Point>& points, const std::string& x_unit,
                          const std::string& title) {
  constexpr double kHeight = 250, kLeft = 44, kRight = 84, kTop = 14, kBottom = 30;
  if (points.empty()) return {};
  double low = points[0].x, high = points[0].x;
  for (const Point& p : points) low = std::min(low, p.x), high = std::max(high, p.x);
  const double first = std::log10(std::max(1e-9, low / 1.5)), last = std::log10(high * 1.5);
  const auto x = [&](double v) {
    return kLeft + (kWidth - kLeft - kRight) * (std::log10(v) - first) / (last - first);
  };
  const auto y = [&](double v) {
    return kTop + (kHeight - kTop - kBottom) * (1 - std::clamp(v, 0.0, 1.0));
  };
  std::string svg = begin_svg(kHeight, title);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0})
    svg += line(kLeft, y(tick), kWidth - kRight, y(tick), "grid") +
           text(kLeft - 6, y(tick) + 4, "end", fmt::format("{:.0f} %", 100 * tick), "tick");
  for (double decade = std::floor(first); decade <= last; ++decade)
    for (const double m : {1.0, 2.0, 5.0}) {
      const double v = m * std::pow(10, decade);
      if (std::log10(v) < first || std::log10(v) > last) continue;
      svg +=
          line(x(v), kTop, x(v), kHeight - kBottom, "grid") +
          text(x(v), kHeight - kBottom + 16, "middle", fmt::format("{:g} {}", v, x_unit), "tick");
    }
  std::vector<double> taken;  // label heights, so that neighbours do not overlap
  for (const Point& p : points) {
    double label = y(p.y) + 4;
    for (int tries = 0; tries < 20; ++tries)
      if (std::ranges::any_of(taken, [&](double t) { return std::abs(t - label) < 14; }))
        label += label > kHeight / 2 ? -14 : 14;
    taken.push_back(label);
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"6\" class=\"series{}\"><title>{}</title></circle>",
        x(p.x), y(p.y), p.style % 4, html_escape(p.label));
    svg += text(x(p.x) + 10, label, "start", p.label, "label");
  }
  return svg + "</svg>";
}

std::vector<std::pair<double, double>> moving_average(const std::vector<double>& loss,
                                                      size_t most) {
  std::vector<std::pair<double, double>> points;
  const size_t every = std::max<size_t>(1, loss.size() / most);
  const double keep = 1 - std::min(1.0, 20 / std::max(1.0, static_cast<double>(loss.size())));
  double average = 0;
  bool begun = false;
  for (size_t i = 0; i < loss.size(); ++i) {
    if (!std::isfinite(loss[i])) continue;
    average = begun ? keep * average + (1 - keep) * loss[i] : loss[i];
    if (i % every == 0 || i + 1 == loss.size() || !begun)
      points.emplace_back(static_cast<double>(i + 1), average);
    begun = true;
  }
  return points;
}

std::string loss_chart(const std::vector<double>& loss,
                       const std::vector<std::pair<int64_t, double>>& eval_loss,
                       const std::string& train_label, const std::string& eval_label,
                       const std::string& step_label) {
  constexpr double kHeight = 220, kLeft = 38, kRight = 10, kTop = 14, kBottom = 36;
  if (loss.size() < 2) return {};
  double high = 0;
  for (const double v : loss)
    if (std::isfinite(v)) high = std::max(high, v);
  for (const auto& [step, v] : eval_loss) high = std::max(high, v);
  if (!(high > 0)) return {};
  const auto n = static_cast<double>(loss.size());
  const auto x = [&](double step) { return kLeft + (kWidth - kLeft - kRight) * step / n; };
  const auto y = [&](double v) {
    return kTop + (kHeight - kTop - kBottom) * (1 - std::clamp(v / high, 0.0, 1.0));
  };
  std::string svg = begin_svg(kHeight, train_label);
  const double step = nice_step(high, 5);
  for (double tick = 0; tick <= high * 1.0001; tick += step)
    svg += line(kLeft, y(tick), kWidth - kRight, y(tick), "grid") +
           text(kLeft - 6, y(tick) + 4, "end", fmt::format("{:g}", tick), "tick");
  const double stride = std::max(1.0, nice_step(n, 6));
  for (double tick = 0; tick <= n; tick += stride)
    svg += text(x(tick), kHeight - kBottom + 16, "middle", fmt::format("{:g}", tick), "tick");
  svg += text(kWidth - kRight, kHeight - 4, "end", step_label, "tick");
  std::string raw, smooth;
  for (size_t i = 0; i < loss.size(); ++i)
    if (std::isfinite(loss[i]))
      raw += fmt::format("{:.1f},{:.1f} ", x(static_cast<double>(i + 1)), y(loss[i]));
  for (const auto& [at, average] : moving_average(loss))
    smooth += fmt::format("{:.1f},{:.1f} ", x(at), y(average));
  svg += fmt::format("<polyline points=\"{}\" class=\"thin\"/>", raw);
  svg += fmt::format("<polyline points=\"{}\" class=\"curve\"/>", smooth);
  for (const auto& [at, v] : eval_loss)
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" class=\"series1\"><title>{} {}: {:.4f}"
        "</title></circle>",
        x(static_cast<double>(at)), y(v), html_escape(step_label), at, v);
  svg += fmt::format("<circle cx=\"{:.0f}\" cy=\"20\" r=\"5\" class=\"series0\"/>", kWidth - 128);
  svg += text(kWidth - 118, 24, "start", train_label, "label");
  svg += fmt::format("<circle cx=\"{:.0f}\" cy=\"38\" r=\"5\" class=\"series1\"/>", kWidth - 128);
  svg += text(kWidth - 118, 42, "start", eval_label, "label");
  return svg + "</svg>";
}

namespace {

constexpr size_t kPoints = 100;  // of a run's line among many

// Evaluation losses and what is near them: one run that went wrong must not press the others flat.
std::pair<double, double> range_of(const std::vector<Curve>& curves) {
  std::vector<double> values;
  for (const Curve& c : curves)
    for (const auto& [step, loss] : c.evaluated)
      if (std::isfinite(loss)) values.push_back(loss);
  if (values.empty()) return {0, 1};
  std::ranges::sort(values);
  double low = values.front();
  const double high = std::min(values.back(), 2 * values[values.size() / 2]);
  for (const Curve& c : curves)
    for (const auto& [step, loss] : moving_average(c.loss, kPoints)) low = std::min(low, loss);
  const double margin = std::max(0.08 * (high - low), 0.02 * std::abs(high));
  return {std::max(0.0, low - margin), high + margin};
}

}  // namespace

std::string curves_chart(const std::vector<Curve>& curves, const std::string& title,
                         const std::string& step_label) {
  constexpr double kHeight = 250, kLeft = 44, kRight = 12, kTop = 12, kBottom = 36;
  double steps = 0;
  for (const Curve& c : curves) {
    steps = std::max(steps, static_cast<double>(c.loss.size()));
    for (const auto& [step, loss] : c.evaluated) steps = std::max(steps, step);
  }
  if (steps < 1) return {};
  const auto [low, high] = range_of(curves);
  const auto x = [&](double step) { return kLeft + (kWidth - kLeft - kRight) * step / steps; };
  const auto y = [&, low = low, high = high](double loss) {
    const double share = std::isfinite(loss) ? (loss - low) / (high - low) : 1;
    return kTop + (kHeight - kTop - kBottom) * (1 - std::clamp(share, 0.0, 1.0));
  };
  std::string svg = begin_svg(kHeight, title);
  const double stride = nice_step(high - low, 7);
  for (double tick = std::ceil(low / stride) * stride; tick <= high; tick += stride)
    svg += line(kLeft, y(tick), kWidth - kRight, y(tick), "grid") +
           text(kLeft - 6, y(tick) + 4, "end", fmt::format("{:.3g}", tick), "tick");
  const double every = std::max(1.0, nice_step(steps, 6));
  for (double tick = 0; tick <= steps; tick += every)
    svg += text(x(tick), kHeight - kBottom + 16, "middle", fmt::format("{:g}", tick), "tick");
  svg += text(kWidth - kRight, kHeight - 4, "end", step_label, "tick");
  const auto draw = [&](const Curve& c) {
    const char* style = c.chosen ? " best" : "";
    std::string trained, evaluated, dots;
    for (const auto& [step, loss] : moving_average(c.loss, kPoints))
      trained += fmt::format("{:.1f},{:.1f} ", x(step), y(loss));
    for (const auto& [step, loss] : c.evaluated) {
      evaluated += fmt::format("{:.1f},{:.1f} ", x(step), y(loss));
      dots += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" class=\"dot{}\"><title>{}: {} {:g}, {:.4f}"
          "</title></circle>",
          x(step), y(loss), style, html_escape(c.label), html_escape(step_label), step, loss);
    }
    svg += fmt::format("<polyline points=\"{}\" class=\"trained{}\"/>", trained, style);
    svg += fmt::format("<polyline points=\"{}\" class=\"evaluated{}\"/>{}", evaluated, style, dots);
  };
  for (const Curve& c : curves)
    if (!c.chosen) draw(c);
  for (const Curve& c : curves)
    if (c.chosen) draw(c);
  return svg + "</svg>";
}

}  // namespace sllm::project
