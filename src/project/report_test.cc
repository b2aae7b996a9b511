// The report as text: what it says first, what it hides from HTML, and both languages.
#include "project/report.h"

#include <gtest/gtest.h>

namespace sllm::project {
namespace {

Project demo_project(const std::string& language) {
  auto p = parse_project(R"([purpose]
name = "demo"
goal = "say <b>hello</b> & more"
languages = ["en", "ko"]
[thresholds]
json_match = {en = 0.9, ko = 0.8}
[base]
model = "m"
[data]
train = "t.jsonl"
test = "h.jsonl"
[quantize]
types = ["q8_0", "q4_k"]
[evaluate]
metrics = ["json_match"]
)",
                         "demo/sllm.toml")
               .value();
  p.report_language = language;
  return p;
}

Candidate candidate(Role role, const std::string& label, double en, double ko) {
  Candidate c;
  c.role = role, c.label = label, c.bytes = 100'000'000;
  c.answers.figures["json_match"] = {
      {"en", {en, 0.02, 100}}, {"ko", {ko, 0.05, 50}}, {"all", {(2 * en + ko) / 3, 0.02, 150}}};
  for (int i = 0; i < 12; ++i) {
    eval::ScoredRow row;
    row.row.id = fmt::format("row{:02}", i);
    row.row.lang = "en";
    row.row.prompt = {{"user", "<script>alert(1)</script> " + std::to_string(i), {}}};
    row.row.expected = "right";
    row.reply.text = i == 7 ? "wrong" : "right";
    row.scores["json_match"] = i == 7 ? 0 : 1;
    c.answers.rows.push_back(row);
  }
  return c;
}

ReportInput demo(const std::string& language, double ko) {
  ReportInput input;
  input.project = demo_project(language);
  input.candidates = {candidate(Role::kBase, "base", 0, 0),
                      candidate(Role::kTuned, "tuned", 0.97, 0.9),
                      candidate(Role::kQuantised, "q8_0", 0.96, 0.9),
                      candidate(Role::kQuantised, "q4_k", 0.95, ko)};
  input.verdict = judge(input.project, input.candidates);
  input.loss = {3, 2, 1, 0.5};
  input.eval_loss = {{4, 0.6}};
  input.rows_read = 10, input.rows_kept = 8;
  input.rows_dropped = {{"exact duplicate", 2}};
  input.command = "sllm run --project 'demo'";
  return input;
}

TEST(Verdict, EveryQuantisedModelMustMeetEveryThreshold) {
  const ReportInput good = demo("en", 0.85), bad = demo("en", 0.79);
  EXPECT_TRUE(good.verdict.passed());
  ASSERT_EQ(bad.verdict.missed().size(), 1u);
  EXPECT_EQ(bad.verdict.missed()[0].to_string(), "q4_k: json_match (ko) is 0.79, needed >= 0.8");
}

TEST(Verdict, WhatWasNotMeasuredIsNotMet) {
  ReportInput input = demo("en", 0.85);
  input.candidates[3].answers.figures.clear();
  EXPECT_EQ(judge(input.project, input.candidates).missed().size(), 2u);
}

TEST(Verdict, DeviceLimitsCount) {
  ReportInput input = demo("en", 0.85);
  input.project.disk_mb = 99;
  const auto missed = judge(input.project, input.candidates).missed();
  ASSERT_EQ(missed.size(), 2u);
  EXPECT_EQ(missed[0].threshold.metric, "disk_mb");
}

TEST(Report, OpensWithTheVerdictInTheProjectsLanguage) {
  EXPECT_NE(render_report(demo("en", 0.85)).find("Ready: all 4 requirements are met"),
            std::string::npos);
  EXPECT_NE(
      render_report(demo("en", 0.79))
          .find("Not ready: 1 of 4 requirements are missed: q4_k Exact JSON match (Korean) 79.0 %, "
                "needed at least 80.0 %"),
      std::string::npos);
  const std::string korean = render_report(demo("ko", 0.79));
  EXPECT_NE(korean.find("<html lang=\"ko\">"), std::string::npos);
  EXPECT_NE(korean.find("불합격: 요구 사항 4개 중 1개가 미달입니다."), std::string::npos);
  EXPECT_LT(korean.find("불합격"), korean.find("나란히 비교"));
}

TEST(Report, EscapesEverythingThatCameFromOutside) {
  const std::string html = render_report(demo("en", 0.85));
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<b>hello"), std::string::npos);
  EXPECT_NE(html.find("say &lt;b&gt;hello&lt;/b&gt; &amp; more"), std::string::npos);
  EXPECT_NE(html.find("&#39;demo&#39;"), std::string::npos);
  EXPECT_EQ(html.find("http://www.w3.org/2000/svg"), html.find("http"));  // no address but SVG's
  EXPECT_EQ(html.find("<link"), std::string::npos);
}

TEST(Report, ShowsOneRowForEachBorderInTheProjectsLanguage) {
  const auto page = [](const std::string& language) {
    ReportInput input = demo(language, 0.85);
    GateResult merge;
    merge.border = "merge";
    merge.sameness.bound = {"bf16", "rounded", 0.0005, 0.02, 0.002};
    merge.sameness.conversations = merge.sameness.conversations_equal = 200;
    merge.sameness.kld_mean = 0.00012;
    merge.sameness.answers = 4, merge.sameness.answers_equal = 3, merge.sameness.answers_tied = 1;
    GateResult served = merge;
    served.border = "serve";
    served.sameness.conversations = 4, served.sameness.conversations_equal = 3;
    served.sameness.checks = {{"tokens", eval::SamenessCheck::Verdict::kDiffers, "3 of 4"}};
    input.gates = {merge, served};
    return render_report(input);
  };
  const std::string english = page("en"), korean = page("ko");
  for (const char* text : {"The same model at every border", "base with adapter ↔ merged model",
                           ">200/200<", "0.00012", "3/4 (1 near ties)", "bf16 ≤ 0.0005",
                           "✓ the same model", "file ↔ server", ">3/4<", "✗ another model"})
    EXPECT_NE(english.find(text), std::string::npos) << text;
  for (const char* text : {"단계마다 같은 모델인지 확인", "어댑터를 얹은 기반 모델 ↔ 병합한 모델",
                           "3/4 (1개 동률)", "✓ 같은 모델", "HTTP 서비스", "✗ 다른 모델"})
    EXPECT_NE(korean.find(text), std::string::npos) << text;
  EXPECT_EQ(render_report(demo("en", 0.85)).find("every border"), std::string::npos);
}

TEST(Report, ShowsTheWorstAnswersBeforeTheBest) {
  const std::string html = render_report(demo("en", 0.85));
  const size_t worst = html.find("The ten worst"), best = html.find("The ten best");
  ASSERT_LT(worst, best);
  const std::string between = html.substr(worst, best - worst);
  EXPECT_NE(between.find("row07"), std::string::npos);
  EXPECT_EQ(between.find("row03"), std::string::npos);  // a right answer is not among the worst
}

TEST(Candidate, SurvivesJson) {
  Candidate c = candidate(Role::kReference, "big", 0.5, 0.25);
  c.kld = 0.01;
  c.tasks["piqa"] = {0.6, 0.03, 200};
  const auto back = Candidate::from_json(Json::parse(c.to_json().dump()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->to_json().dump(), c.to_json().dump());
  EXPECT_FALSE(Candidate::from_json(Json::parse("{\"role\":\"base\"}")).ok());
  EXPECT_FALSE(Candidate::from_json(Json::parse("[]")).ok());
}

}  // namespace
}  // namespace sllm::project
