// How far apart the two sides' next-token distributions lie, on the same tokens.
#include <algorithm>

#include "eval/logit_rows.h"
#include "eval/sameness_parts.h"

namespace sllm::eval {
namespace {

using Verdict = SamenessCheck::Verdict;

constexpr int64_t kRows = 32;  // of logits of both sides at a time

struct Tally {
  double kld = 0, kld_max = 0, delta = 0;
  int64_t positions = 0, agree = 0;
  bool finite = true;
};

// Questions as the first side's template renders them and plain texts, in turn.
Result<std::vector<ApiPrompt>> prompts_of(Artefact& a, Artefact& b,
                                          const SamenessOptions& options) {
  const LocalArtefact* reader = a.local() ? a.local() : b.local();
  const auto questions = questions_of(options, options.prompts);
  const auto texts = probe_texts();
  std::vector<ApiPrompt> prompts;
  for (size_t i = 0; static_cast<int64_t>(prompts.size()) < options.prompts; ++i) {
    if (!reader) {
      prompts.push_back({std::string(texts[i % texts.size()]), {}});
      if (prompts.size() == texts.size()) break;
      continue;
    }
    ApiPrompt prompt;
    if (i % 2 == 0 || i / 2 >= texts.size()) {
      const size_t n = i < 2 * texts.size() ? i / 2 : i - texts.size();
      SLLM_TRY(prompt.ids, reader->encode(questions[n], {.add_generation_prompt = true}));
    } else {
      prompt.ids = reader->tokenizer().encode(texts[i / 2], {.add_special = true});
    }
    if (prompt.ids.size() > static_cast<size_t>(options.prompt_tokens))
      prompt.ids.resize(static_cast<size_t>(options.prompt_tokens));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

void add_rows(Tally& tally, const Tensor& left, const Tensor& right, int64_t V) {
  for (int64_t row = 0; row < left.rows(); ++row) {
    const auto logits = [&](const Tensor& t) {
      return std::span<const float>(t.data<float>() + row * t.cols(), static_cast<size_t>(V));
    };
    const LogitRow p(logits(left)), q(logits(right));
    float delta = 0, smallest = p.logits[0];
    for (size_t i = 0; i < p.logits.size(); ++i) {
      delta = std::max(delta, std::abs(p.logits[i] - q.logits[i]));
      smallest = std::min(smallest, p.logits[i]);
    }
    const double kld = kl_divergence(p, q),
                 range = p.logits[static_cast<size_t>(p.best)] - smallest;
    tally.finite &= std::isfinite(p.log_sum) && std::isfinite(q.log_sum);
    tally.kld += kld;
    tally.kld_max = std::max(tally.kld_max, kld);
    if (range > 0) tally.delta = std::max(tally.delta, delta / range);
    tally.agree += p.best == q.best;
    ++tally.positions;
  }
}

void compare_rows(Tally& tally, LocalArtefact& a, LocalArtefact& b,
                  const std::vector<TokenId>& ids) {
  // Padding beyond the vocabulary is no token, and rows that only one side has cannot be compared.
  const int64_t V = std::min(a.source().config().V, b.source().config().V);
  const Tensor left = a.hidden(ids), right = b.hidden(ids);
  for (int64_t first = 0; first < left.rows(); first += kRows) {
    const int64_t end = std::min(first + kRows, left.rows());
    add_rows(tally, a.logits(left.slice_rows(first, end)), b.logits(right.slice_rows(first, end)),
             V);
  }
}

// KL(p || q) over the tokens that both sides tell of and all the others together: at most the whole
// one (data processing inequality).
double told_divergence(const Chances& p, const Chances& q) {
  double sum = 0, rest_p = 1, rest_q = 1;
  for (const auto& [token, log_p] : p.top) {
    const auto in_q = q.top.find(token);
    if (in_q == q.top.end()) continue;
    sum += std::exp(log_p) * (log_p - in_q->second);
    rest_p -= std::exp(log_p), rest_q -= std::exp(in_q->second);
  }
  constexpr double kLeast = 1e-7;  // what the sum of rounded probabilities leaves is no probability
  if (rest_p > kLeast && rest_q > kLeast) sum += rest_p * std::log(rest_p / rest_q);
  return std::max(0.0, sum);
}

std::string likeliest(const Chances& c) {
  const auto best = std::ranges::max_element(c.top, {}, [](const auto& t) { return t.second; });
  return best == c.top.end() ? std::string() : best->first;
}

Status compare_chances(Tally& tally, Artefact& a, Artefact& b, const ApiPrompt& prompt) {
  SLLM_TRY(const std::vector<Chances> left, a.chances(prompt));
  SLLM_TRY(const std::vector<Chances> right, b.chances(prompt));
  if (left.size() != right.size())
    return bad_input("one reads {} tokens where the other reads {}", left.size() + 1,
                     right.size() + 1);
  for (size_t i = 0; i < left.size(); ++i) {
    const Chances &p = left[i], &q = right[i];
    const double kld = told_divergence(p, q), range = std::max(p.range, q.range);
    tally.kld += kld;
    tally.kld_max = std::max(tally.kld_max, kld);
    if (range > 0) tally.delta = std::max(tally.delta, std::abs(p.logprob - q.logprob) / range);
    tally.finite &= std::isfinite(p.logprob) && std::isfinite(q.logprob);
    tally.agree += likeliest(p) == likeliest(q);
    ++tally.positions;
  }
  return ok();
}

}  // namespace

Status compare_logits(Artefact& a, Artefact& b, const SamenessOptions& options, Sameness& out) {
  SamenessCheck check{"logits", Verdict::kSame, {}};
  const bool both = a.local() && b.local();
  SLLM_TRY(const std::vector<ApiPrompt> prompts, prompts_of(a, b, options));
  if (both) {
    const int64_t V = std::min(a.local()->source().config().V, b.local()->source().config().V);
    for (const ApiPrompt& prompt : prompts)
      for (const TokenId id : prompt.ids)
        if (id >= V) {
          check.verdict = Verdict::kDiffers;
          check.found = fmt::format("the second has only {} tokens", V);
          out.checks.push_back(std::move(check));
          return ok();
        }
  }
  Tally tally;
  uint64_t done = 0;
  for (const ApiPrompt& prompt : prompts) {
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "interrupted while comparing");
    if (both) {
      compare_rows(tally, *a.local(), *b.local(), prompt.ids);
    } else if (const Status told = compare_chances(tally, a, b, prompt); !told.ok()) {
      if (stop_requested()) return told.error();
      check.verdict = Verdict::kLeftOut;
      check.found = told.error().message;
      out.checks.push_back(std::move(check));
      return ok();
    }
    if (options.progress) options.progress({"logits", "prompts", ++done, prompts.size(), {}});
  }
  if (tally.positions == 0) return ok();
  const auto n = static_cast<double>(tally.positions);
  out.positions = tally.positions;
  out.kld_mean = tally.kld / n, out.kld_max = tally.kld_max;
  out.delta = tally.delta, out.top1 = static_cast<double>(tally.agree) / n;
  if (!tally.finite) {
    check.verdict = Verdict::kDiffers;
    check.found = "not all are finite numbers";
  } else {
    if (*out.kld_mean > out.bound.kld || *out.delta > out.bound.delta)
      check.verdict = Verdict::kDiffers;
    check.found = fmt::format(
        "KLD {:.3g} (most {:.3g}), {} differ by at most {:.2g} of their range, the likeliest is "
        "the same at {:.2f} % of {} positions{}",
        *out.kld_mean, *out.kld_max, both ? "logits" : "log-probabilities", *out.delta,
        100 * *out.top1, tally.positions,
        both ? "" : fmt::format("; of the {} likeliest tokens", kTopTokens));
  }
  out.checks.push_back(std::move(check));
  return ok();
}

}  // namespace sllm::eval
