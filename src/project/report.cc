// Builds report.html from what evaluation found.
#include "project/report.h"

#include <algorithm>
#include <set>

#include "project/report_charts.h"
#include "project/report_style.h"
#include "project/report_words.h"

namespace sllm::project {

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  return out;
}

namespace {

std::string human_bytes(int64_t bytes) {
  const auto n = static_cast<double>(bytes);
  return n >= 1e9 ? fmt::format("{:.2f} GB", n / 1e9) : fmt::format("{:.0f} MB", n / 1e6);
}

std::string human_seconds(double s) {
  if (s < 1) return fmt::format("{:.0f} ms", 1000 * s);
  if (s < 90) return fmt::format("{:.1f} s", s);
  if (s < 5400) return fmt::format("{:.0f} min", s / 60);
  return fmt::format("{:.1f} h", s / 3600);
}

// Fractions as percent, other metrics as they are.
bool is_fraction(const std::string& metric) {
  static const std::set<std::string> kPlain = {"kld", "perplexity", "first_word_seconds",
                                               "memory_mb", "disk_mb"};
  return !kPlain.contains(metric);
}
std::string human_value(const std::string& metric, double value) {
  return is_fraction(metric) ? fmt::format("{:.1f} %", 100 * value) : fmt::format("{:.4g}", value);
}

class Page {
 public:
  explicit Page(const ReportInput& input)
      : in_(input), words_(input.project.report_language), metrics_(shown_metrics()) {}

  std::string render() {
    const Project& p = in_.project;
    html_ = fmt::format(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<title>{}</title><style>{}</style></head><body><main>\n",
        p.report_language, html_escape(p.name), kReportStyle);
    html_ += fmt::format("<header><h1>{}</h1><p class=\"goal\">{}</p></header>\n",
                         html_escape(p.name), html_escape(p.goal));
    html_ += fmt::format("<p class=\"verdict {}\">{}</p>\n", in_.verdict.passed() ? "good" : "bad",
                         html_escape(verdict_sentence(in_.verdict, p.report_language)));
    requirements();
    side_by_side();
    charts();
    learning();
    gates();
    answers();
    data();
    origins();
    again();
    return html_ + "</main></body></html>\n";
  }

 private:
  std::string_view w(std::string_view english) const { return words_(english); }
  void begin_section(std::string_view title) {
    html_ += fmt::format("<section><h2>{}</h2>\n", w(title));
  }
  void end_section() { html_ += "</section>\n"; }
  std::string cell(std::string_view label, const std::string& content, bool number = true) const {
    return fmt::format("<td{} data-label=\"{}\"><span>{}</span></td>", number ? " class=\"n\"" : "",
                       html_escape(label), content);
  }

  std::vector<std::string> shown_metrics() const {
    std::vector<std::string> metrics = in_.project.evaluate.metrics;
    if (in_.project.evaluate.grounded)
      metrics.insert(metrics.end(), {"cited", "refused", "falsely_refused"});
    return metrics;
  }
  const std::string& first_metric() const { return metrics_.front(); }

  void requirements() {
    if (in_.verdict.checks.empty()) return;
    begin_section("Requirements");
    html_ += fmt::format(
        "<table class=\"cards\"><thead><tr><th></th><th>{}</th><th class=\"n\">{}</th>"
        "<th class=\"n\"></th><th></th></tr></thead><tbody>\n",
        w("Model"), w("needed"));
    for (const Check& check : in_.verdict.checks) {
      const Threshold& t = check.threshold;
      std::string what = html_escape(words_.metric(t.metric));
      if (!t.language.empty()) what += ", " + html_escape(words_.language(t.language));
      const std::string bound = words_.korean()
                                    ? fmt::format("{} {}", human_value(t.metric, t.bound),
                                                  w(t.upper ? "at most" : "at least"))
                                    : fmt::format("{} {}", w(t.upper ? "at most" : "at least"),
                                                  human_value(t.metric, t.bound));
      html_ += "<tr>" + cell("", what, false) + cell(w("Model"), html_escape(check.label), false) +
               cell(w("needed"), bound) +
               cell(w("Quality"), check.value ? human_value(t.metric, *check.value)
                                              : std::string(w("not measured"))) +
               fmt::format("<td data-label=\"\"><span class=\"mark {}\">{} {}</span></td></tr>\n",
                           check.met ? "good" : "bad", check.met ? "✓" : "✗",
                           w(check.met ? "met" : "missed"));
    }
    html_ += "</tbody></table>\n";
    end_section();
  }

  std::string label_of(const Candidate& c) const {
    std::string role(w(name(c.role)));
    if (c.examples > 0)
      role += words_.korean() ? fmt::format(", {}{}", c.examples, w("examples in the prompt"))
                              : fmt::format(", {} {}", c.examples, w("examples in the prompt"));
    const std::string label = c.label == name(c.role) ? std::string(w(c.label)) : c.label;
    return html_escape(label) + (c.label == name(c.role) && c.examples == 0
                                     ? std::string()
                                     : "<span class=\"role\">" + html_escape(role) + "</span>");
  }

  std::string figure_cell(const std::string& label, const std::string& metric,
                          const std::optional<eval::Figure>& f) const {
    if (!f) return cell(label, "–");
    std::string content = human_value(metric, f->value);
    if (f->standard_error > 0 && is_fraction(metric))
      content += fmt::format(" <span class=\"se\">± {:.1f}</span>", 100 * f->standard_error);
    return cell(label, content);
  }

  // Columns of the large table: a metric and a language or "".
  std::vector<std::pair<std::string, std::string>> quality_columns() const {
    std::vector<std::pair<std::string, std::string>> columns;
    for (const std::string& metric : metrics_) {
      if (in_.project.languages.size() < 2)
        columns.emplace_back(metric, "");
      else
        for (const std::string& language : in_.project.languages)
          columns.emplace_back(metric, language);
    }
    std::set<std::string> tasks;
    bool kld = false, perplexity = false;
    for (const Candidate& c : in_.candidates) {
      for (const auto& [task, figure] : c.tasks)
        if (task.find('.') == task.npos) tasks.insert(task);
      kld |= c.kld.has_value(), perplexity |= c.perplexity.has_value();
    }
    for (const std::string& task : tasks) columns.emplace_back("task." + task, "");
    if (perplexity) columns.emplace_back("perplexity", "");
    if (kld) columns.emplace_back("kld", "");
    return columns;
  }

  void side_by_side() {
    begin_section("Side by side");
    const auto columns = quality_columns();
    const auto title = [&](const auto& column) {
      return words_.metric(column.first) +
             (column.second.empty() ? "" : ", " + words_.language(column.second));
    };
    html_ += "<div class=\"wide\"><table class=\"cards\"><thead><tr><th></th>";
    for (const auto& column : columns)
      html_ += fmt::format("<th class=\"n\">{}</th>", html_escape(title(column)));
    for (const char* key : {"Size", "Memory", "First word", "Answer", "Speed"})
      html_ += fmt::format("<th class=\"n\">{}</th>", w(key));
    html_ += "</tr></thead><tbody>\n";
    for (const Candidate& c : in_.candidates) {
      html_ += "<tr>" + cell("", label_of(c), false);
      for (const auto& column : columns)
        html_ += figure_cell(title(column), column.first, c.figure(column.first, column.second));
      html_ +=
          cell(w("Size"), human_bytes(c.bytes)) +
          cell(w("Memory"), c.peak_memory > 0 ? human_bytes(c.peak_memory) : "–") +
          cell(w("First word"), human_seconds(c.answers.first_word_seconds)) +
          cell(w("Answer"), human_seconds(c.answers.seconds)) +
          cell(w("Speed"), fmt::format("{:.0f} {}", c.answers.tokens_per_second, w("tokens/s"))) +
          "</tr>\n";
    }
    html_ += "</tbody></table></div>\n";
    end_section();
  }

  void charts() {
    std::vector<Bar> bars;
    std::vector<Point> points;
    std::vector<std::pair<std::string, double>> bounds;
    const bool several = in_.project.languages.size() > 1;
    for (const Threshold& t : in_.project.thresholds)
      if (t.metric == first_metric() && !t.upper) {
        if (!t.language.empty() || !several)
          bounds.emplace_back(
              words_.language(t.language.empty() ? in_.project.languages.front() : t.language),
              t.bound);
        else
          for (const std::string& language : in_.project.languages)
            bounds.emplace_back(words_.language(language), t.bound);
      }
    for (const Candidate& c : in_.candidates) {
      for (const std::string& language : in_.project.languages)
        if (const auto f = c.figure(first_metric(), several ? language : ""))
          bars.push_back({c.label == name(c.role) ? std::string(w(c.label)) : c.label,
                          words_.language(language), f->value, f->standard_error});
      if (const auto f = c.figure(first_metric(), ""); f && c.bytes > 0)
        points.push_back({c.label == name(c.role) ? std::string(w(c.label)) : c.label,
                          static_cast<double>(c.bytes) / 1e6, f->value, static_cast<int>(c.role)});
    }
    if (bars.empty()) return;
    begin_section("Quality");
    const std::string title = words_.metric(first_metric());
    html_ +=
        fmt::format("<h3>{}</h3>\n", html_escape(title)) + bar_chart(bars, bounds, title) +
        fmt::format("<p class=\"note\">{}</p>\n", w("Bars show one standard error either way."));
    html_ += fmt::format("<h3>{}</h3>\n", w("Quality and size")) +
             scatter_chart(points, "MB", std::string(w("Quality and size"))) +
             fmt::format("<p class=\"note\">{}</p>\n",
                         w("Further right is larger on disk; higher is better."));
    end_section();
  }

  void learning() {
    const std::string chart = loss_chart(in_.loss, in_.eval_loss, std::string(w("training loss")),
                                         std::string(w("evaluation loss")), std::string(w("step")));
    if (chart.empty()) return;
    begin_section("Learning");
    html_ += "<div class=\"facts\">";
    const auto fact = [&](const std::string& value, std::string_view what) {
      html_ += fmt::format("<div><b>{}</b>{}</div>", value, w(what));
    };
    fact(fmt::format("{}", in_.loss.size()), "steps");
    fact(fmt::format("{}", in_.tune_tokens), "tokens");
    fact(fmt::format("{:.0f}", in_.tune_tok_s), "tokens/s");
    fact(human_seconds(in_.tune_seconds), "Time spent");
    fact(fmt::format("{:.1f} M", static_cast<double>(in_.trained_parameters) / 1e6),
         "trained parameters");
    html_ += "</div>\n" + chart;
    end_section();
  }

  void gates() {
    if (in_.gates.empty()) return;
    begin_section("The same model at every border");
    html_ += "<div class=\"wide\"><table class=\"cards\"><thead><tr>";
    for (const char* key : {"Border", "Compared"}) html_ += fmt::format("<th>{}</th>", w(key));
    for (const char* key : {"Same tokens", "Divergence (KLD)", "Same answers", "Bound"})
      html_ += fmt::format("<th class=\"n\">{}</th>", w(key));
    html_ += fmt::format("<th>{}</th></tr></thead><tbody>\n", w("Verdict"));
    for (const GateResult& gate : in_.gates) gate_row(gate);
    html_ += fmt::format(
        "</tbody></table></div>\n<p class=\"note\">{}</p>\n",
        w("Conversations that give the same tokens, divergence of the next token's distribution, "
          "and greedy answers that are the same. A near tie is where rounding alone may decide "
          "between two tokens."));
    end_section();
  }

  void gate_row(const GateResult& gate) {
    const eval::Sameness& s = gate.sameness;
    const bool merge = gate.border == "merge", serve = gate.border == "serve";
    const bool tuned = in_.project.tune.method != "none";
    const std::string type = html_escape(serve ? in_.project.deploy.type : gate.border);
    const std::string before(merge   ? w("base with adapter")
                             : serve ? w("file")
                             : tuned ? w("merged model")
                                     : w("base model")),
        after(merge   ? std::string(w("merged model"))
              : serve ? std::string(w("server"))
                      : type);
    std::string answers = fmt::format("{}/{}", s.answers_equal, s.answers);
    if (s.answers_tied > 0)
      answers += words_.korean() ? fmt::format(" ({}{})", s.answers_tied, w("near ties"))
                                 : fmt::format(" ({} {})", s.answers_tied, w("near ties"));
    html_ += "<tr>" +
             cell(w("Border"),
                  std::string(w(merge   ? "merging"
                                : serve ? "serving over HTTP"
                                        : "quantising")) +
                      (merge ? "" : " <span class=\"role\">" + type + "</span>"),
                  false) +
             cell(w("Compared"), before + " ↔ " + after, false) +
             cell(w("Same tokens"), fmt::format("{}/{}", s.conversations_equal, s.conversations)) +
             cell(w("Divergence (KLD)"), s.kld_mean ? fmt::format("{:.2g}", *s.kld_mean) : "–") +
             cell(w("Same answers"), answers) +
             cell(w("Bound"), fmt::format("{} ≤ {:g}", html_escape(s.bound.kind), s.bound.kld)) +
             fmt::format("<td data-label=\"{}\"><span class=\"mark {}\">{} {}</span></td></tr>\n",
                         w("Verdict"), s.same() ? "good" : "bad", s.same() ? "✓" : "✗",
                         w(s.same() ? "the same model" : "another model"));
  }

  // The model that ships, else the last that was evaluated before the references.
  const Candidate* shipped() const {
    const Candidate* found = nullptr;
    for (const Candidate& c : in_.candidates) {
      if (c.role != Role::kReference) found = &c;
      if (c.role == Role::kQuantised && c.label == in_.project.deploy.type) return &c;
    }
    return found;
  }
  const Candidate* base() const {
    for (const Candidate& c : in_.candidates)
      if (c.role == Role::kBase) return &c;
    return nullptr;
  }

  void one_answer(const eval::ScoredRow& scored) {
    const auto entry = [&](std::string_view what, const std::string& content) {
      html_ += fmt::format("<dt>{}</dt><dd><pre>{}</pre></dd>", w(what),
                           content.empty() ? std::string(w("nothing")) : html_escape(content));
    };
    html_ += fmt::format("<div class=\"answer\"><strong>{}</strong> <span class=\"se\">{}",
                         html_escape(scored.row.id), html_escape(words_.language(scored.row.lang)));
    for (const auto& [metric, score] : scored.scores)
      html_ +=
          fmt::format(" · {} {}", html_escape(words_.metric(metric)), human_value(metric, score));
    html_ += "</span><dl>";
    entry("asked", scored.row.prompt.empty() ? "" : scored.row.prompt.back().content);
    entry("expected", scored.row.expected);
    entry("answered", scored.reply.text);
    if (const Candidate* before = base(); before && before != shipped())
      for (const eval::ScoredRow& other : before->answers.rows)
        if (other.row.id == scored.row.id) entry("before tuning", other.reply.text);
    html_ += "</dl></div>\n";
  }

  void answers() {
    const Candidate* model = shipped();
    if (!model || model->answers.rows.empty()) return;
    std::vector<const eval::ScoredRow*> rows;
    for (const eval::ScoredRow& scored : model->answers.rows) rows.push_back(&scored);
    const auto score = [&](const eval::ScoredRow* r) {
      double sum = 0;
      for (const auto& [metric, value] : r->scores)
        sum += metric == "falsely_refused" ? 1 - value : value;
      return r->scores.empty() ? 0 : sum / static_cast<double>(r->scores.size());
    };
    std::ranges::stable_sort(rows, [&](auto a, auto b) { return score(a) < score(b); });
    const size_t n = std::min<size_t>(10, rows.size());
    const auto worse =
        std::ranges::find_if(rows.begin(), rows.begin() + n, [&](auto r) { return score(r) >= 1; });
    begin_section("The ten worst answers");
    html_ += fmt::format("<p class=\"note\">{}</p>\n", html_escape(model->label));
    for (auto it = rows.begin(); it != worse; ++it) one_answer(**it);
    if (worse == rows.begin())
      html_ += fmt::format("<p>{}</p>\n", w("No answer was worse than the best possible one."));
    html_ += fmt::format("<details><summary>{}</summary>\n", w("The ten best answers"));
    for (size_t i = 0; i < n; ++i) one_answer(*rows[rows.size() - 1 - i]);
    html_ += "</details>\n";
    end_section();
  }

  void data() {
    if (in_.rows_read == 0) return;
    begin_section("Data");
    html_ += fmt::format(
        "<div class=\"facts\"><div><b>{}</b>{}</div><div><b>{}</b>{}</div><div><b>{}</b>{}</div>"
        "</div>\n",
        in_.rows_read, w("rows read"), in_.rows_kept, w("rows kept"), in_.rows_read - in_.rows_kept,
        w("rows dropped"));
    if (in_.rows_dropped.empty()) {
      html_ += fmt::format("<p class=\"note\">{}</p>\n", w("Nothing was dropped."));
    } else {
      html_ += fmt::format("<table><thead><tr><th>{}</th><th class=\"n\">{}</th></tr></thead>",
                           w("Reason"), w("Rows"));
      for (const auto& [reason, rows] : in_.rows_dropped)
        html_ +=
            fmt::format("<tr><td>{}</td><td class=\"n\">{}</td></tr>\n", html_escape(reason), rows);
      html_ += "</table>\n";
    }
    if (!in_.drop_examples.empty()) {
      html_ +=
          fmt::format("<details><summary>{}</summary><table>\n", w("Examples of dropped rows"));
      for (const auto& drop : in_.drop_examples)
        html_ += fmt::format("<tr><td>{}</td><td>{}<br><span class=\"se\">{}</span></td></tr>\n",
                             html_escape(drop.source), html_escape(drop.reason),
                             html_escape(drop.detail));
      html_ += "</table></details>\n";
    }
    end_section();
  }

  void origins() {
    if (in_.parts.empty()) return;
    begin_section("Origins and licences");
    html_ += fmt::format(
        "<table class=\"cards\"><thead><tr><th>{}</th><th>{}</th><th>{}</th>"
        "<th>SHA-256</th></tr></thead>\n",
        w("Name"), w("What"), w("Licence"));
    for (const auto& part : in_.parts)
      html_ +=
          "<tr>" + cell("", html_escape(part.name), false) +
          cell(w("What"), std::string(w(part.what)), false) +
          cell(w("Licence"),
               part.licence.empty() ? std::string(w("not stated")) : html_escape(part.licence),
               false) +
          cell("SHA-256",
               part.sha256.empty() ? "–"
                                   : "<code>" + html_escape(part.sha256.substr(0, 12)) + "</code>",
               false) +
          "</tr>\n";
    html_ += "</table>\n";
    end_section();
  }

  void again() {
    begin_section("Again");
    html_ += fmt::format("<pre>{}</pre><p class=\"note\">{}</p>\n", html_escape(in_.command),
                         w("This command makes it again; what has not changed is not made twice."));
    if (!in_.stage_seconds.empty()) {
      html_ += fmt::format("<h3>{}</h3><table>\n", w("Time spent"));
      for (const auto& [stage, seconds] : in_.stage_seconds)
        html_ += fmt::format("<tr><td>{}</td><td class=\"n\">{}</td></tr>\n", html_escape(stage),
                             human_seconds(seconds));
      html_ += "</table>\n";
    }
    html_ += fmt::format("<p class=\"note\">sllm {} · {}</p>\n", html_escape(in_.version),
                         html_escape(in_.machine));
    end_section();
  }

  const ReportInput& in_;
  Words words_;
  std::vector<std::string> metrics_;
  std::string html_;
};

}  // namespace

std::string verdict_sentence(const Verdict& verdict, const std::string& language) {
  const Words words(language);
  const size_t total = verdict.checks.size(), missed = verdict.missed().size();
  if (total == 0)
    return words.korean() ? "요구 사항이 없어 합격 여부를 판정하지 않았습니다."
                          : "No requirement was set, so nothing was decided.";
  if (missed == 0)
    return words.korean()
               ? fmt::format("합격: 요구 사항 {}개를 모두 충족하여 배포할 수 있습니다.", total)
               : fmt::format("Ready: all {} requirements are met, so it may be deployed.", total);
  std::string list;
  for (const Check& check : verdict.missed()) {
    const Threshold& t = check.threshold;
    const std::string value =
        check.value ? human_value(t.metric, *check.value) : std::string(words("not measured"));
    list += (list.empty() ? "" : "; ") +
            fmt::format("{} {}{}", check.label, words.metric(t.metric),
                        t.language.empty() ? "" : " (" + words.language(t.language) + ")");
    list += words.korean()
                ? fmt::format(" {} (기준 {} {})", value, human_value(t.metric, t.bound),
                              words(t.upper ? "at most" : "at least"))
                : fmt::format(" {}, needed {} {}", value, words(t.upper ? "at most" : "at least"),
                              human_value(t.metric, t.bound));
  }
  return words.korean()
             ? fmt::format("불합격: 요구 사항 {}개 중 {}개가 미달입니다. {}.", total, missed, list)
             : fmt::format("Not ready: {} of {} requirements are missed: {}.", missed, total, list);
}

std::string render_report(const ReportInput& input) { return Page(input).render(); }

}  // namespace sllm::project
