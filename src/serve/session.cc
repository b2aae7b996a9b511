// The mechanics of a connection: reading, admission, limits, writing. Endpoints: endpoints.cc.
#include "serve/session.h"

#include <poll.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>

#include "serve/routes.h"

namespace sllm {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

ApiError transport_error(int status, std::string message, std::string code) {
  return {.status = status, .message = std::move(message), .code = std::move(code)};
}

// What the parser did not like, as a response; nothing for a connection that just ended.
std::optional<ApiError> parse_fault(const beast::error_code& error, const ServerOptions& options) {
  if (error == http::error::header_limit)
    return transport_error(431,
                           fmt::format("the header is longer than {} bytes", options.max_header),
                           "header_too_large");
  if (error == http::error::body_limit)
    return transport_error(413, fmt::format("the body is longer than {} bytes", options.max_body),
                           "body_too_large");
  if (error.category() == make_error_code(http::error::bad_target).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message)
    return transport_error(400, fmt::format("malformed HTTP: {}", error.message()),
                           "malformed_http");
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200))
    out += c >= 0x20 && c < 0x7f ? std::string(1, c)
                                 : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  return out;
}

}  // namespace

Session::Session(Stream stream, ServerCore& core) : stream_(std::move(stream)), core_(core) {
  core_.sessions.insert(this);
  ++core_.metrics.connections;
}

Session::~Session() {
  core_.sessions.erase(this);
  --core_.metrics.connections;
}

void Session::close_if_idle() {
  if (idle_ && buffer_.size() == 0) stream_.close();
}

asio::awaitable<void> Session::run() {
  const auto self = shared_from_this();
  do {
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(core_.options.max_header));
    parser_->body_limit(core_.options.max_body);
    request_id_ = make_id("req_");
    route_ = "none";
    keep_ = answered_ = false;
    idle_ = unread_ = true;
    stream_.expires_after(core_.options.read_timeout);
    const auto [error, bytes] =
        co_await http::async_read_header(stream_, buffer_, *parser_, kAsTuple);
    idle_ = false;
    if (!error) {
      unread_ = !parser_->is_done();
      co_await serve_one();
    } else if (const auto fault = parse_fault(error, core_.options)) {
      co_await send_error(*fault);
    }
  } while (keep_ && !core_.draining);
  if (stream_.socket().is_open()) {
    if (unread_ && answered_) co_await linger();
    beast::error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    stream_.close();
  }
}

asio::awaitable<void> Session::serve_one() {
  ++core_.metrics.requests_open;
  // A coroutine cannot catch and then await, so the fault is kept for after the handler.
  std::optional<ApiError> fault;
  try {
    if (const auto route = admit(); !route.ok()) {
      fault = route.error();
    } else if (route.value() == nullptr) {
      co_await preflight();
    } else if (!(fault = co_await read_body())) {
      co_await (this->*route.value()->handler)();
    }
  } catch (const ResultError& e) {
    fault = to_api_error(e.error);
  } catch (const std::bad_alloc&) {
    fault = ApiError{.status = 503,
                     .message = "not enough memory for this request",
                     .code = "out_of_memory",
                     .retry_after = 5};
  } catch (const std::exception& e) {
    log(LogLevel::kError, fmt::format("request {} failed: {}", request_id_, e.what()));
    fault = ApiError{.status = 500,
                     .message = "an error inside the server ended this request",
                     .code = "internal_error"};
  }
  if (fault && !answered_) {
    if (fault->status == 401) {  // each guess costs a moment
      asio::steady_timer pause(stream_.get_executor(), std::chrono::milliseconds(200));
      co_await pause.async_wait(kAsTuple);
    }
    co_await send_error(*fault);
  } else if (fault) {
    keep_ = false;
  }
  --core_.metrics.requests_open;
}

std::string_view Session::header(http::field field) const {
  const auto value = parser_->get()[field];
  return {value.data(), value.size()};
}

std::string_view Session::path() const {
  const auto target = parser_->get().target();
  const std::string_view view(target.data(), target.size());
  return view.substr(0, view.find('?'));
}

// Everything that can be refused before the body is read. Null: a CORS preflight to answer.
ApiResult<const Session::Route*> Session::admit() {
  const auto& request = parser_->get();
  keep_ = request.keep_alive();
  if (request.version() >= 11 && header(http::field::host).empty())
    return transport_error(400, "the Host header is missing", "malformed_http");
  const std::string_view origin = header(http::field::origin);
  if (auto e = core_.access.check_host(header(http::field::host)); e && request.version() >= 11)
    return *e;
  if (auto e = core_.access.check_origin(origin, header(http::field::host))) return *e;
  if (request.method() == http::verb::options && !origin.empty() &&
      core_.access.allows_origin(origin))
    return nullptr;
  const Route* found = nullptr;
  std::string allowed;
  const http::verb method =
      request.method() == http::verb::head ? http::verb::get : request.method();
  for (const Route& route : routes()) {
    if (!route.matches(path())) continue;
    allowed += fmt::format("{}{}{}", allowed.empty() ? "" : ", ",
                           std::string_view(http::to_string(route.method)),
                           route.method == http::verb::get ? ", HEAD" : "");
    if (route.method == method) found = &route;
  }
  if (allowed.empty())
    return transport_error(404, fmt::format("there is nothing at {}", printable(path())),
                           "not_found");
  if (!found) {
    ApiError error = transport_error(405, fmt::format("{} takes {}", printable(path()), allowed),
                                     "method_not_allowed");
    error.allow = std::move(allowed);
    return error;
  }
  route_ = found->path;
  if (!found->open) {
    const auto caller = core_.access.caller(header(http::field::authorization));
    if (!caller.ok()) return caller.error();
    caller_ = caller.value();
  }
  if (core_.draining && route_ != "/health")
    return ApiError{.status = 503,
                    .message = "the server is shutting down",
                    .code = "shutting_down",
                    .retry_after = 5};
  if (found->method == http::verb::post &&
      !beast::iequals(header(http::field::content_type).substr(0, 16), "application/json"))
    return transport_error(415, "send \"Content-Type: application/json\"",
                           "unsupported_media_type");
  return found;
}

asio::awaitable<std::optional<ApiError>> Session::read_body() {
  const auto length = parser_->content_length();
  const size_t reserve = length               ? static_cast<size_t>(*length)
                         : parser_->chunked() ? core_.options.max_body
                                              : 0;
  if (core_.body_bytes + reserve > core_.options.max_bodies)
    co_return ApiError{.status = 429,
                       .message = "too many large bodies at once",
                       .code = "queue_full",
                       .retry_after = 1};
  core_.body_bytes += reserve;
  if (beast::iequals(header(http::field::expect), "100-continue")) {
    co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  stream_.expires_after(core_.options.read_timeout);
  const auto [error, bytes] = co_await http::async_read(stream_, buffer_, *parser_, kAsTuple);
  core_.body_bytes -= reserve;
  if (!error) {
    unread_ = false;
    co_return std::nullopt;
  }
  if (auto fault = parse_fault(error, core_.options)) co_return fault;
  keep_ = unread_ = false;
  answered_ = true;  // nobody is there to answer
  co_return transport_error(400, "the body ended early", "malformed_http");
}

bool Session::peer_gone() {
  pollfd socket{.fd = stream_.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

// Everything but the body; what clients sent is not repeated here.
std::string Session::response_head(int status, const Headers& headers) {
  keep_ = keep_ && !unread_ && !core_.draining;
  answered_ = true;
  core_.metrics.count_response(route_, status);
  log(LogLevel::kDebug, fmt::format("{} {} {}", request_id_, printable(path()), status));
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: sllm\r\nx-request-id: {}\r\n", status,
                                 std::string_view(reason.data(), reason.size()), request_id_);
  head += "X-Content-Type-Options: nosniff\r\n";
  head += keep_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  if (const auto origin = header(http::field::origin); core_.access.allows_origin(origin))
    head += fmt::format("Access-Control-Allow-Origin: {}\r\nVary: Origin\r\n", origin);
  for (const auto& [name, value] : headers) head += fmt::format("{}: {}\r\n", name, value);
  return head;
}

// Who takes nothing for write_timeout is dropped: the expiry closes the socket.
asio::awaitable<void> Session::write(std::string bytes) {
  stream_.expires_after(core_.options.write_timeout);
  const auto [error, count] = co_await asio::async_write(stream_, asio::buffer(bytes), kAsTuple);
  if (!error) co_return;
  if (error == beast::error::timeout) ++core_.metrics.slow_readers;
  keep_ = false;
  stream_.close();
}

asio::awaitable<void> Session::send(int status, std::string_view type, std::string body,
                                    Headers headers) {
  if (!type.empty()) headers.emplace_back("Content-Type", type);
  if (status != 204 && status != 304)
    headers.emplace_back("Content-Length", std::to_string(body.size()));
  std::string bytes = response_head(status, headers) + "\r\n";
  if (parser_->get().method() != http::verb::head) bytes += body;
  co_await write(std::move(bytes));
}

asio::awaitable<void> Session::send_json(int status, const Json& json) {
  co_await send(status, "application/json", to_wire(json) + "\n");
}

Json Session::error_body(const ApiError& error) const {
  if (path().starts_with("/api/")) return {{"error", error.message}};  // Ollama's
  return to_json(error);
}

asio::awaitable<void> Session::send_error(const ApiError& error) {
  Headers headers;
  if (error.retry_after > 0) headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (!error.allow.empty()) headers.emplace_back("Allow", error.allow);
  co_await send(error.status, "application/json", to_wire(error_body(error)) + "\n",
                std::move(headers));
}

asio::awaitable<void> Session::send_result(ApiResult<Json> result) {
  if (result.ok())
    co_await send_json(200, result.value());
  else
    co_await send_error(result.error());
}

asio::awaitable<void> Session::send_stream_header(bool lines) {
  static const Headers kChunked = {{"Transfer-Encoding", "chunked"}};
  chunked_ = parser_->get().version() >= 11;
  if (!chunked_) keep_ = false;  // HTTP/1.0: the stream ends with the connection
  std::string head = response_head(200, chunked_ ? kChunked : Headers());
  head += lines ? "Content-Type: application/x-ndjson\r\n"
                : "Content-Type: text/event-stream; charset=utf-8\r\n";
  head += "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n\r\n";
  co_await write(std::move(head));
}

asio::awaitable<void> Session::send_stream(std::string text) {
  if (chunked_) text = fmt::format("{:x}\r\n{}\r\n", text.size(), text);
  co_await write(std::move(text));
}

asio::awaitable<void> Session::end_stream() {
  if (chunked_ && stream_.socket().is_open()) co_await write("0\r\n\r\n");
}

asio::awaitable<void> Session::preflight() {
  static const Headers kAllowed = {{"Access-Control-Allow-Methods", "GET, POST"},
                                   {"Access-Control-Allow-Headers", "authorization, content-type"},
                                   {"Access-Control-Max-Age", "600"}};
  unread_ = false;
  co_await send(204, "", "", kAllowed);
}

// Closing with bytes unread would reset the connection and could take the response with it, so what
// still comes is read and thrown away, for a while.
asio::awaitable<void> Session::linger() {
  beast::error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(std::chrono::seconds(2));
  std::array<char, 16384> waste;
  for (size_t total = 0; total < 4 * core_.options.max_body;) {
    const auto [error, bytes] = co_await stream_.async_read_some(asio::buffer(waste), kAsTuple);
    if (error) break;
    total += bytes;
  }
}

}  // namespace sllm
