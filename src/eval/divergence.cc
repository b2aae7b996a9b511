// KL(base || model) per token over the windows that perplexity scores.
#include <algorithm>
#include <cmath>

#include "cpu/cpu_backend.h"
#include "eval/logit_rows.h"
#include "eval/perplexity.h"
#include "infer/runner.h"

namespace sllm::eval {
namespace {

struct Side {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Model> model;
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<Runner> runner;

  static Result<Side> open(const fs::path& path, std::shared_ptr<Backend> backend,
                           Numerics numerics, int64_t window) {
    Side side;
    SLLM_TRY(std::shared_ptr<ModelSource> source, ModelSource::open(path));
    SLLM_TRY(side.tokenizer, Tokenizer::load(source->tokenizer()));
    SLLM_TRY(side.model, Model::load(std::move(source)));
    const DType kv = numerics == Numerics::kExact ? DType::kF32 : DType::kF16;
    side.pool = std::make_unique<StatePool>(side.model->config(), kv, window);
    side.runner = std::make_unique<Runner>(side.model, std::move(backend), numerics);
    return side;
  }
  // Hidden states [window, D].
  Tensor hidden(const std::vector<TokenId>& window) {
    SequenceState state(*pool);
    const Feed feed{&state, window, nullptr};
    return runner->forward(std::span(&feed, 1));
  }
};

}  // namespace

Result<Divergence> divergence(const fs::path& model, const fs::path& base, const std::string& text,
                              Numerics numerics, int threads, const PerplexityOptions& options) {
  constexpr int64_t kRows = 32;  // of logits of both models at a time
  const std::shared_ptr<Backend> backend = make_cpu_backend(threads);
  SLLM_TRY(Side q, Side::open(model, backend, numerics, options.window));
  SLLM_TRY(Side p, Side::open(base, backend, numerics, options.window));
  const int64_t V = std::min(p.model->config().V, q.model->config().V);
  if (p.tokenizer->vocab_size() != q.tokenizer->vocab_size())
    return bad_input("{} has {} tokens and {} has {}; a divergence needs one vocabulary",
                     model.string(), q.tokenizer->vocab_size(), base.string(),
                     p.tokenizer->vocab_size());
  SLLM_TRY(const auto windows, perplexity_windows(*p.tokenizer, text, options));
  Divergence out;
  double sum = 0, squares = 0, agree = 0, nll = 0, base_nll = 0;
  for (size_t w = 0; w < windows.size(); ++w) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "stopped after {} chunks", w);
    const Tensor p_hidden = p.hidden(windows[w]), q_hidden = q.hidden(windows[w]);
    const int64_t last = options.window - 1;  // the last position predicts nothing known
    for (int64_t first = options.window / 2; first < last; first += kRows) {
      const int64_t rows = std::min(kRows, last - first);
      const Tensor p_logits = p.runner->logits(p_hidden.slice_rows(first, first + rows)),
                   q_logits = q.runner->logits(q_hidden.slice_rows(first, first + rows));
      for (int64_t r = 0; r < rows; ++r) {
        const std::span<const float> p_row(p_logits.data<float>() + r * p_logits.cols(), V),
            q_row(q_logits.data<float>() + r * q_logits.cols(), V);
        const LogitRow p_sum(p_row), q_sum(q_row);
        const double kl = kl_divergence(p_sum, q_sum);
        const TokenId next = windows[w][first + r + 1];
        nll += q_sum.log_sum - q_row[next];
        base_nll += p_sum.log_sum - p_row[next];
        sum += kl, squares += kl * kl;
        agree += p_sum.best == q_sum.best;
        out.kld_max = std::max(out.kld_max, kl);
        ++out.tokens;
      }
    }
    const std::string so_far = fmt::format("KLD {:.5f}", sum / static_cast<double>(out.tokens));
    if (options.progress) options.progress({"divergence", "chunks", w + 1, windows.size(), so_far});
  }
  const auto n = static_cast<double>(out.tokens);
  out.kld_mean = sum / n;
  out.kld_stderr = std::sqrt(std::max(0.0, squares / n - out.kld_mean * out.kld_mean) / (n - 1));
  out.top1_agree = agree / n;
  out.perplexity = std::exp(nll / n);
  out.base_perplexity = std::exp(base_nll / n);
  return out;
}

}  // namespace sllm::eval
