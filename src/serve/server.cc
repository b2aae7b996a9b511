// Listening, accepting, draining.
#include "serve/server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <atomic>

#include "base/events.h"
#include "serve/session.h"

namespace sllm {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kTick{50};

class HttpServer final : public Server {
 public:
  HttpServer(ServerOptions options, std::shared_ptr<Engine> engine,
             std::shared_ptr<const GroundedAnswerer> answerer)
      : engine_(engine), core_(std::move(options), std::move(engine), std::move(answerer)) {}
  ~HttpServer() override { core_.workers.join(); }

  Result<> listen() {
    const ServerOptions& o = core_.options;
    boost::system::error_code error;
    tcp::resolver resolver(io_);
    const auto found =
        resolver.resolve(o.host, std::to_string(o.port), tcp::resolver::passive, error);
    if (error) return usage_error("--host {}: {}", o.host, error.message());
    const tcp::endpoint endpoint = *found.begin();
    if (!endpoint.address().is_loopback() && o.access.api_keys.empty() && !o.insecure_no_auth)
      return with_hint(
          usage_error("--host {} can be reached from other machines, so a key is needed", o.host),
          "Give --api-key KEY (or set SLLM_API_KEY), or --insecure-no-auth to let everyone in");
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error)
      return with_hint(make_error(ErrorCode::kNetwork, "cannot listen on {} port {}: {}", o.host,
                                  o.port, error.message()),
                       "Try another --port, or --port 0 for any free one");
    port_ = acceptor_.local_endpoint().port();
    return ok();
  }

  int port() const override { return port_; }
  std::string url() const override {
    const bool v6 = core_.options.host.find(':') != std::string::npos;
    return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", core_.options.host, v6 ? "]" : "", port_);
  }
  void stop() override { stop_ = true; }

  Status run() override {
    asio::co_spawn(io_, accept(), asio::detached);
    asio::co_spawn(io_, watch(), asio::detached);
    io_.run();
    return ok();
  }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kAsTuple);
      if (core_.draining) co_return;
      if (error) {  // out of file descriptors, most likely: wait for some to come back
        asio::steady_timer pause(io_, kTick);
        co_await pause.async_wait(kAsTuple);
        continue;
      }
      if (static_cast<int>(core_.sessions.size()) >= core_.options.max_connections) {
        refuse(std::move(socket));
        continue;
      }
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto session = std::make_shared<Session>(Session::Stream(std::move(socket)), core_);
      asio::co_spawn(io_, session->run(), [session](std::exception_ptr) {});
    }
  }

  // One write into the empty send buffer; whoever opened too many connections is not waited for.
  static void refuse(tcp::socket socket) {
    static constexpr std::string_view kBusy =
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
        "Connection: close\r\nContent-Length: 111\r\n\r\n"
        R"({"error":{"message":"too many connections","type":"rate_limit_error","param":null,"code":"connection_limit"}})"
        "\r\n";
    boost::system::error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kBusy), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  // Looks for stop() and signals, then drains.
  asio::awaitable<void> watch() {
    asio::steady_timer timer(io_);
    const auto tick = [&]() -> asio::awaitable<void> {
      timer.expires_after(kTick);
      co_await timer.async_wait(kAsTuple);
    };
    while (!stop_ && !stop_requested()) co_await tick();
    log(LogLevel::kInfo,
        fmt::format("stopping: {} requests in progress may take {} s to end",
                    core_.metrics.requests_open.load(), core_.options.drain.count()));
    core_.draining = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    const auto start = std::chrono::steady_clock::now();
    while (!core_.sessions.empty()) {
      const auto sessions = core_.sessions;  // closing one may end it
      for (Session* session : sessions) session->close_if_idle();
      const auto waited = std::chrono::steady_clock::now() - start;
      if (waited > core_.options.drain) core_.stopping = true;
      if (waited > core_.options.drain + std::chrono::seconds(2)) break;
      co_await tick();
    }
    io_.stop();
  }

  // In this order: sessions die with the io_context, before what they use.
  std::shared_ptr<Engine> engine_;
  ServerCore core_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  std::atomic<bool> stop_{false};
  int port_ = 0;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options, std::shared_ptr<Engine> engine,
                                             std::shared_ptr<const GroundedAnswerer> answerer) {
  auto server =
      std::make_unique<HttpServer>(std::move(options), std::move(engine), std::move(answerer));
  SLLM_OK(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace sllm
