// An engine with slots, a queue and a thread that hands out one byte of each answer per step, for
// tests of a server: slow enough to be cancelled, fast enough for a unit test.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <thread>

#include "tests/support/fake_engine.h"
#include "tests/support/tiny_model.h"

namespace sllm::testing {

class PacedEngine final : public FakeEngine {
 public:
  struct Pace {
    int64_t slots = 2, queue = 2, context = 256;
    std::chrono::milliseconds step{1};
    size_t piece = 1;  // bytes a step, at least one character
  };
  explicit PacedEngine(Pace pace) : pace_(pace) {
    paced_options_.context = pace.context;
    paced_options_.max_sequences = pace.slots, paced_options_.queue_limit = pace.queue;
    thread_ = std::thread([this] { loop(); });
  }
  ~PacedEngine() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const EngineOptions& options() const override { return paced_options_; }
  const ModelSource& source() const override { return file_; }
  std::vector<std::string> adapters() const override { return {"tuned"}; }

  Result<RequestId> submit(GenerateRequest request,
                           std::function<void(const GenerateEvent&)> on_event) override {
    const std::lock_guard lock(mutex_);
    if (static_cast<int64_t>(sequences_.size()) >= pace_.slots + pace_.queue) {
      ++stats_.refused;
      return make_error(ErrorCode::kLocked, "the queue is full: {} requests wait", pace_.queue);
    }
    Sequence s;
    s.id = ++last_id_;
    s.text = answer(tokenizer()->decode(request.prompt));
    s.request = std::move(request);
    s.on_event = std::move(on_event);
    owners_.push_back(s.request.owner);
    sequences_.push_back(std::move(s));
    ++stats_.requests;
    changed_.notify_all();
    return last_id_;
  }
  void cancel(RequestId id) override {
    const std::lock_guard lock(mutex_);
    stats_.cancelled += std::erase_if(sequences_, [&](const Sequence& s) { return s.id == id; });
  }
  std::vector<int64_t> owners() const {  // of the requests so far
    const std::lock_guard lock(mutex_);
    return owners_;
  }
  EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    EngineStats stats = stats_;
    stats.active = std::min<int64_t>(pace_.slots, static_cast<int64_t>(sequences_.size()));
    stats.waiting = static_cast<int64_t>(sequences_.size()) - stats.active;
    return stats;
  }

 private:
  struct Sequence {
    RequestId id;
    std::string text;
    size_t done = 0;
    GenerateRequest request;
    std::function<void(const GenerateEvent&)> on_event;
  };

  void loop() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (sequences_.empty()) {
        changed_.wait(lock);
        continue;
      }
      for (size_t i = 0; i < std::min<size_t>(sequences_.size(), pace_.slots); ++i)
        step(sequences_[i]);
      std::erase_if(sequences_, [](const Sequence& s) { return s.on_event == nullptr; });
      changed_.wait_for(lock, pace_.step, [&] { return stop_; });
    }
  }

  // One piece a step; "!fail" is what an engine says whose model broke.
  void step(Sequence& s) {
    GenerateEvent event;
    if (s.text == "!fail") {
      event.done = true, event.reason = FinishReason::kError, event.error = "weights are NaN";
    } else {
      size_t n = s.done;
      while (n < s.text.size() && (n < s.done + pace_.piece || (s.text[n] & 0xc0) == 0x80)) ++n;
      event.text = s.text.substr(s.done, n - s.done);
      event.tokens = tokenizer()->encode(event.text);
      if (s.request.top_logprobs >= 0)
        for (const TokenId id : event.tokens) event.logprobs.push_back({id, -0.5f, {{id, -0.5f}}});
      if (s.request.echo_logprobs && s.done == 0)
        for (size_t i = 1; i < s.request.prompt.size(); ++i)
          event.prompt_logprobs.push_back({s.request.prompt[i], -1.5f, {}});
      s.done = n;
      ++stats_.generated_tokens;
      const bool full = static_cast<int64_t>(s.done) >= s.request.max_tokens;
      event.done = s.done >= s.text.size() || full;
      event.reason = s.done >= s.text.size() ? FinishReason::kStop : FinishReason::kLength;
    }
    s.on_event(event);
    if (event.done) s.on_event = nullptr;
  }

  const Pace pace_;
  const TinyModel file_{};
  EngineOptions paced_options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sequence> sequences_;
  std::vector<int64_t> owners_;
  EngineStats stats_;
  RequestId last_id_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sllm::testing
