// The endpoints: what each answers, and how an answer of the engine is waited for or streamed.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "serve/flight.h"
#include "serve/ollama.h"
#include "serve/routes.h"
#include "serve/web_assets.h"

namespace sllm {

namespace asio = boost::asio;
using boost::beast::http::verb;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMaxWorkerJobs = 64;
// How often a client that left is looked for; slots are free within one more engine step.
constexpr std::chrono::milliseconds kPoll{50};

constexpr const char* kNoPage =
    "<!doctype html><meta charset=utf-8><title>sllm</title>"
    "<p>This sllm was built without its chat page. Install npm and build with "
    "<code>cmake -DSLLM_WEB=ON</code>; the API is at <code>/v1</code>.</p>"
    "<p>이 sllm은 대화 화면 없이 빌드되었습니다. npm을 설치하고 <code>cmake "
    "-DSLLM_WEB=ON</code>으로 "
    "빌드하십시오. API는 <code>/v1</code>에 있습니다.</p>";

// Nothing but our own script and style runs, and nothing is fetched from elsewhere.
constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

// "%2f" and the like, once; nothing when malformed.
std::optional<std::string> percent_decode(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0)
      return std::nullopt;
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return out;
}

// A piece of a stream: a JSON line, or a server-sent event.
void append_piece(std::string& out, const Json& json, bool lines) {
  if (!lines) out += "data: ";
  out += to_wire(json);
  out += lines ? "\n" : "\n\n";
}

ApiError engine_fault(const std::string& message) {
  return {
      .status = 500, .message = "the model could not go on: " + message, .code = "engine_error"};
}

ApiError workers_full() {
  return {.status = 429,
          .message = "too many requests are being prepared",
          .code = "queue_full",
          .retry_after = 1};
}

}  // namespace

std::span<const Session::Route> Session::routes() {
  static const Route kRoutes[] = {
      {verb::get, "/health", true, &Session::get_health},
      {verb::get, "/metrics", false, &Session::get_metrics},
      {verb::get, "/v1/models", false, &Session::get_models},
      {verb::get, "/v1/models/*", false, &Session::get_model},
      {verb::post, "/v1/chat/completions", false, &Session::post_chat},
      {verb::post, "/v1/completions", false, &Session::post_completion},
      {verb::post, "/v1/embeddings", false, &Session::post_embeddings},
      {verb::post, "/v1/ask", false, &Session::post_ask},
      {verb::get, "/api/version", true, &Session::get_ollama_version},
      {verb::get, "/api/tags", false, &Session::get_ollama_tags},
      {verb::get, "/api/ps", false, &Session::get_ollama_running},
      {verb::post, "/api/show", false, &Session::post_ollama_show},
      {verb::post, "/api/chat", false, &Session::post_ollama_chat},
      {verb::post, "/api/generate", false, &Session::post_ollama_generate},
      {verb::post, "/api/embed", false, &Session::post_ollama_embed},
      {verb::post, "/api/embeddings", false, &Session::post_ollama_embeddings},
      {verb::get, "/", true, &Session::get_page},
      {verb::get, "/app.js", true, &Session::get_page},
      {verb::get, "/app.css", true, &Session::get_page},
      {verb::get, "/icon.svg", true, &Session::get_page},
  };
  return kRoutes;
}

template <class Work>
asio::awaitable<std::invoke_result_t<Work>> Session::on_worker(Work work) {
  struct Count {
    int& jobs;
    explicit Count(int& j) : jobs(j) { ++jobs; }
    ~Count() { --jobs; }
  } const count(core_.worker_jobs);
  std::optional<std::invoke_result_t<Work>> result;
  auto job = [&]() -> asio::awaitable<void> {
    result.emplace(work());
    co_return;
  };
  co_await asio::co_spawn(core_.workers, job(), asio::use_awaitable);
  co_return std::move(*result);
}

asio::awaitable<void> Session::get_page() {
  static const Headers kPageHeaders = {{"Content-Security-Policy", kContentPolicy},
                                       {"Referrer-Policy", "no-referrer"},
                                       {"Cross-Origin-Opener-Policy", "same-origin"},
                                       {"Cache-Control", "no-cache"}};
  for (const WebAsset& asset : web_assets()) {
    if (asset.path != path()) continue;
    Headers with_tag = kPageHeaders;
    with_tag.emplace_back("ETag", asset.etag);
    if (header(boost::beast::http::field::if_none_match) == asset.etag)
      co_return co_await send(304, "", "", std::move(with_tag));
    co_return co_await send(200, asset.type, std::string(asset.body), std::move(with_tag));
  }
  if (path() == "/")
    co_return co_await send(200, "text/html; charset=utf-8", kNoPage, kPageHeaders);
  const ApiError missing{
      .status = 404, .message = "built without the chat page", .code = "not_found"};
  co_await send_error(missing);
}

asio::awaitable<void> Session::get_health() {
  Json json;
  json["status"] = core_.draining ? "draining" : "ok";
  co_await send_json(core_.draining ? 503 : 200, json);
}

asio::awaitable<void> Session::get_metrics() {
  co_await send(200, "text/plain; version=0.0.4; charset=utf-8",
                core_.metrics.print(core_.service.engine().stats()));
}

asio::awaitable<void> Session::get_models() { co_await send_json(200, core_.service.models()); }

asio::awaitable<void> Session::get_model() {
  const auto id = percent_decode(path().substr(std::string_view("/v1/models/").size()));
  return send_result(core_.service.model(id.value_or("?")));
}

// Reading a body renders and tokenizes, which would keep the other connections waiting.
template <class Prepare>
auto Session::prepared(Prepare prepare)
    -> Awaitable<std::invoke_result_t<Prepare, const Service&, std::string_view>> {
  if (core_.worker_jobs >= kMaxWorkerJobs) co_return workers_full();
  auto work = [this, prepare] {
    return prepare(std::as_const(core_.service), std::string_view(parser_->get().body()));
  };
  co_return co_await on_worker(work);
}

// As submit() would say, but before the body is looked at, which may take seconds. Those who are
// being looked at have their places already.
static std::optional<ApiError> full_queue(const Engine& engine, int64_t looked_at) {
  const EngineStats now = engine.stats();
  const EngineOptions& options = engine.options();
  const int64_t free_slots = std::max<int64_t>(options.max_sequences - now.active, 0);
  if (now.waiting + looked_at < options.queue_limit + free_slots) return std::nullopt;
  return to_api_error(make_error(ErrorCode::kLocked, "the queue is full: {} requests are waiting",
                                 now.waiting + looked_at));
}

template <class Prepare>
asio::awaitable<void> Session::post_job(Prepare prepare) {
  if (const auto full = full_queue(core_.service.engine(), core_.worker_jobs))
    co_return co_await send_error(*full);
  auto job = co_await prepared(prepare);
  co_await answer(std::move(job));
}

asio::awaitable<void> Session::post_chat() { return post_job(std::mem_fn(&Service::chat)); }
asio::awaitable<void> Session::post_completion() {
  return post_job(std::mem_fn(&Service::completion));
}
asio::awaitable<void> Session::post_ask() { return post_job(std::mem_fn(&Service::ask)); }
asio::awaitable<void> Session::post_ollama_chat() { return post_job(ollama_chat); }
asio::awaitable<void> Session::post_ollama_generate() { return post_job(ollama_generate); }

asio::awaitable<void> Session::post_embeddings() {
  return post_embedding_job(std::mem_fn(&Service::embeddings));
}
asio::awaitable<void> Session::post_ollama_embed() { return post_embedding_job(ollama_embed); }
asio::awaitable<void> Session::post_ollama_embeddings() {
  return post_embedding_job(ollama_embeddings);
}

asio::awaitable<void> Session::get_ollama_version() {
  Json json;
  json["version"] = core_.options.service.version;
  co_await send_json(200, json);
}
asio::awaitable<void> Session::get_ollama_tags() {
  co_await send_json(200, ollama_tags(core_.service));
}
asio::awaitable<void> Session::get_ollama_running() {
  co_await send_json(200, ollama_running(core_.service));
}
asio::awaitable<void> Session::post_ollama_show() {
  auto shown = co_await prepared(ollama_show);
  co_await send_result(std::move(shown));
}

template <class Prepare>
asio::awaitable<void> Session::post_embedding_job(Prepare prepare) {
  auto job = co_await prepared(prepare);
  if (!job.ok()) co_return co_await send_error(job.error());
  std::vector<std::vector<float>> vectors;
  for (const auto& ids : job->inputs) {
    if (peer_gone()) {
      ++core_.metrics.disconnects;
      keep_ = false;
      co_return;
    }
    auto embed = [this, &ids] { return core_.service.engine().embed(ids); };
    auto vector = co_await on_worker(embed);
    if (!vector.ok()) co_return co_await send_error(to_api_error(vector.error()));
    vectors.push_back(std::move(vector).value());
  }
  co_await send_json(200, job->reply(vectors));
}

asio::awaitable<void> Session::answer(ApiResult<Job> prepared) {
  if (!prepared.ok()) co_return co_await send_error(prepared.error());
  Job& job = prepared.value();
  std::vector<GenerateRequest> choices;
  if (!job.answered) choices = std::move(job.choices);
  for (GenerateRequest& choice : choices) choice.owner = caller_;
  Flight flight(stream_.get_executor(), core_.service.engine(), std::move(choices));
  if (const auto error = flight.start()) co_return co_await send_error(*error);
  if (job.answered) {
    GenerateEvent whole;
    whole.text = *job.answered, whole.done = true;
    flight.preset(std::move(whole));
  }
  const auto start = Clock::now();
  if (job.stream) {
    co_await stream_answer(job, flight);
  } else if (const auto error = co_await wait_answer(job, flight)) {
    co_return co_await send_error(*error);
  } else if (job.reply->finished()) {
    co_await send_json(200, job.reply->whole());
  }
  if (job.reply->seconds_to_first() > 0)
    core_.metrics.first_token_seconds.observe(job.reply->seconds_to_first());
  if (job.reply->finished())
    core_.metrics.answer_seconds.observe(
        std::chrono::duration<double>(Clock::now() - start).count());
}

// Nothing and an unfinished reply: the client left.
asio::awaitable<std::optional<ApiError>> Session::wait_answer(Job& job, Flight& flight) {
  const auto deadline = Clock::now() + core_.options.answer_limit;
  while (!job.reply->finished()) {
    const auto events = co_await flight.wait(kPoll);
    for (const auto& [choice, event] : events) {
      if (event.done && event.reason == FinishReason::kError) co_return engine_fault(event.error);
      job.reply->add(choice, event);
    }
    if (peer_gone()) {
      ++core_.metrics.disconnects;
      keep_ = false;
      co_return std::nullopt;
    }
    if (core_.stopping)
      co_return ApiError{
          .status = 503, .message = "the server is shutting down", .code = "shutting_down"};
    if (Clock::now() > deadline)
      co_return ApiError{
          .status = 422,
          .message = "the answer took longer than this server allows; ask for fewer tokens",
          .param = "max_tokens",
          .code = "deadline"};
  }
  co_return std::nullopt;
}

asio::awaitable<void> Session::stream_answer(Job& job, Flight& flight) {
  const auto deadline = Clock::now() + core_.options.answer_limit;
  const bool lines = job.reply->lines();
  co_await send_stream_header(lines);
  std::string out;
  for (const Json& chunk : job.reply->opening()) append_piece(out, chunk, lines);
  auto last_sent = Clock::now();
  std::optional<ApiError> fault;
  while (!job.reply->finished() && !fault) {
    const auto events = co_await flight.wait(out.empty() ? kPoll : std::chrono::milliseconds(0));
    for (const auto& [choice, event] : events) {
      if (event.done && event.reason == FinishReason::kError)
        fault = engine_fault(event.error);
      else if (const auto chunk = job.reply->add(choice, event))
        append_piece(out, *chunk, lines);
    }
    if (core_.stopping)
      fault = ApiError{
          .status = 503, .message = "the server is shutting down", .code = "shutting_down"};
    if (Clock::now() > deadline)
      fault = ApiError{.status = 422,
                       .message = "the answer took longer than this server allows",
                       .code = "deadline"};
    if (peer_gone() || !stream_.socket().is_open()) {
      ++core_.metrics.disconnects;
      keep_ = false;
      co_return;
    }
    // Comments keep proxies and clients from taking a long prompt for a dead connection.
    if (out.empty() && !lines && Clock::now() - last_sent > core_.options.keep_alive)
      out = ": still here\n\n";
    if (out.empty()) continue;
    co_await send_stream(std::exchange(out, {}));
    last_sent = Clock::now();
  }
  if (fault)
    append_piece(out, error_body(*fault), lines);
  else if (job.include_usage)
    append_piece(out, job.reply->usage_chunk(), lines);
  if (!fault && !lines) out += "data: [DONE]\n\n";
  if (fault) keep_ = false;
  // An empty chunk would end the stream, and end_stream() once more.
  if (!out.empty() && stream_.socket().is_open()) co_await send_stream(std::move(out));
  co_await end_stream();
  if (!stream_.socket().is_open()) keep_ = false;
}

}  // namespace sllm
