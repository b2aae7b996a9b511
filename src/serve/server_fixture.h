// For the tests of this folder: a server over real sockets with a paced fake engine behind it, and
// a client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/server.h"
#include "tests/support/paced_engine.h"

namespace sllm::testing {

// A client that writes bytes and reads until the peer closes, or for one complete response.
class Client {
 public:
  explicit Client(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Client() { leave(); }
  void leave() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void end_writing() { ::shutdown(fd_, SHUT_WR); }
  // Until `marker` has been seen or the peer closes.
  std::string read_until(std::string_view marker = {}) {
    char bytes[4096];
    while (marker.empty() || text_.find(marker) == std::string::npos) {
      const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
      if (n <= 0) break;
      text_.append(bytes, static_cast<size_t>(n));
    }
    return text_;
  }

 private:
  int fd_;
  std::string text_;
};

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view headers = "") {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: "
      "close\r\n"
      "{}Content-Length: {}\r\n\r\n{}",
      path, headers, body.size(), body);
}
inline std::string get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", path,
                     headers);
}
inline std::string chat(std::string_view text, std::string_view more = "") {
  return fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]{}}})", text, more);
}

inline int status_of(const std::string& response) {
  return response.size() > 12 ? std::atoi(response.c_str() + 9) : 0;
}
inline Json body_of(const std::string& response) {
  const size_t at = response.find("\r\n\r\n");
  return at == std::string::npos ? Json() : Json::parse(response.substr(at + 4), nullptr, false);
}
// The JSON documents of an event stream (chunk sizes lie on lines of their own).
inline std::vector<Json> events_of(const std::string& response) {
  std::vector<Json> events;
  for (size_t at = 0; (at = response.find("data: {", at)) != std::string::npos; ++at)
    events.push_back(
        Json::parse(response.substr(at + 6, response.find("\n\n", at) - at - 6), nullptr, false));
  return events;
}

class FakeAnswerer final : public GroundedAnswerer {
 public:
  Result<GroundedPrompt> prompt(std::string_view question) const override {
    GroundedPrompt prompt;
    prompt.question = question;
    prompt.supported = question.find("leave") != std::string_view::npos;
    SearchHit hit;
    hit.chunk.document = "handbook.md", hit.chunk.title = "Handbook",
    hit.chunk.text = "15 days of leave";
    prompt.passages = {hit};
    prompt.messages = {{"user", "[1] 15 days of leave. " + std::string(question), {}}};
    return prompt;
  }
  GroundedAnswer check(const GroundedPrompt& prompt, std::string_view reply) const override {
    GroundedAnswer answer;
    if (!prompt.supported) {
      answer.text = "I don't know";
      return answer;
    }
    answer.text = std::string(reply) + " [1]";
    answer.known = true;
    answer.citations = {{1, prompt.passages[0].chunk, 1.0}};
    return answer;
  }
};

class ServerFixture : public ::testing::Test {
 protected:
  void start(PacedEngine::Pace pace = {}, ServerOptions options = {}) {
    engine_ = std::make_shared<PacedEngine>(pace);
    engine_->answer = [](const std::string& prompt) -> std::string {
      if (prompt.find("long") != std::string::npos) return std::string(100000, 'x');
      if (prompt.find("fail") != std::string::npos) return "!fail";
      return "안녕 hello";
    };
    options.port = 0;
    options.service.model_name = "tiny";
    options.service.adapters = {{"polite", "tuned"}};
    auto server = Server::open(options, engine_, std::make_shared<FakeAnswerer>());
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
    thread_ = std::thread([this] { (void)server_->run(); });
  }
  void TearDown() override {
    if (!server_) return;
    server_->stop();
    thread_.join();
  }
  std::string ask(std::string_view request, bool end = false) {
    Client client(server_->port());
    client.write(request);
    if (end) client.end_writing();
    return client.read_until();
  }
  // Waits for what another thread brings about; no timing is asserted beyond the generous end.
  template <class Condition>
  bool soon(Condition condition) {
    for (int i = 0; i < 2000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
  }

  std::shared_ptr<PacedEngine> engine_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace sllm::testing
