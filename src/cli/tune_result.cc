// Says what a tuning run has come to.
#include "cli/tune_result.h"

#include <iostream>

namespace sllm::cli {
namespace {

nlohmann::ordered_json rewards_json(const std::vector<Rewards>& steps) {
  const auto number = [](const std::optional<double>& x) {
    return x ? nlohmann::ordered_json(*x) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Rewards& r : steps)
    all.push_back({{"chosen", number(r.chosen)},
                   {"rejected", number(r.rejected)},
                   {"accuracy", number(r.accuracy)},
                   {"margin", number(r.margin())}});
  return all;
}

nlohmann::ordered_json to_json(const TuneResult& r) {
  nlohmann::ordered_json evals = nlohmann::ordered_json::array();
  for (const auto& [step, loss] : r.eval_loss) evals.push_back({{"step", step}, {"loss", loss}});
  const bool full = r.adapter.empty();
  nlohmann::ordered_json json = {
      {full ? "model" : "adapter", (full ? r.model : r.adapter).string()},
      {"steps", r.steps},
      {"best_step", r.best_step},
      {"samples", r.samples},
      {"eval_samples", r.eval_samples},
      {"cut", r.cut},
      {"dropped", r.dropped},
      {"trained_parameters", r.trained_parameters},
      {"tokens", r.tokens},
      {"supervised", r.supervised},
      {"seconds", r.seconds},
      {"tok_s", r.tok_s},
      {"supervised_tok_s", r.supervised_tok_s},
      {"peak_rss_mb", static_cast<double>(r.peak_memory) / 1e6},
      {"stopped_early", r.stopped_early},
      {"resumed_from", r.resumed_from},
      {"loss", r.loss},
      {"eval_loss", evals}};
  if (!r.rewards.empty()) json["rewards"] = rewards_json(r.rewards);
  return json;
}

void print_text(const TuneResult& r) {
  std::cout << fmt::format("{} steps over {} samples ({} tokens, {} learned) in {:.0f} s\n",
                           r.steps, r.samples, r.tokens, r.supervised, r.seconds);
  if (r.cut + r.dropped > 0)
    std::cout << fmt::format("{} samples were cut at --max-length, {} had nothing to learn\n",
                             r.cut, r.dropped);
  std::cout << fmt::format("{:.0f} tokens/s ({:.0f} learned), {:.2f} GB at most\n", r.tok_s,
                           r.supervised_tok_s, static_cast<double>(r.peak_memory) / 1e9);
  if (!r.loss.empty())
    std::cout << fmt::format("loss {:.4f} -> {:.4f}\n", r.loss.front(), r.loss.back());
  if (!r.rewards.empty() && r.rewards.back().margin())
    std::cout << fmt::format("reward of chosen above rejected answers {:.4f} -> {:.4f}{}\n",
                             r.rewards.front().margin().value_or(0), *r.rewards.back().margin(),
                             r.rewards.back().accuracy
                                 ? fmt::format(", larger in {:.0f} % of the last step's pairs",
                                               100 * *r.rewards.back().accuracy)
                                 : "");
  if (!r.eval_loss.empty())
    std::cout << fmt::format("held-out loss {:.4f}, best after step {}{}\n",
                             r.eval_loss.back().second, r.best_step,
                             r.stopped_early ? " (stopped early)" : "");
  std::cout << (r.adapter.empty() ? r.model : r.adapter).string() << '\n';
}

}  // namespace

void print_tune_result(const TuneResult& result, const std::string& command,
                       const Globals& globals) {
  if (globals.json)
    print_json(command, to_json(result));
  else
    print_text(result);
}

}  // namespace sllm::cli
