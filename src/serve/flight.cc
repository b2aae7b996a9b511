// Submission, events across threads, cancellation.
#include "serve/flight.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>

namespace sllm {

namespace asio = boost::asio;

// Shared with the engine's callbacks, which may outlive the flight and the server: once closed,
// nothing of the server is touched any more.
struct Flight::Inbox : std::enable_shared_from_this<Flight::Inbox> {
  explicit Inbox(asio::steady_timer& flight_timer) : timer(&flight_timer) {}

  void put(size_t choice, const GenerateEvent& event) {
    const std::lock_guard lock(mutex);
    if (!timer) return;
    events.emplace_back(choice, event);
    if (events.size() == 1)
      asio::post(timer->get_executor(), [self = shared_from_this()] { self->wake(); });
  }
  void wake() {  // on the flight's executor, where close() is called too
    const std::lock_guard lock(mutex);
    if (timer) timer->cancel();
  }
  void close() {
    const std::lock_guard lock(mutex);
    timer = nullptr;
    events.clear();
  }

  std::mutex mutex;
  std::vector<Event> events;
  asio::steady_timer* timer;  // null: closed
};

Flight::Flight(asio::any_io_executor executor, Engine& engine, std::vector<GenerateRequest> choices)
    : engine_(engine),
      choices_(std::move(choices)),
      ids_(choices_.size()),
      timer_(std::move(executor)),
      inbox_(std::make_shared<Inbox>(timer_)) {}

Flight::~Flight() {
  inbox_->close();
  for (const auto& id : ids_)
    if (id) engine_.cancel(*id);
}

Status Flight::submit_next() {
  const size_t choice = next_;
  auto id = engine_.submit(choices_[choice], [inbox = inbox_, choice](const GenerateEvent& event) {
    inbox->put(choice, event);
  });
  if (!id.ok()) return std::move(id).error();
  ids_[choice] = *id;
  ++next_;
  return ok();
}

std::optional<ApiError> Flight::start() {
  while (next_ < choices_.size()) {
    const Status status = submit_next();
    if (status.ok()) continue;
    if (next_ == 0 || status.error().code != ErrorCode::kLocked)
      return to_api_error(status.error());
    break;  // the queue is full of our own: go on when one ends
  }
  return std::nullopt;
}

void Flight::preset(GenerateEvent event) { inbox_->put(0, event); }

asio::awaitable<std::vector<Flight::Event>> Flight::wait(std::chrono::milliseconds timeout) {
  std::vector<Event> arrived;
  const auto take = [&] {
    const std::lock_guard lock(inbox_->mutex);
    arrived.swap(inbox_->events);
  };
  take();
  if (arrived.empty()) {
    timer_.expires_after(timeout);
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    take();
  }
  for (const auto& [choice, event] : arrived)
    if (event.done && choice < ids_.size()) ids_[choice].reset();
  if (next_ < choices_.size())
    if (const auto error = start()) {
      GenerateEvent failed;
      failed.done = true, failed.reason = FinishReason::kError, failed.error = error->message;
      arrived.emplace_back(next_, failed);
    }
  co_return arrived;
}

}  // namespace sllm
