// From prompts to rows: what is asked, rejected, kept and gone on with.
#include "data/distill.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>

#include "data/dataset.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

class FakeTeacher final : public Teacher {
 public:
  std::function<Result<TeacherAnswer>(const TeacherRequest&)> says = [](const TeacherRequest& r) {
    return TeacherAnswer{"re: " + r.messages.back().content, true, 2};
  };
  const std::string& name() const override { return name_; }
  const char* kind() const override { return "local"; }
  Result<TeacherAnswer> answer(const TeacherRequest& request) override {
    const std::lock_guard lock(mutex_);
    asked.push_back(request);
    return says(request);
  }
  std::vector<TeacherRequest> asked;

 private:
  std::mutex mutex_;
  std::string name_ = "fake";
};

class Distilling : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("sllm-distill-{}-{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.near_duplicate = 1;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomically(folder_ / name, text).ok());
    return folder_ / name;
  }
  fs::path letters(const std::string& which = "abcdefgh") {
    std::string rows;
    for (const char c : which)
      rows += Json{{"prompt", std::string("say ") + c}, {"id", std::string(1, c)}}.dump() + "\n";
    return write("letters.jsonl", rows);
  }
  Result<DistillSummary> run(const fs::path& prompts, const std::string& out = "out.jsonl") {
    return distill(prompts, folder_ / out, teacher_, options_);
  }
  std::vector<Json> rows(const std::string& out = "out.jsonl") const {
    std::ifstream file(folder_ / out);
    std::vector<Json> all;
    for (std::string line; std::getline(file, line);) all.push_back(Json::parse(line));
    return all;
  }
  std::vector<std::string> answers(const std::string& out = "out.jsonl") const {
    std::vector<std::string> all;
    for (const Json& row : rows(out)) all.push_back(row["messages"].back()["content"]);
    return all;
  }

  fs::path folder_;
  FakeTeacher teacher_;
  DistillOptions options_;
};

TEST_F(Distilling, ReadsRowsWithAndWithoutAnswers) {
  const fs::path file = write(
      "p.jsonl",
      R"({"prompt": "one"})"
      "\n"
      R"({"question": "two", "answer": "zwei", "lang": "en"})"
      "\n\n"
      R"({"messages": [{"role": "user", "content": "three"}, {"role": "assistant", "content": "drei"}]})"
      "\n"
      R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "four"}]})"
      "\n"
      R"({"instruction": "five", "input": "x", "reference": "fünf"})"
      "\n"
      R"({"text": "six"})"
      "\n");
  const auto prompts = read_prompts(file, "S").value();
  ASSERT_EQ(prompts.size(), 6u);
  std::vector<std::string> asked, references, systems;
  for (const DistillPrompt& p : prompts) {
    asked.push_back(p.messages.back().content);
    references.push_back(p.reference);
    systems.push_back(p.messages.front().content);
    EXPECT_EQ(p.messages.size(), 2u);
  }
  EXPECT_THAT(asked, ElementsAre("one", "two", "three", "four", "five\n\nx", "six"));
  EXPECT_THAT(references, ElementsAre("", "zwei", "drei", "", "fünf", ""));
  EXPECT_THAT(systems, ElementsAre("S", "S", "S", "s", "S", "S"));
  EXPECT_EQ(prompts[1].extra.dump(), R"({"lang":"en"})");
  EXPECT_THAT(prompts[2].source, HasSubstr("p.jsonl:4"));
  EXPECT_EQ(read_prompts(write("p.txt", "eins\n\nzwei\r\n"), "")->size(), 2u);
}

TEST_F(Distilling, SaysWhichRowIsNoPrompt) {
  const auto message = [&](const std::string& row) {
    return read_prompts(write("p.jsonl", "{\"prompt\": \"x\"}\n" + row + "\n"), "").error().message;
  };
  EXPECT_THAT(message("{bad"), HasSubstr("p.jsonl:2: column"));
  EXPECT_THAT(message("{\"a\": 1}"), HasSubstr("p.jsonl:2: no known set of columns"));
  EXPECT_THAT(message(R"({"messages": []})"), HasSubstr("p.jsonl:2"));
  EXPECT_THAT(message(R"({"messages": [{"role": "assistant", "content": "x"}]})"),
              HasSubstr("no user message"));
  EXPECT_THAT(message(R"({"prompt": "x", "tools": [{}]})"), HasSubstr("has tools"));
  EXPECT_THAT(message(R"({"prompt": "x", "reference": 7})"), HasSubstr("expected a text"));
  EXPECT_THAT(read_prompts(write("p.txt", "\n"), "").error().message, HasSubstr("has no prompts"));
  EXPECT_THAT(read_prompts(folder_ / "none", "").error().message, HasSubstr("no such file"));
}

TEST_F(Distilling, RowsSayWhereTheyComeFromAndTheReadersTakeThem) {
  options_.system = "Be kind.", options_.seed = 5, options_.max_tokens = 9;
  const DistillSummary s = run(letters("ab")).value();
  EXPECT_EQ(s.rows, 2u);
  EXPECT_EQ(s.tokens, 4);
  const auto all = rows();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["messages"].dump(),
            R"([{"role":"system","content":"Be kind."},{"role":"user","content":"say a"},)"
            R"({"role":"assistant","content":"re: say a"}])");
  EXPECT_EQ(all[0]["id"], "a");
  const Json& from = all[0]["distilled"];
  EXPECT_EQ(from["teacher"], "fake");
  EXPECT_EQ(from["max_tokens"], 9);
  // Rows keep the order of the prompts; the teacher is asked by several threads, in any order.
  ASSERT_EQ(teacher_.asked.size(), 2u);
  const bool a_first = teacher_.asked[0].messages.back().content == "say a";
  EXPECT_EQ(from["seed"], teacher_.asked[a_first ? 0 : 1].seed);
  EXPECT_NE(all[0]["distilled"]["seed"], all[1]["distilled"]["seed"]);
  EXPECT_EQ(read_examples(folder_ / "out.jsonl")->size(), 2u);
  EXPECT_FALSE(fs::exists(part_path(folder_ / "out.jsonl")));
  options_.keep_system = false;
  ASSERT_TRUE(run(folder_ / "letters.jsonl", "bare.jsonl").ok());
  EXPECT_EQ(rows("bare.jsonl")[0]["messages"][0]["role"], "user");
  EXPECT_EQ(rows("bare.jsonl")[0]["distilled"]["system"], "Be kind.");
}

TEST_F(Distilling, RejectsByRulesAndCountsWhy) {
  teacher_.says = [](const TeacherRequest& r) -> Result<TeacherAnswer> {
    const char c = r.messages.back().content.back();
    if (c == 'a') return TeacherAnswer{" \n", true, 0};
    if (c == 'b') return TeacherAnswer{"cut", false, 0};
    if (c == 'c') return bad_input("too long");
    if (c == 'd') return TeacherAnswer{"bad", true, 0};
    return TeacherAnswer{fmt::format("good {}", c), true, 0};
  };
  options_.rules.push_back(
      {"good", false, [](const std::string& a, const std::string&) { return a != "bad"; }});
  options_.rejected = folder_ / "rejected.jsonl";
  const DistillSummary s = run(letters("abcde")).value();
  EXPECT_EQ(s.rows, 1u);
  EXPECT_EQ(s.unanswered, 4u);
  EXPECT_EQ(s.rejected,
            (std::map<std::string, size_t>{
                {"empty", 1}, {"cut at the most tokens", 1}, {"not answered", 1}, {"good", 1}}));
  const auto rejected = rows("rejected.jsonl");
  ASSERT_EQ(rejected.size(), 4u);
  EXPECT_EQ(rejected[2]["answer"], "too long");
  EXPECT_EQ(rejected[3]["reason"], "good");
  options_.keep_cut = true;
  EXPECT_EQ(run(folder_ / "letters.jsonl", "cut.jsonl")->rows, 2u);
}

TEST_F(Distilling, KeepsTheBestByTheReferenceElseByAgreement) {
  std::atomic<int> i = 0;
  const std::vector<std::string> says = {"forty", "it is fourty-two", "it is forty-two"};
  teacher_.says = [&](const TeacherRequest&) { return TeacherAnswer{says[i++ % 3], true, 1}; };
  options_.samples = 3, options_.parallel = 1;
  ASSERT_TRUE(run(letters("a")).ok());
  // Nothing to compare with: the middle one has most in common with the others.
  EXPECT_THAT(answers(), ElementsAre("it is forty-two"));
  EXPECT_EQ(rows()[0]["distilled"]["sample"], 2);
  EXPECT_EQ(rows()[0]["distilled"]["accepted"], 3);
  options_.score = [](const std::string& answer, const std::string& reference) {
    return answer.size() == reference.size() ? 1.0 : 0.0;
  };
  const fs::path file = write("r.jsonl", R"({"prompt": "x", "completion": "FORTY"})"
                                         "\n");
  ASSERT_TRUE(run(file, "best.jsonl").ok());
  EXPECT_THAT(answers("best.jsonl"), ElementsAre("forty"));
  options_.keep_all = true;
  ASSERT_TRUE(run(file, "all.jsonl").ok());
  EXPECT_THAT(answers("all.jsonl"), ElementsAre(says[0], says[1], says[2]));
}

TEST_F(Distilling, AsksTheSamePromptOnceAndDropsNearDuplicates) {
  teacher_.says = [](const TeacherRequest& r) {
    return TeacherAnswer{"A long answer about the library's opening hours on weekdays" +
                             std::string(r.messages.back().content.ends_with('?') ? "." : ""),
                         true, 1};
  };
  const fs::path file = write("p.txt",
                              "When does the library open on weekdays\n"
                              "When does the library open on weekdays?\n"
                              "When does the library open on weekdays\n");
  options_.near_duplicate = 0.85;
  const DistillSummary s = run(file).value();
  EXPECT_EQ(teacher_.asked.size(), 2u);
  EXPECT_EQ(s.same_prompts, 1u);
  EXPECT_EQ(s.near_duplicates, 1u);
  EXPECT_EQ(s.rows, 1u);
  options_.near_duplicate = 1;
  EXPECT_EQ(run(file, "exact.jsonl")->rows, 2u);
}

TEST_F(Distilling, GoesOnWhereATeacherFailed) {
  const fs::path file = letters();
  options_.samples = 2;
  ASSERT_TRUE(run(file, "whole.jsonl").ok());
  const std::string expected = read_file(folder_ / "whole.jsonl").value();
  const size_t all = teacher_.asked.size();
  ASSERT_EQ(all, 16u);
  teacher_.asked.clear();
  const auto says = teacher_.says;
  std::atomic<int> left = 7;
  teacher_.says = [&](const TeacherRequest& r) -> Result<TeacherAnswer> {
    if (left-- <= 0) return make_error(ErrorCode::kNetwork, "the line is cut");
    return says(r);
  };
  options_.parallel = 1;
  const Error error = run(file).error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.message, HasSubstr("letters.jsonl:4: the line is cut"));
  EXPECT_THAT(error.hint, HasSubstr("3 of 8 prompts"));
  EXPECT_FALSE(fs::exists(folder_ / "out.jsonl"));
  // A line that a kill tore.
  std::ofstream(part_path(folder_ / "out.jsonl"), std::ios::app) << R"({"row":3,"answers":[{"te)";
  teacher_.says = says;
  teacher_.asked.clear();
  options_.parallel = 4;
  const DistillSummary s = run(file).value();
  EXPECT_EQ(s.resumed, 3u);
  EXPECT_EQ(teacher_.asked.size(), 10u);
  EXPECT_EQ(read_file(folder_ / "out.jsonl").value(), expected);
}

TEST_F(Distilling, KeepsLogProbabilitiesWhereAskedAndOverAKill) {
  options_.top_logprobs = 3;
  options_.parallel = 1;
  int left = 5;
  teacher_.says = [&](const TeacherRequest& r) -> Result<TeacherAnswer> {
    EXPECT_EQ(r.top_logprobs, 3);
    if (left-- == 0) return make_error(ErrorCode::kNetwork, "the line is cut");
    TeacherAnswer answer{"yes", true, 1};
    answer.text += r.messages.back().content;
    answer.logprobs = {{answer.text, -0.5, {{"\xeb", -1}}}};
    return answer;
  };
  ASSERT_FALSE(run(letters()).ok());
  EXPECT_EQ(run(letters())->resumed, 5u);
  const auto rows = read_examples(folder_ / "out.jsonl").value();
  ASSERT_EQ(rows.size(), 8u);
  for (const Example& row : rows) {
    const auto said = said_tokens_from_json(row.extra["logprobs"]).value();
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].bytes, row.answer());
    EXPECT_EQ(said[0].top[0].first, "\xeb");
  }
}

TEST_F(Distilling, LeavesNothingWhenNobodyAnswered) {
  teacher_.says = [](const TeacherRequest&) {
    return Result<TeacherAnswer>(make_error(ErrorCode::kNetwork, "no route"));
  };
  EXPECT_EQ(run(letters()).error().code, ErrorCode::kNetwork);
  EXPECT_FALSE(fs::exists(part_path(folder_ / "out.jsonl")));
}

TEST_F(Distilling, OtherRulesAskNobodyAgain) {
  options_.rules.push_back({"never", false, [](auto&, auto&) { return false; }});
  const Error error = run(letters("ab")).error();
  EXPECT_EQ(error.code, ErrorCode::kBadInput);
  EXPECT_THAT(error.message, HasSubstr("none of 2 answers was accepted: 2 never"));
  options_.rules.clear();
  teacher_.asked.clear();
  EXPECT_EQ(run(letters("ab"))->rows, 2u);
  EXPECT_TRUE(teacher_.asked.empty());
}

TEST_F(Distilling, AsksAgainWhoRefused) {
  const auto says = teacher_.says;
  teacher_.says = [&](const TeacherRequest& r) -> Result<TeacherAnswer> {
    if (r.messages.back().content == "say b") return bad_input("too long for me");
    return says(r);
  };
  options_.rules.push_back({"never", false, [](auto&, auto&) { return false; }});
  EXPECT_THAT(run(letters("abc")).error().message,
              HasSubstr("2 never, 1 not answered (the first: too long for me)"));
  teacher_.says = says;
  teacher_.asked.clear();
  options_.rules.clear();
  EXPECT_EQ(run(letters("abc"))->rows, 3u);
  ASSERT_EQ(teacher_.asked.size(), 1u);
  EXPECT_EQ(teacher_.asked[0].messages.back().content, "say b");
}

TEST_F(Distilling, LeavesForeignFilesAlone) {
  const fs::path file = letters("a");
  for (const std::string text : {"half a download", "[1, 2]\n", "{\"distill\": 3}\n"}) {
    write("out.jsonl.part", text);
    EXPECT_THAT(run(file).error().message, HasSubstr("holds something else than answers"));
    EXPECT_EQ(read_file(part_path(folder_ / "out.jsonl")).value(), text);
  }
  const std::string header = R"({"distill":{"pro)";  // of ours, torn by a kill
  write("out.jsonl.part", header);
  EXPECT_TRUE(run(file).ok());
  options_.rejected = file;
  EXPECT_THAT(run(file, "x.jsonl").error().message, HasSubstr("would replace"));
}

TEST_F(Distilling, KeepsAllAnswersOfALongQuestion) {
  std::string question;
  for (int i = 0; i < 300; ++i) question += fmt::format("{} ", i * i);
  int n = 0;
  teacher_.says = [&](const TeacherRequest&) {
    const char* answers[] = {"red apples", "blue whales"};
    return TeacherAnswer{answers[n++ % 2], true, 2};
  };
  options_.samples = 2, options_.parallel = 1, options_.keep_all = true;
  options_.near_duplicate = 0.85;
  EXPECT_EQ(run(write("p.txt", question + "\n"))->rows, 2u);
}

TEST_F(Distilling, RefusesWhatDoesNotFit) {
  options_.rules.push_back({"exact", true, [](auto&, auto&) { return true; }});
  EXPECT_THAT(run(letters("a")).error().message, HasSubstr("letters.jsonl:1 has none"));
  options_.rules.back() = {"never", false, [](auto&, auto&) { return false; }};
  ASSERT_FALSE(run(letters("a")).ok());  // begun
  options_.temperature = 0.1;
  EXPECT_THAT(run(letters("a")).error().message, HasSubstr("other settings: temperature"));
  EXPECT_THAT(run(letters("b")).error().message, HasSubstr("prompts, temperature"));
  {
    const auto lock = FileLock::acquire(part_path(folder_ / "out.jsonl"));
    EXPECT_EQ(run(letters("a")).error().code, ErrorCode::kLocked);
  }
  options_.rules.clear();
  ASSERT_TRUE(run(letters("a"), "other.jsonl").ok());
  EXPECT_THAT(run(letters("a"), "other.jsonl").error().message, HasSubstr("is there already"));
  options_.samples = 2, options_.temperature = 0;
  EXPECT_THAT(run(letters("a"), "x.jsonl").error().message, HasSubstr("above 0 for several"));
}

}  // namespace
}  // namespace sllm
