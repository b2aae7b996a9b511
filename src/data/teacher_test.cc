// Teachers: what a server is asked, what is asked again, and what an engine answers.
#include "data/teacher.h"

#include <gmock/gmock.h>

#include "support/fake_engine.h"
#include "support/loopback_server.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string reply(const std::string& text, const std::string& reason = "stop") {
  const Json message = {{"role", "assistant"}, {"content", text}};
  const Json choice = {{"message", message}, {"finish_reason", reason}};
  return Json{{"choices", Json::array({choice})}, {"usage", {{"completion_tokens", 3}}}}.dump();
}

// Answers with these, one after the other, and the last one from then on.
class Replies {
 public:
  explicit Replies(std::vector<LoopbackResponse> replies)
      : replies_(std::move(replies)), server_([this](const LoopbackRequest&) {
          const size_t i = std::min(next_++, replies_.size() - 1);
          return replies_[i];
        }) {}
  ServerTeacherOptions options(int attempts = 4) const {
    ServerTeacherOptions o;
    o.server.url = server_.url("/v1/"), o.server.key = "secret";
    o.server.attempts = attempts, o.server.first_delay = std::chrono::milliseconds(1);
    o.model = "big";
    return o;
  }
  std::vector<LoopbackRequest> requests() { return server_.requests(); }

 private:
  std::vector<LoopbackResponse> replies_;
  std::atomic<size_t> next_ = 0;
  LoopbackServer server_;
};

TeacherRequest request() {
  TeacherRequest r;
  r.messages = {{"system", "Be short.", {}}, {"user", "안녕", {}}};
  r.temperature = 0.5, r.max_tokens = 7, r.seed = 11;
  return r;
}

TEST(ServerTeacher, AsksAsTheApiWants) {
  Replies server({{200, {}, reply("네")}});
  const auto teacher = server_teacher(server.options()).value();
  const TeacherAnswer answer = teacher->answer(request()).value();
  EXPECT_EQ(answer.text, "네");
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(answer.tokens, 3);
  EXPECT_THAT(teacher->name(), HasSubstr(" big"));
  EXPECT_EQ(teacher->name().find("secret"), std::string::npos);
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].path, "/v1/chat/completions");
  EXPECT_EQ(asked[0].headers.at("authorization"), "Bearer secret");
  const Json body = Json::parse(asked[0].body);
  EXPECT_EQ(body["model"], "big");
  EXPECT_EQ(body["messages"].dump(),
            R"([{"role":"system","content":"Be short."},{"role":"user","content":"안녕"}])");
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["max_tokens"], 7);
  EXPECT_EQ(body["seed"], 11);
}

TEST(ServerTeacher, TakesTheFirstModelWhenNoneIsNamed) {
  Replies server(
      {{200, {}, R"({"data":[{"id":"first"},{"id":"second"}]})"}, {200, {}, reply("x", "length")}});
  ServerTeacherOptions options = server.options();
  options.model = "";
  const auto teacher = server_teacher(options).value();
  EXPECT_THAT(teacher->name(), HasSubstr(" first"));
  EXPECT_FALSE(teacher->answer(request())->ended);
  Replies none({{200, {}, R"({"data":[]})"}});
  options = none.options();
  options.model = "";
  EXPECT_THAT(server_teacher(options).error().message, HasSubstr("no model"));
}

TEST(ServerTeacher, AsksAgainWhenTheServerIsBusyOrBreaksOff) {
  Replies server({{429, {{"Retry-After", "0"}}, "{}"},
                  {503, {}, "busy"},
                  {.status = 200, .body = reply("x"), .send_only = 5},
                  {200, {}, reply("at last")}});
  const auto teacher = server_teacher(server.options()).value();
  EXPECT_EQ(teacher->answer(request())->text, "at last");
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST(ServerTeacher, GivesUpAfterItsAttempts) {
  Replies server({{500, {}, R"({"error":{"message":"out of memory"}})"}});
  const auto teacher = server_teacher(server.options(3)).value();
  const Error error = teacher->answer(request()).error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.message, HasSubstr("answered 500: out of memory"));
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(ServerTeacher, TellsARefusedPromptFromARefusedKey) {
  Replies prompt({{400, {}, R"({"error":{"message":"too long"}})"}});
  EXPECT_EQ(server_teacher(prompt.options()).value()->answer(request()).error().code,
            ErrorCode::kBadInput);
  EXPECT_EQ(prompt.requests().size(), 1u);
  Replies key({{401, {}, R"({"error":{"message":"who are you"}})"}});
  const Error error = server_teacher(key.options()).value()->answer(request()).error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.hint, HasSubstr("SLLM_API_KEY"));
  EXPECT_EQ(key.requests().size(), 1u);
}

TEST(ServerTeacher, SaysWhatIsOddAboutAReply) {
  for (const char* body :
       {"{}", R"({"choices":[]})", R"({"choices":[{}]})", R"({"choices":[7]})"}) {
    Replies server({{200, {}, body}});
    const Error error = server_teacher(server.options()).value()->answer(request()).error();
    EXPECT_THAT(error.message, HasSubstr("the answer has no ")) << body;
  }
  Replies page({{200, {}, "<html>"}});
  EXPECT_THAT(server_teacher(page.options()).value()->answer(request()).error().message,
              HasSubstr("no JSON"));
}

TEST(ServerTeacher, KeepsWhatItSaidOfEachToken) {
  Json body = Json::parse(reply("네"));
  body["choices"][0]["logprobs"] = {{"content",
                                     {{{"token", "네"},
                                       {"logprob", -0.5},
                                       {"top_logprobs", {{{"token", "예"}, {"logprob", -1}}}}}}}};
  Replies server({{200, {}, body.dump()}, {200, {}, reply("네")}});
  const auto teacher = server_teacher(server.options()).value();
  TeacherRequest asked = request();
  asked.top_logprobs = 5;
  const TeacherAnswer answer = teacher->answer(asked).value();
  ASSERT_EQ(answer.logprobs.size(), 1u);
  EXPECT_EQ(answer.logprobs[0].bytes, "네");
  EXPECT_EQ(answer.logprobs[0].top[0].first, "예");
  const Json sent = Json::parse(server.requests()[0].body);
  EXPECT_EQ(sent["logprobs"], true);
  EXPECT_EQ(sent["top_logprobs"], 5);
  // A server that ignores the wish is no teacher for this: the rest of the prompts are not asked.
  const Error error = teacher->answer(asked).error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.message, HasSubstr("no log-probabilities"));
}

TEST(EngineTeacher, AnswersWithTheModelsTemplate) {
  const auto engine = std::make_shared<testing::FakeEngine>();
  engine->answer = [](const std::string& prompt) { return "<" + prompt + ">"; };
  const auto teacher = engine_teacher(engine, "tiny");
  const TeacherAnswer answer = teacher->answer(request()).value();
  EXPECT_EQ(answer.text, "<system:Be short.\nuser:안녕\n>");
  EXPECT_TRUE(answer.ended);
  EXPECT_GT(answer.tokens, 0);
  TeacherRequest bad = request();
  bad.messages.back().content = "unspeakable";
  EXPECT_EQ(teacher->answer(bad).error().code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace sllm
