// A job in the air: its choices submitted to the engine, their events brought from the engine's
// thread to the connection's. Destroying a flight cancels what is still running.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "infer/engine.h"
#include "serve/api_error.h"

namespace sllm {

class Flight {
 public:
  // All on one executor that runs on one thread.
  Flight(boost::asio::any_io_executor executor, Engine& engine,
         std::vector<GenerateRequest> choices);
  ~Flight();
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  // Submits as many choices as the engine takes; the rest follow as others end. An error only when
  // not even the first was taken.
  std::optional<ApiError> start();
  // An event that needs no engine, for a flight without choices.
  void preset(GenerateEvent event);
  using Event = std::pair<size_t, GenerateEvent>;  // choice, event
  // The events that have arrived, after at most `timeout`; maybe none.
  boost::asio::awaitable<std::vector<Event>> wait(std::chrono::milliseconds timeout);

 private:
  struct Inbox;
  Status submit_next();

  Engine& engine_;
  std::vector<GenerateRequest> choices_;
  std::vector<std::optional<Engine::RequestId>> ids_;  // of those running
  size_t next_ = 0;                                    // to be submitted
  boost::asio::steady_timer timer_;
  std::shared_ptr<Inbox> inbox_;
};

}  // namespace sllm
