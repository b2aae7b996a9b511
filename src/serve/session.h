// One connection: requests in, answers out, one at a time. And what all connections share.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "serve/metrics.h"
#include "serve/server.h"

namespace sllm {

class Session;

// Used on the one network thread, but for `workers` and what is thread-safe by itself.
struct ServerCore {
  ServerCore(ServerOptions o, std::shared_ptr<Engine> engine,
             std::shared_ptr<const GroundedAnswerer> answerer)
      : options(std::move(o)),
        service(options.service, std::move(engine), std::move(answerer)),
        access(options.access) {}

  ServerOptions options;
  Service service;
  Access access;
  Metrics metrics;
  std::set<Session*> sessions;
  size_t body_bytes = 0;  // of bodies being read or used
  int worker_jobs = 0;    // parsing, templates, tokenizing, retrieval, embeddings
  bool draining = false;  // no new requests
  bool stopping = false;  // answers in progress end now
  boost::asio::thread_pool workers{2};
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Stream = boost::beast::tcp_stream;
  Session(Stream stream, ServerCore& core);
  ~Session();
  boost::asio::awaitable<void> run();
  void close_if_idle();

 private:
  template <class T = void>
  using Awaitable = boost::asio::awaitable<T>;
  using Handler = Awaitable<> (Session::*)();
  struct Route;
  using Headers = std::vector<std::pair<std::string, std::string>>;
  static std::span<const Route> routes();

  Awaitable<> serve_one();
  ApiResult<const Route*> admit();
  Awaitable<std::optional<ApiError>> read_body();
  Awaitable<> preflight();

  Awaitable<> get_page();
  Awaitable<> get_health();
  Awaitable<> get_metrics();
  Awaitable<> get_models();
  Awaitable<> get_model();
  Awaitable<> post_chat();
  Awaitable<> post_completion();
  Awaitable<> post_ask();
  Awaitable<> post_embeddings();
  Awaitable<> get_ollama_version();
  Awaitable<> get_ollama_tags();
  Awaitable<> get_ollama_running();
  Awaitable<> post_ollama_show();
  Awaitable<> post_ollama_chat();
  Awaitable<> post_ollama_generate();
  Awaitable<> post_ollama_embed();
  Awaitable<> post_ollama_embeddings();

  // prepare(service, body) on a worker thread; 429 when too much is waiting there.
  template <class Prepare>
  auto prepared(Prepare prepare)
      -> Awaitable<std::invoke_result_t<Prepare, const Service&, std::string_view>>;
  template <class Prepare>
  Awaitable<> post_job(Prepare prepare);
  template <class Prepare>
  Awaitable<> post_embedding_job(Prepare prepare);
  Awaitable<> answer(ApiResult<Job> job);
  Awaitable<> stream_answer(Job& job, class Flight& flight);
  Awaitable<std::optional<ApiError>> wait_answer(Job& job, Flight& flight);
  std::optional<ApiError> answer_fault(const Flight& flight) const;
  // Runs `work` on a worker thread.
  template <class Work>
  Awaitable<std::invoke_result_t<Work>> on_worker(Work work);

  Awaitable<> send(int status, std::string_view type, std::string body, Headers headers = {});
  Awaitable<> send_json(int status, const Json& json);
  Awaitable<> send_error(const ApiError& error);
  Awaitable<> send_result(ApiResult<Json> result);
  Json error_body(const ApiError& error) const;  // in the words of the API that was asked
  Awaitable<> send_stream_header(bool lines);
  Awaitable<> send_stream(std::string text);
  Awaitable<> end_stream();
  Awaitable<> linger();
  std::string response_head(int status, const Headers& headers);
  Awaitable<> write(std::string bytes);
  bool peer_gone();
  std::string_view path() const;
  std::string_view header(boost::beast::http::field field) const;

  Stream stream_;
  ServerCore& core_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::string request_id_, route_;
  int64_t caller_ = 0;     // Access::caller
  bool idle_ = false;      // between requests
  bool keep_ = false;      // the connection may serve another request
  bool unread_ = false;    // part of the request is still in the pipe
  bool answered_ = false;  // the response's header is on its way
  bool chunked_ = false;
};

}  // namespace sllm
