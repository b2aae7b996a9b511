// A small HTTP/1.1 server on the loopback, for tests of our client: a handler decides every answer,
// and it can lie: truncate a body, ignore ranges, change its ETag.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sllm {

struct LoopbackRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // as long as Content-Length says
  // First byte of "Range: bytes=N-"; 0 when there is none.
  size_t range_start() const {
    const auto it = headers.find("range");
    return it == headers.end() ? 0 : std::strtoull(it->second.c_str() + 6, nullptr, 10);
  }
};
struct LoopbackResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  size_t send_only = SIZE_MAX;  // bytes of the body after which the connection is cut
  bool no_length = false;       // without Content-Length: the end of the connection ends the body
};

class LoopbackServer {
 public:
  using Handler = std::function<LoopbackResponse(const LoopbackRequest&)>;
  explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 16);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~LoopbackServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    ::close(listener_);
    thread_.join();
  }
  std::string url(const std::string& path = "") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<LoopbackRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stopping_) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      answer(connection);
      ::shutdown(connection, SHUT_RDWR);
      ::close(connection);
    }
  }

  void answer(int connection) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<size_t>(n));
    }
    LoopbackRequest request;
    const size_t first = text.find(' '), second = text.find(' ', first + 1);
    request.method = text.substr(0, first);
    request.path = text.substr(first + 1, second - first - 1);
    const size_t head_end = text.find("\r\n\r\n") + 4;
    for (size_t at = text.find("\r\n") + 2; at < head_end;) {
      const size_t end = text.find("\r\n", at), colon = text.find(": ", at);
      if (end == at || end == std::string::npos) break;
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    const auto size = request.headers.find("content-length");
    const size_t whole = head_end + (size == request.headers.end() ? 0 : std::stoull(size->second));
    while (text.size() < whole) {
      const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<size_t>(n));
    }
    request.body = text.substr(head_end, whole - head_end);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const LoopbackResponse r = handler_(request);
    std::string head = "HTTP/1.1 " + std::to_string(r.status) + " X\r\nConnection: close\r\n";
    bool length = false;
    for (const auto& [name, value] : r.headers) {
      head += name + ": " + value + "\r\n";
      length |= name == "Content-Length";
    }
    if (!length && !r.no_length)
      head += "Content-Length: " + std::to_string(r.body.size()) + "\r\n";
    head += "\r\n";
    if (request.method != "HEAD") head += r.body.substr(0, r.send_only);
    for (size_t sent = 0; sent < head.size();) {
      const ssize_t n = ::send(connection, head.data() + sent, head.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::vector<LoopbackRequest> requests_;
  std::thread thread_;
};

}  // namespace sllm
