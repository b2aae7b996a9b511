// The server over real sockets, with a paced fake engine behind it.
#include "serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "serve/server_fixture.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace testing;
using namespace std::chrono_literals;

class ServerTest : public ServerFixture {};

TEST_F(ServerTest, AnswersChat) {
  start();
  const std::string response =
      ask(post("/v1/chat/completions", chat("hi", R"(,"model":"tiny","n":2)")));
  EXPECT_EQ(status_of(response), 200);
  EXPECT_THAT(response, HasSubstr("x-request-id: req_"));
  EXPECT_THAT(response, Not(HasSubstr("Access-Control")));
  const Json body = body_of(response);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "tiny");
  ASSERT_EQ(body["choices"].size(), 2u);
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["message"]["content"], "안녕 hello");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 8);  // "user:hi\n"
  EXPECT_EQ(body["usage"]["completion_tokens"], 24);
}

TEST_F(ServerTest, AnswersAsOllamaDoes) {
  start();
  const Json chat_body{{"model", "tiny:latest"},
                       {"messages", {{{"role", "user"}, {"content", "hi"}}}},
                       {"options", {{"temperature", 0}, {"num_ctx", 64}, {"seed", 3}}}};
  const std::string streamed = ask(post("/api/chat", chat_body.dump()));
  EXPECT_EQ(status_of(streamed), 200);
  EXPECT_THAT(streamed, HasSubstr("Content-Type: application/x-ndjson"));
  EXPECT_THAT(streamed, Not(HasSubstr("data:")));
  // One end, behind which the connection could serve another request.
  EXPECT_EQ(streamed.find("\r\n0\r\n\r\n"), streamed.size() - 7);
  std::string text;
  Json last;
  for (size_t at = 0; (at = streamed.find("{\"model\"", at)) != std::string::npos; ++at) {
    last = Json::parse(streamed.substr(at, streamed.find('\n', at) - at));
    text += last["message"]["content"];
  }
  EXPECT_EQ(text, "안녕 hello");
  EXPECT_EQ(last["done"], true);
  EXPECT_EQ(last["done_reason"], "stop");
  EXPECT_EQ(last["prompt_eval_count"], 8);
  EXPECT_EQ(last["eval_count"], 12);
  EXPECT_GE(last["total_duration"], last["eval_duration"]);

  const Json whole = body_of(
      ask(post("/api/generate", R"({"model":"tiny","prompt":"hi","system":"s","stream":false})")));
  EXPECT_EQ(whole["response"], "안녕 hello");
  EXPECT_EQ(whole["done"], true);
  const Json raw = body_of(
      ask(post("/api/generate", R"({"model":"polite","prompt":"hi","raw":true,"stream":false,
                                    "options":{"num_predict":2}})")));
  EXPECT_EQ(raw["prompt_eval_count"], 2);  // no template
  EXPECT_EQ(raw["model"], "polite");
  EXPECT_EQ(body_of(ask(post("/api/generate", R"({"model":"tiny"})")))["done_reason"], "load");
}

TEST_F(ServerTest, ListsEmbedsAndRefusesAsOllamaDoes) {
  start();
  const Json tags = body_of(ask(get("/api/tags")));
  ASSERT_EQ(tags["models"].size(), 2u);
  EXPECT_EQ(tags["models"][0]["name"], "tiny");
  EXPECT_EQ(tags["models"][1]["model"], "polite");
  EXPECT_TRUE(tags["models"][0]["details"].contains("quantization_level"));
  EXPECT_EQ(tags["models"][0]["digest"].get<std::string>().size(), 64u);
  const std::string asked = post("/api/chat", R"({"model":"tiny","stream":false,"messages":
      [{"role":"user","content":"hi","images":[],"thinking":"x"}],"options":{"mirostat_tau":5.0}})");
  EXPECT_EQ(status_of(ask(asked)), 200);
  EXPECT_EQ(body_of(ask(get("/api/ps")))["models"].size(), 2u);
  EXPECT_TRUE(body_of(ask(get("/api/version")))["version"].is_string());
  const Json shown = body_of(ask(post("/api/show", R"({"model":"tiny"})")));
  EXPECT_THAT(shown["capabilities"].dump(), HasSubstr("completion"));
  const Json embedded = body_of(ask(post("/api/embed", R"({"model":"tiny","input":["a","bc"]})")));
  EXPECT_EQ(embedded["embeddings"].size(), 2u);
  EXPECT_EQ(embedded["prompt_eval_count"], 3);
  EXPECT_TRUE(body_of(ask(post("/api/embeddings", R"({"model":"tiny","prompt":"a"})")))["embedding"]
                  .is_array());
  for (const auto& [path, body, status, word] :
       std::vector<std::tuple<std::string, std::string, int, std::string>>{
           {"/api/chat", R"({"messages":[{"role":"user","content":"hi"}]})", 400, "model"},
           {"/api/chat", R"({"model":"no","messages":[{"role":"user","content":"hi"}]})", 404,
            "no"},
           {"/api/chat", R"({"model":"tiny","messages":"hi"})", 400, "array"},
           {"/api/generate", R"({"model":"tiny","prompt":"a","options":{"mirostat":1}})", 400,
            "mirostat"},
           {"/api/generate", R"({"model":"tiny","prompt":"a","format":"xml"})", 400, "format"},
           {"/api/embed", R"({"model":"tiny","input":7})", 400, "input"},
           {"/api/show", R"({"model":"other"})", 404, "other"}}) {
    const std::string response = ask(post(path, body));
    EXPECT_EQ(status_of(response), status) << body;
    const Json error = body_of(response)["error"];
    ASSERT_TRUE(error.is_string()) << response;  // Ollama's clients expect a text
    EXPECT_THAT(error.get<std::string>(), HasSubstr(word)) << body;
  }
}

TEST_F(ServerTest, StreamsChatInWholeCharactersWithUsage) {
  start();
  const std::string response = ask(post(
      "/v1/chat/completions",
      chat(
          "hi",
          R"(,"stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":1)")));
  EXPECT_THAT(response, HasSubstr("text/event-stream"));
  EXPECT_THAT(response, HasSubstr("data: [DONE]"));
  const auto events = events_of(response);
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events.front()["choices"][0]["delta"]["role"], "assistant");
  std::string text;
  size_t logprobs = 0;
  for (const Json& e : events) {
    ASSERT_FALSE(e.is_discarded());
    if (e["choices"].empty()) continue;
    text += e["choices"][0]["delta"].value("content", "");
    if (const Json& l = e["choices"][0]["logprobs"]; l.is_object()) logprobs += l["content"].size();
  }
  EXPECT_EQ(text, "안녕 hello");
  EXPECT_EQ(logprobs, 12u);  // one a token, and the fake's tokens are bytes
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 12);
}

TEST_F(ServerTest, CompletesWithEchoAndLogprobs) {
  start();
  const Json body = body_of(ask(
      post("/v1/completions", R"({"prompt":["ab","c"],"max_tokens":1,"echo":true,"logprobs":1})")));
  ASSERT_EQ(body["choices"].size(), 2u);
  const Json& first = body["choices"][0];
  EXPECT_THAT(first["text"].get<std::string>(), StartsWith("ab안"));
  EXPECT_EQ(first["finish_reason"], "length");
  EXPECT_EQ(first["logprobs"]["tokens"][0], "a");
  EXPECT_TRUE(first["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_EQ(first["logprobs"]["token_logprobs"][1], -1.5);
  EXPECT_EQ(first["logprobs"]["tokens"][2], "bytes:\\xec");
  EXPECT_EQ(first["logprobs"]["text_offset"][1], 1);
}

TEST_F(ServerTest, ServesAdaptersByName) {
  start();
  EXPECT_EQ(body_of(ask(post("/v1/chat/completions", chat("hi", R"(,"model":"polite")"))))["model"],
            "polite");
  const std::string missing = ask(post("/v1/chat/completions", chat("hi", R"(,"model":"gpt-9")")));
  EXPECT_EQ(status_of(missing), 404);
  EXPECT_EQ(body_of(missing)["error"]["code"], "model_not_found");
  EXPECT_EQ(body_of(ask(get("/v1/models")))["data"].size(), 2u);
  EXPECT_EQ(body_of(ask(get("/v1/models/polite")))["id"], "polite");
  EXPECT_EQ(status_of(ask(get("/v1/models/..%2f..%2fetc"))), 404);
}

TEST_F(ServerTest, EmbedsAsFloatsAndBase64) {
  start();
  EXPECT_EQ(body_of(ask(post("/v1/embeddings", R"({"input":"a"})")))["data"][0]["embedding"][0],
            1.0);
  EXPECT_EQ(body_of(ask(
                post("/v1/embeddings",
                     R"({"input":["a","b"],"encoding_format":"base64"})")))["data"][1]["embedding"],
            "AACAPw==");  // 1.0f, little-endian
}

TEST_F(ServerTest, GroundsAnswersInDocuments) {
  start();
  const Json known = body_of(ask(post("/v1/ask", R"({"question":"how much leave?"})")));
  EXPECT_EQ(known["answer"], "안녕 hello [1]");
  EXPECT_EQ(known["sources"][0]["text"], "15 days of leave");
  EXPECT_EQ(known["citations"], Json::array({1}));
  const Json unknown = body_of(ask(post("/v1/ask", R"({"question":"who is king?"})")));
  EXPECT_EQ(unknown["answer"], "I don't know");
  EXPECT_EQ(unknown["known"], false);
  EXPECT_TRUE(unknown["sources"].empty());
  const auto events = events_of(ask(
      post("/v1/chat/completions", chat("leave?", R"(,"stream":true,"sllm":{"ground":true})"))));
  EXPECT_EQ(events.front()["sllm"]["sources"][0]["document"], "handbook.md");
  EXPECT_EQ(events.back()["sllm"]["answer"], "안녕 hello [1]");
  EXPECT_EQ(events.back()["sllm"]["citations"], Json::array({1}));
}

TEST_F(ServerTest, SaysWhatTheTemplateRefuses) {
  start();
  const std::string response = ask(post("/v1/chat/completions", chat("unspeakable")));
  EXPECT_EQ(status_of(response), 422);
  EXPECT_THAT(body_of(response)["error"]["message"].get<std::string>(),
              HasSubstr("roles must alternate"));
  EXPECT_EQ(body_of(response)["error"]["param"], "messages");
}

TEST_F(ServerTest, RefusesPromptsBeyondTheContextWithBothNumbers) {
  start();
  const std::string response = ask(post("/v1/chat/completions", chat(std::string(300, 'a'))));
  EXPECT_EQ(status_of(response), 400);
  EXPECT_EQ(body_of(response)["error"]["code"], "context_length_exceeded");
  EXPECT_THAT(response, HasSubstr("306"));
  EXPECT_THAT(response, HasSubstr("256"));
}

TEST_F(ServerTest, SurvivesMalformedHttp) {
  start();
  const std::vector<std::pair<std::string, int>> cases = {
      {"garbage\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404},
      {"GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404},
      {"DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405},
      {"GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 403},
      {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
       "2\r\n\r\n{}",
       415},
      {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
       "application/json\r\nContent-Length: -1\r\n\r\n",
       400},
      {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
       "application/json\r\nContent-Length: 1073741824\r\n\r\n",
       413},
      {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
       "application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
       400},
      {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
       "application/json\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
       400},
      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20000, 'a') + "\r\n\r\n",
       431},
      {post("/v1/completions", std::string(10 << 20, '[')), 400},
      {post("/v1/completions", std::string(10 << 20, '\xff')), 400},
      {post("/v1/completions", std::string(17 << 20, 'a')), 413},
      {post("/v1/chat/completions", chat("hi"), "Origin: http://evil.example\r\n"), 403},
  };
  for (const auto& [request, status] : cases) {
    const std::string response = ask(request, true);
    EXPECT_EQ(status_of(response), status) << request.substr(0, 120) << "\n"
                                           << response.substr(0, 300);
    EXPECT_TRUE(body_of(response).contains("error")) << response.substr(0, 300);
  }
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
}

TEST_F(ServerTest, SaysWhichMethodsAPathTakes) {
  start();
  EXPECT_THAT(ask("DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
              HasSubstr("\r\nAllow: GET, HEAD\r\n"));
  EXPECT_THAT(ask(get("/v1/completions")), HasSubstr("\r\nAllow: POST\r\n"));
}

TEST_F(ServerTest, AsksForTheKeyEverywhereButAtThePageAndHealth) {
  ServerOptions options;
  options.access.api_keys = {"sk-test"};
  start({}, options);
  EXPECT_EQ(status_of(ask(get("/health"))), 200);
  EXPECT_EQ(status_of(ask(get("/"))), 200);
  EXPECT_EQ(status_of(ask(get("/metrics"))), 401);
  EXPECT_EQ(status_of(ask(post("/v1/chat/completions", chat("hi")))), 401);
  EXPECT_EQ(status_of(ask(get("/metrics", "Authorization: Bearer sk-test\r\n"))), 200);
}

TEST_F(ServerTest, TellsTheEngineWhoseRequestItIs) {
  ServerOptions options;
  options.access.api_keys = {"sk-one", "sk-two"};
  start({}, options);
  for (const char* key : {"sk-two", "sk-one", "sk-two"}) {
    const std::string header = fmt::format("Authorization: Bearer {}\r\n", key);
    EXPECT_EQ(status_of(ask(post("/v1/chat/completions", chat("hi"), header))), 200);
  }
  EXPECT_EQ(engine_->owners(), (std::vector<int64_t>{2, 1, 2}));
}

TEST_F(ServerTest, NeedsAKeyBeyondLoopback) {
  ServerOptions options;
  options.host = "0.0.0.0";
  options.port = 0;
  const auto refused = Server::open(options, std::make_shared<PacedEngine>(PacedEngine::Pace{}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  options.insecure_no_auth = true;
  EXPECT_TRUE(Server::open(options, std::make_shared<PacedEngine>(PacedEngine::Pace{})).ok());
}

TEST_F(ServerTest, FreesTheSlotOfAClientThatLeaves) {
  start({.slots = 1, .queue = 2, .context = 200000});
  for (const char* extra : {R"(,"stream":true)", ""}) {
    Client leaver(server_->port());
    leaver.write(post("/v1/chat/completions", chat("long", extra)));
    ASSERT_TRUE(soon([&] { return engine_->stats().active == 1; }));
    Client queued(server_->port());
    queued.write(post("/v1/chat/completions", chat("long", extra)));
    ASSERT_TRUE(soon([&] { return engine_->stats().waiting == 1; }));
    queued.leave();
    EXPECT_TRUE(soon([&] { return engine_->stats().waiting == 0; }));
    leaver.leave();
    EXPECT_TRUE(soon([&] { return engine_->stats().active == 0; }));
  }
  EXPECT_EQ(engine_->stats().cancelled, 4u);
  EXPECT_THAT(ask(get("/metrics")), HasSubstr("sllm_http_disconnects_total 4"));
}

TEST_F(ServerTest, RefusesWhenTheQueueIsFull) {
  start({.slots = 1, .queue = 1, .context = 200000});
  Client first(server_->port()), second(server_->port());
  first.write(post("/v1/chat/completions", chat("long")));
  second.write(post("/v1/chat/completions", chat("long")));
  ASSERT_TRUE(soon([&] { return engine_->stats().waiting == 1; }));
  const std::string response = ask(post("/v1/chat/completions", chat("hi")));
  EXPECT_EQ(status_of(response), 429);
  EXPECT_THAT(response, HasSubstr("Retry-After: 1"));
  EXPECT_EQ(status_of(ask(post("/v1/chat/completions", "{"))), 429);  // said before it is read
}

TEST_F(ServerTest, RunsMoreChoicesThanTheQueueHolds) {
  start({.slots = 1, .queue = 1});
  const Json body = body_of(ask(post("/v1/completions", R"({"prompt":["a","b"],"n":4})")));
  ASSERT_EQ(body["choices"].size(), 8u);
  for (const Json& choice : body["choices"]) EXPECT_EQ(choice["text"], "안녕 hello");
}

TEST_F(ServerTest, ReportsAnEngineThatFails) {
  start();
  const std::string whole = ask(post("/v1/chat/completions", chat("fail")));
  EXPECT_EQ(status_of(whole), 500);
  EXPECT_THAT(whole, HasSubstr("weights are NaN"));
  const std::string stream = ask(post("/v1/chat/completions", chat("fail", R"(,"stream":true)")));
  EXPECT_EQ(events_of(stream).back()["error"]["type"], "server_error");
  EXPECT_THAT(stream, Not(HasSubstr("[DONE]")));
}

TEST_F(ServerTest, KeepsConnectionsAlive) {
  start();
  Client client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.read_until("\"ok\"}");
  }
  client.write(get("/v1/models"));
  EXPECT_THAT(client.read_until(), HasSubstr("\"tiny\""));
}

TEST_F(ServerTest, LimitsConnections) {
  ServerOptions options;
  options.max_connections = 3;
  start({}, options);
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(std::make_unique<Client>(server_->port()));
    idle.back()->write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    idle.back()->read_until("\"ok\"}");
  }
  EXPECT_EQ(status_of(ask("")), 429);
  idle.clear();
  EXPECT_TRUE(soon([&] { return status_of(ask(get("/health"))) == 200; }));
}

TEST_F(ServerTest, DropsAReaderWhoTakesNothing) {
  ServerOptions options;
  options.write_timeout = 1s;
  start({.slots = 1, .queue = 2, .context = 200000000, .step = 0ms, .piece = 65536}, options);
  engine_->answer = [](const std::string&) { return std::string(100000000, 'x'); };
  Client sleeper(server_->port());
  sleeper.write(post("/v1/chat/completions", chat("x", R"(,"stream":true)")));
  ASSERT_TRUE(soon([&] { return engine_->stats().active == 1; }));
  EXPECT_TRUE(soon([&] {
    return ask(get("/metrics")).find("sllm_http_slow_readers_total 1\n") != std::string::npos;
  }));
  EXPECT_TRUE(soon([&] { return engine_->stats().active == 0; }));
}

TEST_F(ServerTest, LetsAnswersEndWhenAskedToStop) {
  start({.slots = 1, .queue = 2, .context = 4096, .step = 20ms});
  Client idle(server_->port());
  idle.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  idle.read_until("\"ok\"}");
  Client busy(server_->port());
  busy.write(post("/v1/chat/completions", chat("hi", R"(,"stream":true)")));
  ASSERT_TRUE(soon([&] { return engine_->stats().active == 1; }));
  server_->stop();
  EXPECT_THAT(busy.read_until(), HasSubstr("data: [DONE]"));
  thread_.join();
  server_.reset();
}

TEST_F(ServerTest, AnswersAllowedOriginsPreflight) {
  ServerOptions options;
  options.access.allowed_origins = {"https://app.example"};
  start({}, options);
  const std::string preflight =
      ask("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: "
          "https://app.example\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(preflight), 204);
  EXPECT_THAT(preflight, HasSubstr("Access-Control-Allow-Origin: https://app.example"));
}

}  // namespace
}  // namespace sllm
