// sllm.toml: what is read, and the sentence for each way in which it can be broken.
#include "project/project_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "hub/licence.h"
#include "project/base_check.h"
#include "project/new_project.h"

namespace sllm::project {
namespace {

constexpr const char* kGood = R"([purpose]
goal = "commands become JSON"
languages = ["en", "ko"]
[device]
memory_mb = 512
[thresholds]
json_match = { en = 0.95, ko = 0.85 }
first_word_seconds = 1
[base]
model = "smollm2-135m-instruct"
[data]
train = ["train.jsonl"]
test = "test.jsonl"
[tune]
rank = 8
alpha = 16
epochs = 3
lr = 1e-3
[quantize]
types = ["q8_0", "q4_k"]
[evaluate]
metrics = ["json_match"]
[[evaluate.reference]]
model = "qwen2.5-coder-0.5b"
examples = 5
[deploy]
type = "q4_k"
)";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ProjectFile, ReadsEverySection) {
  const auto p = parse_project(kGood, "demo/sllm.toml");
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  EXPECT_EQ(p->name, "demo");
  EXPECT_EQ(p->folder, "demo");
  EXPECT_EQ(p->tune.options.rank, 8);
  EXPECT_EQ(p->tune.options.alpha, 16);
  EXPECT_EQ(p->tune.options.lr, 1e-3);
  EXPECT_EQ(p->tune.options.max_length, 512);  // the default of projects
  ASSERT_EQ(p->thresholds.size(), 3u);
  EXPECT_TRUE(std::ranges::any_of(p->thresholds, [](const Threshold& t) {
    return t.to_string() == "json_match (ko) >= 0.85" && !t.met_by(0.84) && t.met_by(0.85);
  }));
  EXPECT_TRUE(std::ranges::any_of(p->thresholds, [](const Threshold& t) {
    return t.to_string() == "first_word_seconds <= 1" && t.met_by(0.5);
  }));
  EXPECT_EQ(p->evaluate.references.at(0).examples, 5);
  EXPECT_EQ(p->deploy.type, "q4_k");
}

struct Broken {
  std::string toml, sentence;
};

TEST(ProjectFile, EachBrokenFileGetsItsSentence) {
  const Broken broken[] = {
      {"[purpose\n", "bad.toml:1: not TOML"},
      {with("rank = 8", "rnak = 8"), "bad.toml:15: [tune] has no key rnak. Did you mean rank?"},
      {with("[quantize]", "[quantise]"),
       "there is no section [quantise]. Did you mean [quantize]?"},
      {with("goal = ", "gaol = "), "[purpose] goal is missing"},
      {with("\"q4_k\"]", "\"q9_k\"]"), "bad.toml:20: [quantize] types: unknown type \"q9_k\""},
      {with("alpha = 16", "alpha = \"big\""),
       "bad.toml:16: [tune] alpha: expected a number, found text"},
      {with("memory_mb = 512", "memory_mb = -1"),
       "bad.toml:5: [device] memory_mb is -1; expected 0 to"},
      {with("ko = 0.85", "de = 0.85"), "\"de\" is none of the [purpose] languages"},
      {with("ko = 0.85", "ko = 85"),
       "bad.toml:7: [thresholds] json_match is 85; expected a share from 0 to 1"},
      {with("first_word_seconds = 1", "first_word_seconds = -1"),
       "bad.toml:8: [thresholds] first_word_seconds is -1; expected 0 or more"},
      {with("first_word_seconds = 1", "first_word_seconds = nan"),
       "first_word_seconds is nan; expected 0 or more"},
      {with("json_match = {", "jsn_match = {"),
       "[thresholds] has no metric jsn_match. Did you mean json_match?"},
      {with("metrics = [\"json_match\"]", "metrics = [\"token_f1\"]"),
       "json_match needs the metric among [evaluate] metrics"},
      {with("\"ko\"]", "\"Korean\"]"), "\"Korean\" is no code of two letters"},
      {with("train = [\"train.jsonl\"]", ""), "[data] needs train files or an augment grammar"},
      {with("rank = 8", "rank = 0"), "rank must be"},
      {with("type = \"q4_k\"", "type = \"q6_k\""),
       "[deploy] type is \"q6_k\"; expected one of q8_0, q4_k"},
      {"goal = 1\n", "bad.toml:1: goal stands outside a section"},
      {with("[purpose]", "[purpose]\ngoal = \"twice\""), "not TOML"},
      {with("[purpose]", "[purpose]\nuse = \"sell\""),
       "[purpose] use is \"sell\"; expected one of private, commercial"},
      {with("rank = 8", "rank = " + std::string(3000, '[')), "not TOML"},
  };
  for (const Broken& b : broken) {
    const auto p = parse_project(b.toml, "bad.toml");
    ASSERT_FALSE(p.ok()) << b.sentence;
    EXPECT_EQ(p.error().code, ErrorCode::kUsage) << b.sentence;
    EXPECT_NE(p.error().to_string().find(b.sentence), std::string::npos)
        << "expected: " << b.sentence << "\nfound:    " << p.error().to_string();
  }
}

TEST(NewProject, ChoosesAKoreanCapableBaseForKorean) {
  EXPECT_STREQ(choose_base({"en"}, 0, 0)->entry->name, "smollm2-135m-instruct");
  EXPECT_STREQ(choose_base({"en", "ko"}, 0, 0)->entry->name, "qwen2.5-0.5b-instruct");
}

TEST(NewProject, ChoosesNoBaseWithConditionsOrOneThatCannotRunUnasked) {
  for (const char* use : {"private", "commercial"})
    for (const CatalogueEntry& entry : catalogue())
      for (const char* language : entry.languages) {
        const auto choice = choose_base({language}, 0, 0, use);
        ASSERT_TRUE(choice.ok() || !can_run(entry)) << language;
        if (!choice.ok()) continue;
        EXPECT_TRUE(can_run(*choice->entry)) << choice->entry->name;
        if (std::string(use) == "commercial") {
          EXPECT_NE(licence_terms(choice->entry->licence).commercial, Commercial::kNo) << language;
        }
      }
}

// The purpose says what the result is for; the licence has the last word.
TEST(Use, CommercialRefusesABaseThatForbidsIt) {
  const auto project = [](const std::string& base, const std::string& more = "") {
    return parse_project(with("\"smollm2-135m-instruct\"", "\"" + base + "\"" + more)
                             .insert(10, "use = \"commercial\"\n"),
                         "p.toml")
        .value();
  };
  for (const char* open : {"smollm2-135m-instruct", "hf:Qwen/Qwen2.5-0.5B-Instruct"})
    EXPECT_TRUE(check_use(project(open)).ok()) << open;
  EXPECT_TRUE(check_use(project("llama-3.2-1b-instruct")).ok());  // on conditions; a warning
  for (const char* closed : {"exaone-4.0-1.2b", "hf:LGAI-EXAONE/EXAONE-4.0-1.2B"}) {
    const Status status = check_use(project(closed));
    ASSERT_FALSE(status.ok()) << closed;
    EXPECT_EQ(status.error().code, ErrorCode::kUsage);
    EXPECT_EQ(status.error().message,
              fmt::format("p.toml: [purpose] use is \"commercial\", but {} is under exaone: no "
                          "commercial use (research only; LG AI Research sells another licence)",
                          closed));
    EXPECT_TRUE(check_use(project(closed, "\nlicence_checked = true")).ok());
  }
  Project mine = project("exaone-4.0-1.2b");
  mine.use = "private";
  EXPECT_TRUE(check_use(mine).ok());
  // What the model's own card says once it is here.
  const Project own = project("hf:org/unknown");
  EXPECT_TRUE(check_use(own).ok());  // not known yet
  EXPECT_TRUE(check_licence(own, "apache-2.0").ok());
  EXPECT_NE(check_licence(own, "").error().to_string().find("states no licence"),
            std::string::npos);
  EXPECT_NE(check_licence(own, "cc-by-nc-4.0").error().message.find("no commercial use"),
            std::string::npos);
  EXPECT_NE(check_licence(own, "own-1.0").error().to_string().find("licence_checked = true"),
            std::string::npos);
}

TEST(NewProject, SaysWhatWouldBeNeededWhenNothingFits) {
  const auto choice = choose_base({"ko"}, 100, 0);
  ASSERT_FALSE(choice.ok());
  EXPECT_NE(choice.error().message.find("lfm2-350m needs"), std::string::npos);
  EXPECT_NE(choose_base({"xx"}, 0, 0).error().message.find("no catalogued model speaks xx"),
            std::string::npos);
}

TEST(NewProject, RefusesABaseThatNobodyKnows) {
  const auto unknown = check_base("smolm2-135m-instruct", ".");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kUsage);
  EXPECT_NE(unknown.error().to_string().find("Did you mean smollm2-135m-instruct?"),
            std::string::npos);
  EXPECT_EQ(check_base("hf:only-one-part", ".").error().code, ErrorCode::kUsage);
  for (const CatalogueEntry& entry : catalogue())
    EXPECT_EQ(check_base(entry.name, ".").ok(), can_run(entry)) << entry.name;
  for (const char* known : {"qwen2.5-0.5b-instruct", "hf:org/repo", "https://example.org/m.gguf"})
    EXPECT_TRUE(check_base(known, ".").ok()) << known;
  const fs::path folder = fs::temp_directory_path() / fmt::format("sllm-base-{}", getpid());
  fs::create_directories(folder / "own");
  EXPECT_TRUE(check_base("own", folder).ok());  // as sllm.toml in that folder would find it
  fs::remove_all(folder);
}

TEST(NewProject, WritesAFileThatReadsBack) {
  NewProject p;
  p.name = "help \"desk\"";
  p.goal = "answer\nquestions";
  p.languages = {"en", "ko"};
  p.base = "x.gguf";
  p.metric = "key_facts";
  p.thresholds = {{"en", 0.7}, {"ko", 0.6}};
  p.documents = "docs";
  p.memory_mb = 900;
  const auto read = parse_project(project_toml(p, "a reason"), "x/sllm.toml");
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  EXPECT_EQ(read->name, p.name);
  EXPECT_EQ(read->goal, p.goal);
  EXPECT_EQ(read->thresholds.size(), 2u);
  EXPECT_TRUE(read->evaluate.grounded);
}

}  // namespace
}  // namespace sllm::project
