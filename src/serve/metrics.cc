// Prometheus text.
#include "serve/metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace sllm {
namespace {

template <class Number>
void metric(std::string& out, const char* type, const char* name, const char* help, Number value) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help,
                 type, value);
}

}  // namespace

void Histogram::observe(double seconds) {
  const std::lock_guard lock(mutex_);
  size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ += seconds;
}

void Histogram::print(std::string& out, const char* name, const char* help) const {
  const std::lock_guard lock(mutex_);
  auto to = std::back_inserter(out);
  fmt::format_to(to, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  uint64_t total = 0;
  for (size_t i = 0; i < kBounds.size(); ++i)
    fmt::format_to(to, "{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], total += counts_[i]);
  total += counts_.back();
  fmt::format_to(to, "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, total,
                 sum_);
}

void Metrics::count_response(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++responses_[{route, status}];
}

std::string Metrics::print(const EngineStats& e) const {
  std::string out;
  metric(out, "gauge", "sllm_slots_active", "Sequences being prefilled or decoded.", e.active);
  metric(out, "gauge", "sllm_queue_waiting", "Requests waiting for a slot.", e.waiting);
  metric(out, "counter", "sllm_engine_requests_total", "Sequences accepted.", e.requests);
  metric(out, "counter", "sllm_engine_cancelled_total", "Sequences cancelled.", e.cancelled);
  metric(out, "counter", "sllm_engine_refused_total", "Sequences refused: queue full.", e.refused);
  metric(out, "counter", "sllm_prompt_tokens_total", "Prompt tokens processed.", e.prompt_tokens);
  metric(out, "counter", "sllm_cached_prompt_tokens_total",
         "Prompt tokens that earlier prompts had begun with.", e.cached_tokens);
  metric(out, "counter", "sllm_generated_tokens_total", "Tokens generated.", e.generated_tokens);
  metric(out, "counter", "sllm_guessed_tokens_total",
         "Tokens looked up in the text so far rather than computed one by one.", e.guessed_tokens);
  metric(out, "counter", "sllm_accepted_tokens_total", "Guessed tokens that were right.",
         e.accepted_tokens);
  metric(out, "counter", "sllm_drafted_tokens_total", "Tokens that the draft model guessed.",
         e.drafted_tokens);
  metric(out, "counter", "sllm_accepted_drafts_total", "Drafted tokens that were right.",
         e.accepted_drafts);
  metric(out, "counter", "sllm_prompt_seconds_total", "Seconds spent on prompts.",
         e.prompt_seconds);
  metric(out, "counter", "sllm_generate_seconds_total", "Seconds spent on decoding.",
         e.generate_seconds);
  metric(out, "gauge", "sllm_http_connections", "Open connections.", connections.load());
  metric(out, "gauge", "sllm_http_requests_open", "Requests being answered.", requests_open.load());
  metric(out, "counter", "sllm_http_disconnects_total", "Clients that left before their answer.",
         disconnects.load());
  metric(out, "counter", "sllm_http_slow_readers_total",
         "Streams dropped because nobody read them.", slow_readers.load());
  first_token_seconds.print(out, "sllm_first_token_seconds",
                            "Seconds from request to first token.");
  answer_seconds.print(out, "sllm_answer_seconds", "Seconds from request to the answer's end.");
  const std::lock_guard lock(mutex_);
  out +=
      "# HELP sllm_http_responses_total Responses by route and status.\n# TYPE "
      "sllm_http_responses_total counter\n";
  for (const auto& [key, count] : responses_)
    fmt::format_to(std::back_inserter(out),
                   "sllm_http_responses_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                   key.second, count);
  return out;
}

}  // namespace sllm
