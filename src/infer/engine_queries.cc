// The engine's questions that generate nothing. They run on its thread, between two steps, in
// pieces of about one step each, so that answers being written go on.
#include "infer/batch_engine.h"
#include "models/registry.h"

namespace sllm {

template <class Job>
auto BatchEngine::on_engine(Job job) -> Result<decltype(job())> {
  using Value = decltype(job());
  auto promise = std::make_shared<std::promise<Result<Value>>>();
  auto future = promise->get_future();
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return make_error(ErrorCode::kInternal, "the engine is shutting down");
    jobs_.push_back([promise, job = std::move(job)]() mutable {
      try {
        promise->set_value(job());
      } catch (const ResultError& e) {
        promise->set_value(e.error);
      } catch (...) {
        promise->set_exception(std::current_exception());
      }
    });
  }
  wake_.notify_all();
  try {
    return future.get();
  } catch (const std::future_error&) {
    return make_error(ErrorCode::kInternal, "the engine is shutting down");
  }
}

Result<std::vector<ScoreResult>> BatchEngine::score(const std::vector<ScoreRequest>& requests,
                                                    const ProgressSink& progress) {
  SLLM_OK(check_generates(config()));
  for (size_t i = 0; i < requests.size(); ++i)
    for (const auto* ids : {&requests[i].context, &requests[i].continuation})
      for (TokenId id : *ids)
        if (id < 0 || id >= config().V)
          return usage_error("score: request {}: token {} is not in the vocabulary of {} tokens", i,
                             id, config().V);
  SLLM_TRY(const auto groups,
           Scorer::group(requests, options().context, config().rope,
                         [this](const std::string& name) { return find_adapter(name); }));
  std::vector<ScoreResult> results(requests.size());
  uint64_t done = 0;
  for (size_t begin = 0; begin < groups.size();) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while scoring");
    size_t end = begin;
    int64_t rows = 0, pages = 0;
    while (end < groups.size()) {
      rows += Scorer::rows(groups[end], requests);
      const bool fits = scorer_.fits(groups[end], requests, pages);
      if (end > begin && (!fits || rows > options().prefill_chunk)) break;
      done += groups[end++].requests.size();
    }
    const auto batch = std::span(groups).subspan(begin, end - begin);
    const auto scored =
        on_engine([&, batch] { return scorer_.score(batch, requests, results), Ok{}; });
    if (!scored.ok()) return scored.error();
    if (progress) progress({"score", "requests", done, requests.size(), {}});
    begin = end;
  }
  return results;
}

Result<std::vector<std::vector<float>>> BatchEngine::logits(
    const std::vector<std::vector<TokenId>>& prompts, const std::string& adapter) {
  SLLM_OK(check_generates(config()));
  for (const auto& prompt : prompts) SLLM_OK(check_window(prompt));
  SLLM_TRY(const BoundAdapter* bound, find_adapter(adapter));
  return on_engine([&, bound] { return scorer_.logits(prompts, bound); });
}

Result<std::vector<float>> BatchEngine::token_logprobs(const std::vector<TokenId>& ids,
                                                       int64_t first, const std::string& adapter) {
  SLLM_OK(check_generates(config()));
  SLLM_OK(check_window(ids));
  if (first < 1) return usage_error("token_logprobs: nothing stands before token {}", first);
  SLLM_TRY(const BoundAdapter* bound, find_adapter(adapter));
  return on_engine([&, bound] { return scorer_.token_logprobs(ids, first, bound); });
}

Result<std::vector<float>> BatchEngine::embed(const std::vector<TokenId>& ids) {
  SLLM_OK(check_window(ids));
  return on_engine([&] { return scorer_.embed(ids); });
}

}  // namespace sllm
