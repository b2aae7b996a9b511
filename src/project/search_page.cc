// Builds search.html.
#include "project/search_page.h"

#include <cmath>

#include "project/report.h"
#include "project/report_charts.h"
#include "project/report_style.h"
#include "project/report_words.h"

namespace sllm::project {

std::string share_text(double share) {
  const double parts = std::round(1 / share);
  if (std::abs(parts * share - 1) > 1e-6) return fmt::format("{:.3g}", share);
  return parts == 1 ? "1" : fmt::format("1/{:.0f}", parts);
}

fs::path best_adapter(const fs::path& folder, const Search& search) {
  if (search.best < 0) return {};
  const fs::path adapter = adapter_path(candidate_path(folder, search.best));
  std::error_code error;
  return fs::exists(adapter, error) ? adapter : fs::path();
}

namespace {

class Page {
 public:
  explicit Page(const SearchPage& input)
      : in_(input), search_(input.search), words_(input.language) {}

  std::string render() {
    html_ = fmt::format(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<title>{}</title><style>{}</style></head><body><main>\n",
        words_.korean() ? "ko" : "en", words_("Search for tuning settings"), kReportStyle);
    html_ += fmt::format("<header><h1>{}</h1><p class=\"goal\">{} · {}</p></header>\n",
                         words_("Search for tuning settings"), html_escape(in_.model),
                         html_escape(in_.data));
    if (best()) html_ += fmt::format("<p class=\"verdict good\">{}</p>\n", sentence());
    curves();
    candidates();
    method();
    settings();
    return html_ + "</main></body></html>\n";
  }

 private:
  const SearchCandidate* best() const {
    return search_.best < 0 ? nullptr : &search_.candidates[static_cast<size_t>(search_.best)];
  }

  std::string sentence() const {
    const SearchCandidate& c = *best();
    const SearchRung& last = c.rungs.back();
    std::string text =
        words_.korean()
            ? fmt::format(
                  "최선: 학습률 {:g}, 랭크 {}, 에포크 {}. 평가 손실 {:.4f} (후보 {}개 중 {}번).",
                  c.lr, c.rank, c.epochs, last.loss, search_.candidates.size(), c.id)
            : fmt::format(
                  "Best: learning rate {:g}, rank {}, {} epochs; evaluation loss {:.4f} "
                  "(candidate {} of {}).",
                  c.lr, c.rank, c.epochs, last.loss, c.id, search_.candidates.size());
    if (last.share < 1)
      text +=
          words_.korean()
              ? fmt::format(" 전체 {}단계 중 {}단계 뒤에 비교했습니다.", c.total_steps, last.step)
              : fmt::format(" It was compared after {} of its {} steps.", last.step, c.total_steps);
    if (search_.out_of_time)
      text += fmt::format(" {}", words_("The time was up before the search was finished."));
    return text;
  }

  void begin_section(std::string_view title) {
    html_ += fmt::format("<section><h2>{}</h2>\n", words_(title));
  }
  std::string cell(std::string_view label, const std::string& content, bool number = true) const {
    return fmt::format("<td{} data-label=\"{}\"><span>{}</span></td>", number ? " class=\"n\"" : "",
                       html_escape(words_(label)), content);
  }

  void curves() {
    std::vector<Curve> all;
    for (const SearchCandidate& c : search_.candidates) {
      Curve curve;
      curve.label = fmt::format("{} ({:g}, {}, {})", c.id, c.lr, c.rank, c.epochs);
      for (const SearchRung& r : c.rungs)
        curve.evaluated.emplace_back(static_cast<double>(r.step), r.loss);
      curve.chosen = c.id == search_.best;
      if (const auto id = static_cast<size_t>(c.id); id < in_.loss.size())
        curve.loss = in_.loss[id];
      all.push_back(std::move(curve));
    }
    const std::string chart =
        curves_chart(all, std::string(words_("Loss and steps")), std::string(words_("step")));
    if (chart.empty()) return;
    begin_section("Loss and steps");
    html_ += fmt::format(
        "{}<p class=\"note\">{}</p>\n</section>\n", chart,
        words_("Dots are evaluation losses, thin lines the training loss; the best candidate "
               "stands out."));
  }

  void candidates() {
    begin_section("Candidates");
    html_ += "<div class=\"wide\"><table class=\"cards\"><thead><tr>";
    for (const char* key :
         {"Candidate", "Learning rate", "Rank", "Epochs", "Steps", "evaluation loss", "Time spent"})
      html_ += fmt::format("<th class=\"n\">{}</th>", words_(key));
    html_ += fmt::format("<th>{}</th></tr></thead><tbody>\n", words_("State"));
    size_t waiting = 0;
    for (const int64_t id : search_.ranking()) {
      const SearchCandidate& c = search_.candidates[static_cast<size_t>(id)];
      if (c.rungs.empty()) {
        ++waiting;
        continue;
      }
      std::string losses;
      for (const SearchRung& r : c.rungs)
        losses += (losses.empty() ? "" : " → ") +
                  (std::isfinite(r.loss) ? fmt::format("{:.4f}", r.loss) : std::string("∞"));
      html_ += fmt::format("<tr{}>", c.id == search_.best ? " class=\"best\"" : "") +
               cell("Candidate", fmt::format("{}", c.id)) +
               cell("Learning rate", fmt::format("{:g}", c.lr)) +
               cell("Rank", fmt::format("{}", c.rank)) +
               cell("Epochs", fmt::format("{}", c.epochs)) +
               cell("Steps", fmt::format("{}/{}", c.rungs.back().step, c.total_steps)) +
               cell("evaluation loss", losses) +
               cell("Time spent", fmt::format("{:.0f} {}", c.rungs.back().seconds, words_("s"))) +
               cell("State", std::string(words_(search_.state_of(c))), false) + "</tr>\n";
    }
    html_ += "</tbody></table></div>\n";
    if (waiting > 0)
      html_ += fmt::format("<p class=\"note\">{} {}</p>\n", waiting,
                           words_("candidates were not begun."));
    html_ += "</section>\n";
  }

  void method() {
    begin_section("How it was decided");
    html_ += "<div class=\"facts\">";
    const auto fact = [&](const std::string& value, std::string_view what) {
      html_ += fmt::format("<div><b>{}</b>{}</div>", value, words_(what));
    };
    fact(fmt::format("{}", search_.candidates.size()), "candidates");
    fact(fmt::format("{}", search_.eta), "one in so many went on");
    fact(fmt::format("{}", search_.eval_samples), "evaluation rows");
    fact(fmt::format("{:.3g}", search_.minutes), "minutes allowed");
    fact(fmt::format("{:.1f}", search_.seconds / 60), "minutes spent");
    html_ += fmt::format(
        "</div>\n<p>{}</p>\n<table><thead><tr><th>{}</th><th class=\"n\">{}</th><th "
        "class=\"n\">{}</th></tr></thead><tbody>\n",
        words_("Every candidate is trained with the learning-rate schedule of its whole length and "
               "paused after these shares of its steps; there the evaluation loss decides who goes "
               "on (successive halving)."),
        words_("Bracket"), words_("Candidates"), words_("Compared after"));
    for (size_t i = 0; i < search_.brackets.size(); ++i) {
      std::string shares;
      for (const double share : search_.brackets[i].shares)
        shares += (shares.empty() ? "" : ", ") + share_text(share);
      html_ += fmt::format("<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                           i + 1, search_.brackets[i].candidates.size(), shares);
    }
    html_ += "</tbody></table>\n</section>\n";
  }

  void settings() {
    if (in_.settings.empty()) return;
    begin_section("The best settings");
    html_ += fmt::format("<pre>{}</pre>\n", html_escape(in_.settings));
    if (!in_.adapter.empty())
      html_ +=
          fmt::format("<p class=\"note\">{}</p><pre>{}</pre>\n",
                      words_("The best candidate is trained to its end; its adapter lies here."),
                      html_escape(in_.adapter));
    else
      html_ +=
          fmt::format("<p class=\"note\">{}</p><pre>{}</pre>\n",
                      words_("This command tunes with these settings."), html_escape(in_.command));
    html_ += "</section>\n";
  }

  const SearchPage& in_;
  const Search& search_;
  Words words_;
  std::string html_;
};

}  // namespace

std::string render_search_page(const SearchPage& page) { return Page(page).render(); }

// A path as one word of a command line.
static std::string in_shell(const fs::path& path) {
  const std::string text = path.string();
  if (text.find_first_of(" \t\n\"'\\$`&|;<>()*?[]{}!#~") == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

Status write_search_page(const TuneOptions& options, const std::string& language) {
  const fs::path& folder = options.run;
  SearchPage page;
  SLLM_TRY(page.search, read_search(folder));
  page.model = options.model.filename().string(), page.data = options.data.filename().string();
  page.language = language;
  for (const SearchCandidate& c : page.search.candidates) {
    page.loss.emplace_back();
    if (c.rungs.empty()) continue;
    SLLM_TRY(const auto metrics, read_metrics(candidate_path(folder, c.id)));
    for (const StepMetrics& m : metrics) page.loss.back().push_back(m.loss);
  }
  if (page.search.best >= 0) {
    SLLM_TRY(page.settings, read_file(best_path(folder), 1 << 20));
  }
  page.adapter = best_adapter(folder, page.search).string();
  const std::string held_out = options.eval.empty()
                                   ? fmt::format("--eval-fraction {:g}", options.eval_fraction)
                                   : "--eval " + in_shell(options.eval);
  page.command = fmt::format("sllm tune -m {} --data {} {} --config {}", in_shell(options.model),
                             in_shell(options.data), held_out, in_shell(best_path(folder)));
  return write_file_atomically(search_page_path(folder), render_search_page(page));
}

}  // namespace sllm::project
