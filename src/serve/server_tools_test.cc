// Functions that models call, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/server_fixture.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using namespace testing;

class ServerToolsTest : public ServerFixture {};

// What the engine of these tests says when it is asked for the weather.
constexpr const char* kCallsTwice =
    "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"서울\"}}\n"
    "</tool_call>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Busan\"}}\n"
    "</tool_call>";
constexpr const char* kTools =
    R"(,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object",
        "properties":{"city":{"type":"string"}},"required":["city"]}}}])";

TEST_F(ServerToolsTest, CallsFunctions) {
  start({.context = 4096, .piece = 7});
  std::string prompt;
  engine_->answer = [&](const std::string& text) { return prompt = text, kCallsTwice; };
  const Json whole = body_of(ask(post("/v1/chat/completions", chat("weather?", kTools))));
  EXPECT_THAT(prompt, HasSubstr("<tools>\n{\"name\":\"weather\""));
  const Json& choice = whole["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], "Let me see.");
  const Json& calls = choice["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0]["type"], "function");
  EXPECT_EQ(calls[0]["function"]["name"], "weather");
  EXPECT_EQ(calls[0]["function"]["arguments"], R"({"city": "서울"})");
  EXPECT_EQ(calls[1]["function"]["arguments"], R"({"city": "Busan"})");
  EXPECT_NE(calls[0]["id"], calls[1]["id"]);
  EXPECT_EQ(whole["usage"]["completion_tokens"], std::string_view(kCallsTwice).size());

  std::string text, ids, arguments[2], finish;
  size_t pieces = 0;
  for (const Json& event : events_of(ask(post(
           "/v1/chat/completions", chat("weather?", std::string(kTools) + R"(,"stream":true)"))))) {
    const Json& delta = event["choices"][0]["delta"];
    text += delta.value("content", "");
    if (event["choices"][0]["finish_reason"].is_string())
      finish = event["choices"][0]["finish_reason"];
    for (const Json& call : delta.value("tool_calls", Json::array())) {
      if (call.contains("id")) ids += call["function"]["name"].get<std::string>() + " ";
      arguments[call["index"].get<size_t>()] += call["function"]["arguments"];
      ++pieces;
    }
  }
  EXPECT_EQ(text, "Let me see.");
  EXPECT_EQ(ids, "weather weather ");
  EXPECT_EQ(arguments[0], R"({"city": "서울"})");
  EXPECT_EQ(arguments[1], R"({"city": "Busan"})");
  EXPECT_EQ(finish, "tool_calls");
  EXPECT_GT(pieces, 4u);  // the arguments came in pieces

  const Json none = body_of(ask(
      post("/v1/chat/completions", chat("x", std::string(kTools) + R"(,"tool_choice":"none")"))));
  EXPECT_EQ(prompt, "user:x\n");
  EXPECT_EQ(none["choices"][0]["message"]["content"], kCallsTwice);
  EXPECT_EQ(none["choices"][0]["finish_reason"], "stop");
  const Json cut = body_of(
      ask(post("/v1/chat/completions", chat("x", std::string(kTools) + R"(,"max_tokens":80)"))));
  EXPECT_EQ(cut["choices"][0]["finish_reason"], "length");
}

TEST_F(ServerToolsTest, ReadsCallsAndTheirResults) {
  start({.context = 4096, .piece = 64});
  std::string prompt;
  engine_->answer = [&](const std::string& text) { return prompt = text, "Sunny."; };
  const std::string response = ask(post("/v1/chat/completions", R"({"messages":[
      {"role":"user","content":"weather?"},
      {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",
       "function":{"name":"weather","arguments":"{\"city\":\"서울\"}"}}]},
      {"role":"tool","tool_call_id":"a","content":"sun"},{"role":"tool","content":"no rain"}]})"));
  EXPECT_EQ(status_of(response), 200) << response;
  EXPECT_EQ(prompt,
            "user:weather?\nassistant:<tool_call>\n{\"name\": \"weather\", \"arguments\": "
            "{\"city\": \"서울\"}}\n</tool_call>\nuser:<tool_response>\nsun\n</tool_response>\n"
            "<tool_response>\nno rain\n</tool_response>\n");
}

TEST_F(ServerToolsTest, CallsFunctionsAsOllamaDoes) {
  start({.context = 4096, .piece = 7});
  engine_->answer = [](const std::string&) { return kCallsTwice; };
  const std::string body =
      R"({"model":"tiny","messages":[{"role":"user","content":"weather?"}])" + std::string(kTools);
  const Json whole = body_of(ask(post("/api/chat", body + R"(,"stream":false})")));
  EXPECT_EQ(whole["message"]["content"], "Let me see.");
  ASSERT_EQ(whole["message"]["tool_calls"].size(), 2u);
  EXPECT_EQ(whole["message"]["tool_calls"][0]["function"]["arguments"]["city"], "서울");
  EXPECT_EQ(whole["done_reason"], "stop");
  const std::string streamed = ask(post("/api/chat", body + "}"));
  std::string text, cities;
  for (size_t at = 0; (at = streamed.find("{\"model\"", at)) != std::string::npos; ++at) {
    const Json line = Json::parse(streamed.substr(at, streamed.find('\n', at) - at));
    text += line["message"]["content"];
    for (const Json& call : line["message"].value("tool_calls", Json::array()))
      cities += call["function"]["arguments"]["city"].get<std::string>() + " ";
  }
  EXPECT_EQ(text, "Let me see.");
  EXPECT_EQ(cities, "서울 Busan ");
}

}  // namespace
}  // namespace sllm
