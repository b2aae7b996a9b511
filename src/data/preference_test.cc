// Rows of preferences, in the forms that data sets have.
#include "data/preference.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "data/row.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

Result<Preference> row(const std::string& text) {
  return preference_from_row(parse_json(text).value(), "x.jsonl:1", {});
}

std::string shown(const Conversation& messages) {
  std::string text;
  for (const Message& m : messages) text += m.role.substr(0, 1) + ":" + m.content + ";";
  return text;
}
std::string shown(const Preference& p) {
  return shown(p.prompt) + " > " + shown(p.chosen) + " / " + shown(p.rejected);
}

TEST(Preference, ReadsPairsBehindAPrompt) {
  for (const char* text : {
           R"({"prompt": "q", "chosen": "b", "rejected": "c"})",
           R"({"instruction": "q", "input": "", "output": "x", "chosen": "b", "rejected": "c"})",
           R"({"prompt": [{"role": "user", "content": "q"}],
               "chosen": [{"role": "assistant", "content": "b"}],
               "rejected": [{"role": "assistant", "content": "c"}]})",
           R"({"conversations": [{"from": "human", "value": "q"}],
               "chosen": {"from": "gpt", "value": "b"}, "rejected": {"from": "gpt", "value": "c"}})",
           R"({"question": "q", "chosen": "b", "rejected": "c"})",
       })
    EXPECT_EQ(shown(row(text).value()), "u:q; > a:b; / a:c;") << text;
  EXPECT_EQ(
      shown(
          row(R"({"system": "s", "instruction": "q", "input": "i", "chosen": "b", "rejected": "c"})")
              .value()),
      "s:s;u:q\n\ni; > a:b; / a:c;");
}

TEST(Preference, TakesThePromptOutOfWholeConversations) {
  const char* lists = R"({"prompt": "q",
      "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
      "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "c"}]})";
  EXPECT_EQ(shown(row(lists).value()), "u:q; > a:b; / a:c;");
  const char* dialogue = R"({
      "chosen": "\n\nHuman: q\n\nAssistant: w\n\nHuman: x\n\nAssistant: b\n\nc",
      "rejected": "\n\nHuman: q\n\nAssistant: w\n\nHuman: x\n\nAssistant:"})";
  EXPECT_EQ(shown(row(dialogue).value()), "u:q;a:w;u:x; > a:b\n\nc; / a:;");
  const char* same = R"({"chosen": "\n\nHuman: q\n\nAssistant: w",
                         "rejected": "\n\nHuman: q\n\nAssistant: w"})";
  EXPECT_EQ(shown(row(same).value()), "u:q; > a:w; / a:w;");
}

TEST(Preference, ReadsLabels) {
  for (
      const char* text : {
          R"({"prompt": "q", "completion": "b", "label": false})",
          R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
               "label": false})",
          R"({"instruction": "q", "output": "b", "kto_tag": "false"})",
          R"({"question": "q", "answer": "b", "label": 0})",
      }) {
    const Preference p = row(text).value();
    EXPECT_EQ(shown(p), "u:q; > a:b; / ") << text;
    EXPECT_EQ(p.label, false) << text;
  }
}

TEST(Preference, SaysWhatIsWrong) {
  const auto message = [](const char* text) { return row(text).error().message; };
  EXPECT_THAT(message(R"({"prompt": "q", "chosen": "b"})"), HasSubstr("found: prompt, chosen"));
  EXPECT_THAT(message(R"({"chosen": "b", "rejected": "c"})"), HasSubstr("without a prompt"));
  EXPECT_THAT(message(R"({"chosen": "\n\nHuman: q\n\nAssistant: b",
                          "rejected": "\n\nHuman: p\n\nAssistant: c"})"),
              HasSubstr("begin with different messages"));
  EXPECT_THAT(message(R"({"prompt": "q", "chosen": [{"role": "user", "content": "b"}],
                          "rejected": "c"})"),
              HasSubstr("\"chosen\" ends with a message of the user"));
  EXPECT_THAT(message(R"({"prompt": "q", "completion": "b", "label": "good"})"),
              HasSubstr("expected true or false"));
  EXPECT_THAT(message(R"({"messages": [{"role": "assistant", "content": "b"}], "label": true})"),
              HasSubstr("no prompt"));
}

TEST(Preference, ReadsFilesAndNamesTheLine) {
  const fs::path file = fs::temp_directory_path() / fmt::format("sllm-pref-{}.csv", ::getpid());
  ASSERT_TRUE(write_file_atomically(file, "prompt,completion,label\nq,b,true\nq,c,maybe\n").ok());
  EXPECT_THAT(read_preferences(file).error().message, HasSubstr(".csv:3: "));
  ReadOptions options;
  options.skip_bad = 1;
  EXPECT_EQ(read_preferences(file, options).value().size(), 1u);
  fs::remove(file);
  const fs::path document = fs::temp_directory_path() / fmt::format("sllm-{}.md", ::getpid());
  ASSERT_TRUE(write_file_atomically(document, "# a\n").ok());
  EXPECT_THAT(read_preferences(document).error().hint, HasSubstr("a document has no such rows"));
  fs::remove(document);
}

}  // namespace
}  // namespace sllm
