// Runs the held-out rows through an answerer and scores what comes back.
#include "eval/answers.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "base/company.h"
#include "eval/answer_metrics.h"
#include "eval/statistics.h"

namespace sllm::eval {

Result<std::vector<TestRow>> parse_test_rows(const std::string& text, const std::string& source) {
  SLLM_TRY(const std::vector<Json> objects, parse_json_rows(text, source));
  std::vector<TestRow> rows;
  for (size_t i = 0; i < objects.size(); ++i) {
    const Json& object = objects[i];
    const auto wrong = [&](std::string_view what) {
      return bad_input(
          "{}: row {}: {}; expected {{\"messages\": [{{\"role\": \"user\", ...}}, "
          "{{\"role\": \"assistant\", ...}}]}}",
          source, i + 1, what);
    };
    const auto messages = object.find("messages");
    if (messages == object.end() || !messages->is_array()) return wrong("has no messages");
    TestRow row;
    for (const Json& m : *messages) {
      if (!m.is_object() || !m.contains("role") || !m["role"].is_string() ||
          !m.contains("content") || !m["content"].is_string())
        return wrong("a message needs the texts role and content");
      row.prompt.push_back({m["role"].get<std::string>(), m["content"].get<std::string>(), {}});
    }
    if (row.prompt.size() < 2 || row.prompt.back().role != "assistant")
      return wrong("does not end with an assistant message");
    row.expected = std::move(row.prompt.back().content);
    row.prompt.pop_back();
    const auto text_or = [&](const char* key, std::string fallback) {
      const auto it = object.find(key);
      return it != object.end() && it->is_string() ? it->get<std::string>() : std::move(fallback);
    };
    row.id = text_or("id", std::to_string(i + 1));
    row.lang = text_or("lang", guess_language(row.prompt.back().content));
    if (const auto it = object.find("facts"); it != object.end()) row.facts = *it;
    if (const auto it = object.find("answerable"); it != object.end() && it->is_boolean())
      row.answerable = it->get<bool>();
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return bad_input("{}: has no rows; expected held-out questions", source);
  return rows;
}

Result<std::vector<TestRow>> read_test_rows(const fs::path& path) {
  SLLM_TRY(const std::string text, read_decompressed(path));
  return parse_test_rows(text, path.string());
}

Answerer engine_answerer(Engine& engine, const AnswerOptions& options) {
  return [&engine, options](const Conversation& prompt) -> Result<Reply> {
    Conversation messages = prompt;
    const auto after_system =
        messages.begin() + (!messages.empty() && messages.front().role == "system");
    messages.insert(after_system, options.examples.begin(), options.examples.end());
    GenerateRequest request;
    request.max_tokens = options.max_tokens;
    request.sampling.temperature = 0;
    SLLM_TRY(GenerateResult result, engine.chat(messages, std::move(request)));
    return Reply{std::move(result.text),
                 result.seconds_to_first,
                 result.seconds,
                 static_cast<int64_t>(result.tokens.size()),
                 {},
                 false};
  };
}

namespace {

// One row per metric: a score, or nothing where the metric does not concern the row.
using Metric = std::optional<double> (*)(const TestRow& row, const Reply& reply);
std::optional<double> of(bool yes) { return yes ? 1.0 : 0.0; }
bool has_facts(const TestRow& row) { return row.answerable && !row.facts.is_null(); }

const std::map<std::string, Metric> kMetrics = {
    {"exact_match", [](const TestRow& row,
                       const Reply& reply) { return of(answer_equal(reply.text, row.expected)); }},
    {"json_match", [](const TestRow& row,
                      const Reply& reply) { return of(json_equal(reply.text, row.expected)); }},
    {"token_f1",
     [](const TestRow& row, const Reply& reply) -> std::optional<double> {
       return token_f1(reply.text, row.expected);
     }},
    {"key_facts",
     [](const TestRow& row, const Reply& reply) -> std::optional<double> {
       if (!has_facts(row)) return std::nullopt;
       return of(holds_facts(reply.text, row.facts));
     }},
    {"cited",
     [](const TestRow& row, const Reply& reply) -> std::optional<double> {
       if (!has_facts(row) || !holds_facts(reply.text, row.facts)) return std::nullopt;
       return of(std::ranges::any_of(
           reply.cited, [&](const std::string& chunk) { return holds_facts(chunk, row.facts); }));
     }},
    {"refused",
     [](const TestRow& row, const Reply& reply) -> std::optional<double> {
       if (row.answerable) return std::nullopt;
       return of(reply.abstained);
     }},
    {"falsely_refused",
     [](const TestRow& row, const Reply& reply) -> std::optional<double> {
       if (!row.answerable) return std::nullopt;
       return of(reply.abstained);
     }},
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Status check_metrics(const std::vector<std::string>& metrics) {
  for (const std::string& name : metrics)
    if (!kMetrics.contains(name)) {
      std::string known;
      for (const auto& [metric, function] : kMetrics) known += (known.empty() ? "" : ", ") + metric;
      return with_hint(usage_error("the metric {} is not known", name), "Known metrics: " + known);
    }
  return ok();
}

void summarise(AnswerReport& report, const std::vector<std::string>& metrics) {
  for (const std::string& metric : metrics) {
    std::map<std::string, std::vector<double>> values;
    for (const ScoredRow& scored : report.rows)
      if (const auto it = scored.scores.find(metric); it != scored.scores.end()) {
        values["all"].push_back(it->second);
        values[scored.row.lang].push_back(it->second);
      }
    for (const auto& [language, list] : values)
      report.figures[metric][language] = {mean(list), mean_stderr(list),
                                          static_cast<int64_t>(list.size())};
  }
  std::vector<double> first, whole;
  double tokens = 0, seconds = 0;
  const size_t timed = std::min(report.rows.size(), AnswerOptions::kTimedRows);
  for (size_t i = 0; i < timed; ++i) {
    const Reply& reply = report.rows[i].reply;
    first.push_back(reply.seconds_to_first);
    whole.push_back(reply.seconds);
    tokens += static_cast<double>(reply.tokens);
    seconds += reply.seconds - reply.seconds_to_first;
  }
  report.first_word_seconds = median(first);
  report.seconds = median(whole);
  report.tokens_per_second = seconds > 0 ? tokens / seconds : 0;
}

}  // namespace

std::map<std::string, double> score_reply(const TestRow& row, const Reply& reply,
                                          const std::vector<std::string>& metrics) {
  std::map<std::string, double> scores;
  for (const std::string& metric : metrics)
    if (const auto score = kMetrics.at(metric)(row, reply)) scores[metric] = *score;
  return scores;
}

Result<AnswerReport> evaluate_answers(const std::vector<TestRow>& rows, const Answerer& answerer,
                                      const AnswerOptions& options) {
  SLLM_OK(check_metrics(options.metrics));
  std::vector<std::optional<Result<Reply>>> replies(rows.size());
  std::mutex mutex;
  size_t finished = 0;
  const auto answer = [&](size_t i) {
    auto reply = answerer(rows[i].prompt);
    std::lock_guard lock(mutex);
    replies[i] = std::move(reply);
    ++finished;
    if (options.progress) options.progress({"answers", "rows", finished, rows.size(), {}});
    return replies[i]->ok();
  };
  const size_t timed = std::min(rows.size(), AnswerOptions::kTimedRows);
  bool good = true;
  for (size_t i = 0; i < timed && good && !stop_requested(); ++i) good = answer(i);
  if (good) in_company(timed, rows.size(), options.parallel, answer);
  AnswerReport report;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!replies[i]) {
      if (const int signal = stop_requested())
        return make_error(static_cast<ErrorCode>(128 + signal), "stopped after {} of {} answers",
                          finished, rows.size());
      continue;
    }
    SLLM_TRY(Reply reply, std::move(*replies[i]).context("row " + rows[i].id));
    auto scores = score_reply(rows[i], reply, options.metrics);
    report.rows.push_back({rows[i], std::move(reply), std::move(scores)});
  }
  summarise(report, options.metrics);
  return report;
}

Json AnswerReport::to_json() const {
  Json out = {{"first_word_seconds", first_word_seconds},
              {"answer_seconds", seconds},
              {"tokens_per_second", tokens_per_second},
              {"metrics", Json::object()},
              {"answers", Json::array()}};
  for (const auto& [metric, languages] : figures)
    for (const auto& [language, f] : languages)
      out["metrics"][metric][language] = {
          {"value", f.value}, {"stderr", f.standard_error}, {"items", f.items}};
  for (const ScoredRow& scored : rows) {
    Json prompt = Json::array();
    for (const Message& m : scored.row.prompt)
      prompt.push_back({{"role", m.role}, {"content", m.content}});
    out["answers"].push_back({{"id", scored.row.id},
                              {"lang", scored.row.lang},
                              {"prompt", prompt},
                              {"expected", scored.row.expected},
                              {"answer", scored.reply.text},
                              {"seconds_to_first", scored.reply.seconds_to_first},
                              {"seconds", scored.reply.seconds},
                              {"tokens", scored.reply.tokens},
                              {"scores", scored.scores}});
  }
  return out;
}

Result<AnswerReport> AnswerReport::from_json(const Json& json) {
  try {
    AnswerReport report;
    report.first_word_seconds = json.at("first_word_seconds");
    report.seconds = json.at("answer_seconds");
    report.tokens_per_second = json.at("tokens_per_second");
    for (const auto& [metric, languages] : json.at("metrics").items())
      for (const auto& [language, f] : languages.items())
        report.figures[metric][language] = {f.at("value"), f.at("stderr"), f.at("items")};
    for (const Json& a : json.at("answers")) {
      ScoredRow scored;
      scored.row.id = a.at("id"), scored.row.lang = a.at("lang");
      scored.row.expected = a.at("expected");
      for (const Json& m : a.at("prompt"))
        scored.row.prompt.push_back({m.at("role"), m.at("content"), {}});
      scored.reply = {a.at("answer"), a.at("seconds_to_first"), a.at("seconds"), a.at("tokens"), {},
                      false};
      scored.scores = a.at("scores").get<std::map<std::string, double>>();
      report.rows.push_back(std::move(scored));
    }
    return report;
  } catch (const Json::exception& e) {
    return bad_input("not a report of answers: {}", e.what());
  }
}

}  // namespace sllm::eval
