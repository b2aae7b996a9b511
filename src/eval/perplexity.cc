// exp of the mean negative log-likelihood over the second halves of disjoint windows.
#include "eval/perplexity.h"

#include <cmath>

namespace sllm::eval {

Result<std::vector<std::vector<TokenId>>> perplexity_windows(const Tokenizer& tokenizer,
                                                             const std::string& text,
                                                             const PerplexityOptions& options) {
  const std::vector<TokenId> ids =
      tokenizer.encode(text, {.add_special = true, .parse_special = false});
  const auto n = static_cast<int64_t>(ids.size());
  if (options.window < 4) return usage_error("a window of {} tokens is too small", options.window);
  if (n < 2 * options.window)
    return bad_input("the text has {} tokens, and at least two windows of {} are needed", n,
                     options.window);
  const bool bos_first = tokenizer.bos_id() >= 0 && ids.front() == tokenizer.bos_id();
  std::vector<std::vector<TokenId>> windows;
  for (int64_t begin = 0; begin + options.window <= n; begin += options.window) {
    if (options.chunks > 0 && static_cast<int64_t>(windows.size()) == options.chunks) break;
    windows.emplace_back(ids.begin() + begin, ids.begin() + begin + options.window);
    if (bos_first) windows.back().front() = tokenizer.bos_id();
  }
  return windows;
}

Result<Perplexity> perplexity(Engine& engine, const std::string& text,
                              const PerplexityOptions& options) {
  SLLM_TRY(const auto windows, perplexity_windows(*engine.tokenizer(), text, options));
  double sum = 0, squares = 0;
  Perplexity result;
  for (const auto& window : windows) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "stopped after {} chunks",
                        result.chunks);
    // The logits of positions n/2 .. n-2 are scored: tokens n/2+1 .. n-1.
    SLLM_TRY(const std::vector<float> logprobs,
             engine.token_logprobs(window, options.window / 2 + 1));
    for (const float logprob : logprobs) {
      sum -= logprob;
      squares += double{logprob} * logprob;
    }
    result.tokens += static_cast<int64_t>(logprobs.size());
    ++result.chunks;
    const std::string so_far =
        fmt::format("perplexity {:.4f}", std::exp(sum / static_cast<double>(result.tokens)));
    if (options.progress)
      options.progress(
          {"perplexity", "chunks", static_cast<uint64_t>(result.chunks), windows.size(), so_far});
  }
  const auto n = static_cast<double>(result.tokens);
  const double nll = sum / n, variance = squares / n - nll * nll;
  result.value = std::exp(nll);
  if (variance > 0 && n > 1) result.standard_error = std::sqrt(variance / (n - 1)) * result.value;
  return result;
}

}  // namespace sllm::eval
