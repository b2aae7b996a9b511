// KL(base || model) per token over the windows that perplexity scores.
#include <algorithm>
#include <cmath>

#include "cpu/cpu_backend.h"
#include "eval/logit_rows.h"
#include "eval/perplexity.h"
#include "eval/recorded.h"
#include "infer/runner.h"
#include "infer/state_type.h"
#include "models/registry.h"

namespace sllm::eval {
namespace {

struct Side {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Model> model;
  std::unique_ptr<StatePool> pool;
  std::unique_ptr<Runner> runner;

  static Result<Side> open(const fs::path& path, std::shared_ptr<Backend> backend,
                           Numerics numerics, int64_t window, std::optional<DType> asked = {}) {
    Side side;
    SLLM_TRY(std::shared_ptr<ModelSource> source, open_model(path));
    SLLM_OK(check_generates(source->config()).context(path.string()));
    SLLM_TRY(side.tokenizer, Tokenizer::of(*source));
    SLLM_TRY(const DType kv, state_type(asked, numerics, *source));
    SLLM_TRY(side.model, Model::load(std::move(source)));
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

struct KlPart {
  double kl = 0;
  bool same_best = false;
};
// Over the tokens that `p` knows, each side normalised over them.
KlPart kl_divergence(const RecordedPredictions::Row& p, std::span<const float> q) {
  size_t p_best = 0, q_best = 0;
  for (size_t i = 1; i < q.size(); ++i) {
    if (p.values[i] > p.values[p_best]) p_best = i;
    if (q[i] > q[q_best]) q_best = i;
  }
  double p_sum = 0, q_sum = 0;
  for (size_t i = 0; i < q.size(); ++i) {
    if (!p.known(i)) continue;
    p_sum += std::exp(double{p.log_prob(i)});
    q_sum += std::exp(double{q[i]} - q[q_best]);
  }
  const double p_log = std::log(p_sum), q_log = std::log(q_sum) + q[q_best];
  KlPart out{0, p_best == q_best};
  for (size_t i = 0; i < q.size(); ++i) {
    if (!p.known(i)) continue;
    const double log_p = p.log_prob(i) - p_log;
    out.kl += std::exp(log_p) * (log_p - (q[i] - q_log));
  }
  return out;
}

// Sums over positions, and what is told of them.
class Totals {
 public:
  void add(double kl, bool same_best, double nll, double base_nll) {
    kl = std::max(0.0, kl);
    sum_ += kl, squares_ += kl * kl;
    agree_ += same_best;
    nll_ += nll, base_nll_ += base_nll;
    largest_ = std::max(largest_, kl);
    ++tokens_;
  }
  std::string so_far() const { return fmt::format("KLD {:.5f}", sum_ / n()); }
  Divergence result() const {
    const double mean = sum_ / n();
    return {.kld_mean = mean,
            .kld_stderr = std::sqrt(std::max(0.0, squares_ / n() - mean * mean) / (n() - 1)),
            .kld_max = largest_,
            .top1_agree = agree_ / n(),
            .perplexity = std::exp(nll_ / n()),
            .base_perplexity = std::exp(base_nll_ / n()),
            .tokens = tokens_};
  }

 private:
  double n() const { return static_cast<double>(tokens_); }
  double sum_ = 0, squares_ = 0, agree_ = 0, nll_ = 0, base_nll_ = 0, largest_ = 0;
  int64_t tokens_ = 0;
};

constexpr int64_t kRows = 32;  // of logits of each model at a time

Status stopped_after(size_t chunks) {
  const int signal = stop_requested();
  if (signal == 0) return ok();
  return make_error(static_cast<ErrorCode>(128 + signal), "stopped after {} chunks", chunks);
}

}  // namespace

Result<Divergence> divergence(const fs::path& model, const fs::path& base, const std::string& text,
                              Numerics numerics, int threads, const PerplexityOptions& options) {
  const std::shared_ptr<Backend> backend = make_cpu_backend(threads);
  SLLM_TRY(Side q, Side::open(model, backend, numerics, options.window, options.kv));
  SLLM_TRY(Side p, Side::open(base, backend, numerics, options.window));
  const int64_t V = std::min(p.model->config().V, q.model->config().V);
  if (p.tokenizer->vocab_size() != q.tokenizer->vocab_size())
    return bad_input("{} has {} tokens and {} has {}; a divergence needs one vocabulary",
                     model.string(), q.tokenizer->vocab_size(), base.string(),
                     p.tokenizer->vocab_size());
  SLLM_TRY(const auto windows, perplexity_windows(*p.tokenizer, text, options));
  Totals totals;
  for (size_t w = 0; w < windows.size(); ++w) {
    SLLM_OK(stopped_after(w));
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
        const TokenId next = windows[w][first + r + 1];
        totals.add(kl_divergence(p_sum, q_sum), p_sum.best == q_sum.best,
                   q_sum.log_sum - q_row[next], p_sum.log_sum - p_row[next]);
      }
    }
    if (options.progress)
      options.progress({"divergence", "chunks", w + 1, windows.size(), totals.so_far()});
  }
  return totals.result();
}

Result<Divergence> divergence_from_recorded(const fs::path& model, const fs::path& recorded,
                                            Numerics numerics, int threads,
                                            const PerplexityOptions& options) {
  SLLM_TRY(const auto base, RecordedPredictions::open(recorded));
  SLLM_TRY(Side side,
           Side::open(model, make_cpu_backend(threads), numerics, base.window(), options.kv));
  const int64_t V = side.model->config().V;
  if (V != base.vocabulary())
    return bad_input("{} has {} tokens and {} has {}; a divergence needs one vocabulary",
                     model.string(), V, recorded.string(), base.vocabulary());
  const int64_t chunks =
      options.chunks > 0 ? std::min(options.chunks, base.chunks()) : base.chunks();
  const TokenId bos = side.tokenizer->bos_id();
  const bool bos_first = bos >= 0 && base.tokens(0).front() == bos;
  Totals totals;
  for (int64_t c = 0; c < chunks; ++c) {
    SLLM_OK(stopped_after(static_cast<size_t>(c)));
    std::vector<TokenId> window(base.tokens(c).begin(), base.tokens(c).end());
    if (bos_first) window.front() = bos;
    const Tensor hidden = side.hidden(window);
    const int64_t begin = base.window() / 2;
    for (int64_t first = 0; first < base.rows(); first += kRows) {
      const int64_t rows = std::min(kRows, base.rows() - first);
      const Tensor logits =
          side.runner->logits(hidden.slice_rows(begin + first, begin + first + rows));
      for (int64_t r = 0; r < rows; ++r) {
        const std::span<const float> q(logits.data<float>() + r * V, static_cast<size_t>(V));
        const RecordedPredictions::Row p = base.row(c, first + r);
        const auto next = static_cast<size_t>(window[begin + first + r + 1]);
        const KlPart part = kl_divergence(p, q);
        totals.add(part.kl, part.same_best, LogitRow(q).log_sum - q[next], -p.log_prob(next));
      }
    }
    if (options.progress)
      options.progress({"divergence", "chunks", static_cast<uint64_t>(c + 1),
                        static_cast<uint64_t>(chunks), totals.so_far()});
  }
  return totals.result();
}

}  // namespace sllm::eval
