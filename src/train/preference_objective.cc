// Preference tuning: from the samples of a step to the weights of their rows in the gradient.
#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "base/sha256.h"
#include "train/objective.h"
#include "train/preference_loss.h"
#include "train/reference.h"

namespace sllm {
namespace {

// The prompt of one sample with the answer of another, cut at `most` tokens.
Sample mismatched(const Sample& prompt, const Sample& answer, int64_t most) {
  const auto first_learned = [](const Sample& s) {
    return std::find_if(s.targets.begin(), s.targets.end(), [](TokenId t) { return t >= 0; }) -
           s.targets.begin();
  };
  const auto end = first_learned(prompt), begin = first_learned(answer);
  Sample sample;
  sample.ids.assign(prompt.ids.begin(), prompt.ids.begin() + end + 1);
  sample.ids.insert(sample.ids.end(), answer.ids.begin() + begin + 1, answer.ids.end());
  sample.targets.assign(static_cast<size_t>(end), -1);
  sample.targets.insert(sample.targets.end(), answer.targets.begin() + begin, answer.targets.end());
  if (std::ssize(sample.ids) > most) {
    sample.ids.resize(static_cast<size_t>(most));
    sample.targets.resize(static_cast<size_t>(most));
    sample.targets.back() = -1;
  }
  return sample;
}

class Preferences final : public Objective {
 public:
  explicit Preferences(ObjectiveInput input)
      : Objective(std::move(input)), kind_(*preference_kind(input_.options.objective)) {}

  Status prepare(const ObjectivePlan& plan) override;
  Result<LossSum> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                       const StepInfo& info) override;
  Result<StepLoss> evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) override {
    const auto steps = evaluation_steps(data);
    SLLM_TRY(const auto sums, share<LossSum>(std::ssize(steps), [&](size_t i) {
               return loss(ctx, data, steps[i], info);
             }));
    LossSum all;
    for (const LossSum& sum : sums) all.add(sum);
    return all.mean();
  }

 private:
  Result<std::vector<double>> log_probabilities(Backend& backend, const SampleSet& data,
                                                std::span<const uint32_t> samples,
                                                const BoundAdapter* adapter,
                                                const StepInfo& info) const;
  Result<double> divergence(Backend& backend, const SampleSet& data,
                            std::span<const uint32_t> items, const StepInfo& info) const;
  SampleSet mismatches(const SampleSet& data, std::span<const uint32_t> items) const;
  std::vector<std::vector<uint32_t>> evaluation_steps(const SampleSet& data) const;
  std::string reference_name(const std::string& base_hash) const;
  void score_pairs(const MicroBatch& micro, std::vector<AnswerScore>& scores,
                   std::vector<AnswerTerm>& terms, LossSum& tally) const;
  template <class Weigh>
  void weigh_rows(Context& ctx, const Tensor& hidden, const MicroBatch& micro, Weigh weigh) const;

  PreferenceKind kind_;
  std::optional<ReferenceLog> reference_;
  double divergence_ = 0;  // KTO's, of the step whose shards are computed
};

// What an evaluation takes together: KTO's divergence is one of a step.
std::vector<std::vector<uint32_t>> Preferences::evaluation_steps(const SampleSet& data) const {
  const auto size =
      static_cast<uint32_t>(std::max<int64_t>(2, input_.options.batch * input_.options.accumulate));
  std::vector<std::vector<uint32_t>> steps;
  for (uint32_t i = 0; i < data.items(); ++i) {
    if (i % size == 0) steps.emplace_back();
    steps.back().push_back(i);
  }
  return steps;
}

// The prompts of a step, each with the answer of the one before it.
SampleSet Preferences::mismatches(const SampleSet& data, std::span<const uint32_t> items) const {
  const int64_t most = std::min(input_.options.max_length, input_.model.config().max_context);
  SampleSet set;
  for (size_t i = 0; i < items.size(); ++i)
    set.samples.push_back(mismatched(data.samples[items[i]],
                                     data.samples[items[i > 0 ? i - 1 : items.size() - 1]], most));
  return set;
}

// Fresh adapters change nothing yet; one that was read is part of the reference, as in TRL.
std::string Preferences::reference_name(const std::string& base_hash) const {
  Sha256 sha;
  sha.update(base_hash);
  sha.update(name(input_.options.mode));
  if (!input_.options.init_adapter.empty() && input_.adapter)
    for (const auto& [module, lora] : input_.adapter->modules) {
      sha.update(fmt::format("{} {}", module, lora.scale));
      for (const Tensor& t : {lora.A.tensor(), lora.B.tensor(), lora.gain})
        if (t.defined())
          sha.update(
              std::span(static_cast<const std::byte*>(t.raw()), static_cast<size_t>(t.bytes())));
    }
  return sha.hex();
}

Status Preferences::prepare(const ObjectivePlan& plan) {
  if (!has_reference(kind_)) return ok();
  constexpr int64_t kForwards = 4;  // are packed together
  const std::string name = reference_name(plan.base_hash);
  SLLM_TRY(reference_, ReferenceLog::open(input_.kept / "reference.log", name));
  const BoundAdapter* adapter = input_.options.init_adapter.empty() ? nullptr : input_.adapter;
  const bool kto = kind_ == PreferenceKind::kKto;
  int64_t total = plan.train.tokens() + plan.eval.tokens(), done = 0;
  if (kto) total += plan.schedule.total_tokens() + plan.eval.tokens();

  SampleSet missing;
  std::vector<std::string> keys;
  std::unordered_set<std::string> listed;
  const auto compute = [&]() -> Status {
    std::vector<uint32_t> all(missing.samples.size());
    std::iota(all.begin(), all.end(), 0u);
    const auto seen = [&](int64_t tokens) {
      done += tokens;
      if (plan.progress)
        plan.progress({"reference", "tokens", static_cast<uint64_t>(done),
                       static_cast<uint64_t>(std::max(done, total)), ""});
    };
    SLLM_TRY(const auto values,
             log_probabilities(plan.backend, missing, all, adapter, {.seen = seen}));
    for (size_t i = 0; i < keys.size(); ++i) SLLM_OK(reference_->append(keys[i], values[i]));
    missing.samples.clear(), keys.clear(), listed.clear();
    return ok();
  };
  const auto want = [&](const Sample& sample) {
    std::string key = ReferenceLog::key(sample);
    if (reference_->find(key)) {
      total -= std::ssize(sample.ids);
    } else if (listed.insert(key).second) {
      missing.samples.push_back(sample);
      keys.push_back(std::move(key));
    }
  };
  const auto take = [&](const SampleSet& data, std::span<const uint32_t> items) -> Status {
    for (const uint32_t i : data.samples_of(items)) want(data.samples[i]);
    if (kto)
      for (const Sample& sample : mismatches(data, items).samples) want(sample);
    return missing.tokens() < kForwards * input_.options.micro_tokens ? ok() : compute();
  };
  Cursor cursor;
  for (int64_t i = 0; i < plan.schedule.total_steps() && (kto || cursor.epoch == 0); ++i)
    SLLM_OK(take(plan.train, plan.schedule.next(cursor)));
  for (const auto& items : evaluation_steps(plan.eval)) SLLM_OK(take(plan.eval, items));
  return missing.samples.empty() ? ok() : compute();
}

// Of the learned tokens of each sample, without a gradient.
Result<std::vector<double>> Preferences::log_probabilities(Backend& backend, const SampleSet& data,
                                                           std::span<const uint32_t> samples,
                                                           const BoundAdapter* adapter,
                                                           const StepInfo& info) const {
  Context ctx{backend, input_.options.mode, nullptr};
  PackOptions options = packing();
  options.adapter = adapter;
  std::vector<double> sums(samples.size(), 0.0);
  std::vector<float> losses;
  for (const MicroBatch& micro : pack(data, samples, options)) {
    SLLM_OK(input_.may_go_on());
    const Tensor hidden = input_.model.forward(ctx, micro.batch);
    input_.model.loss(ctx, hidden, micro.targets, micro.weights, &losses);
    for (size_t row = 0; row < losses.size(); ++row)
      if (micro.owners[row] >= 0) sums[static_cast<size_t>(micro.owners[row])] -= losses[row];
    if (info.seen) info.seen(micro.sample_tokens);
  }
  return sums;
}

// KTO's estimate of the divergence from the reference (Ethayarajh et al. 2024, section 4.1): a mean
// over all items of a step, of which each rank computes those of its shards.
Result<double> Preferences::divergence(Backend& backend, const SampleSet& data,
                                       std::span<const uint32_t> items,
                                       const StepInfo& info) const {
  const SampleSet set = mismatches(data, items);
  const bool training = info.number > 0;  // else this rank computes the step alone
  const std::vector<int64_t> shards = divide(data, items, info.shard.count);
  std::vector<int64_t> begins;
  for (int r = 0; training && r <= input_.ranks.size(); ++r)
    begins.push_back(
        shards[static_cast<size_t>(first_shard(r, input_.ranks.size(), info.shard.count))]);
  const auto rank = static_cast<size_t>(input_.ranks.rank());
  std::vector<uint32_t> mine;
  for (int64_t i = training ? begins[rank] : 0;
       i < (training ? begins[rank + 1] : std::ssize(items)); ++i)
    mine.push_back(static_cast<uint32_t>(i));
  auto policy = log_probabilities(backend, set, mine, input_.adapter, {});
  if (training) SLLM_OK(input_.ranks.agree(policy.ok() ? ok() : Status(policy.error())));
  if (!policy.ok()) return std::move(policy).error();
  std::vector<double> all(items.size());
  for (size_t i = 0; i < mine.size(); ++i)
    all[mine[i]] = (*policy)[i] - reference_->find(ReferenceLog::key(set.samples[mine[i]])).value();
  if (training) input_.ranks.gather<double>(std::span(all), begins);
  const double sum = std::accumulate(all.begin(), all.end(), 0.0);
  return std::max(0.0, sum / static_cast<double>(all.size()));
}

// The rows' losses first, then by `weigh(losses, weights)` what each weighs, which may depend on
// all of them; with a tape the gradient follows.
template <class Weigh>
void Preferences::weigh_rows(Context& ctx, const Tensor& hidden, const MicroBatch& micro,
                             Weigh weigh) const {
  const Model& model = input_.model;
  std::vector<float> learned(micro.targets.size(), 0), weights(learned), losses;
  for (size_t row = 0; row < learned.size(); ++row)
    learned[row] = micro.owners[row] >= 0 || micro.wholes[row] > 0;
  Context plain{ctx.backend, ctx.numerics, nullptr};
  const bool head_is_trained = ctx.tape && ctx.tape->needs(model.head().tensor().id());
  model.loss(head_is_trained ? plain : ctx, hidden, micro.targets, learned, &losses);
  weigh(losses, weights);
  if (!ctx.tape) return;
  if (head_is_trained) {
    model.loss(ctx, hidden, micro.targets, weights);
    return;
  }
  // The gradient of a row is linear in its weight, so the head need not be asked twice.
  if (!ctx.tape->has_grad(hidden.id())) return;
  const int64_t D = hidden.cols();
  float* gradient = ctx.tape->grad(hidden).data<float>();
  for (size_t row = 0; row < weights.size(); ++row)
    if (learned[row] != 0)
      ctx.backend.scale(gradient + static_cast<int64_t>(row) * D, weights[row], D);
}

// The terms of the pairs of which a forward holds an answer; each is counted with its chosen one.
void Preferences::score_pairs(const MicroBatch& micro, std::vector<AnswerScore>& scores,
                              std::vector<AnswerTerm>& terms, LossSum& tally) const {
  for (int64_t place = micro.first; place < micro.first + micro.samples; ++place) {
    const auto pair = static_cast<size_t>(place - place % 2);
    const PairTerm term = pair_term(kind_, input_.options, scores[pair], scores[pair + 1]);
    terms[pair] = term.chosen, terms[pair + 1] = term.rejected;
    if (place % 2 != 0) continue;
    tally.loss += term.loss;
    tally.add(true, term.chosen.reward), tally.add(false, term.rejected.reward);
    ++tally.pairs, tally.right += term.chosen.reward > term.rejected.reward;
  }
}

Result<LossSum> Preferences::loss(Context& ctx, const SampleSet& data,
                                  std::span<const uint32_t> items, const StepInfo& info) {
  const std::span<const uint32_t> mine = part_of(data, items, info.shard);
  const std::vector<uint32_t> samples = data.samples_of(mine);
  std::vector<AnswerScore> scores(samples.size());
  std::vector<AnswerTerm> terms(samples.size());
  int64_t whole_tokens = 0;  // that ORPO's cross-entropy is a mean of, in all shards
  for (const uint32_t i : items)
    whole_tokens += std::ssize(data.samples[static_cast<size_t>(i * data.group)].ids) - 1;
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = data.samples[samples[i]];
    scores[i].tokens = sample.supervised();
    if (reference_) scores[i].reference = reference_->find(ReferenceLog::key(sample)).value();
  }
  const bool kto = kind_ == PreferenceKind::kKto, orpo = kind_ == PreferenceKind::kOrpo;
  if (kto && info.shard.index == info.shard.first) {
    SLLM_TRY(divergence_, divergence(ctx.backend, data, items, info));
  }
  PackOptions options = packing();
  options.group = data.group, options.whole_first = orpo;
  const std::vector<MicroBatch> micros = pack(data, samples, options);

  // Of pairs that no forward holds: the derivative by one answer needs the other's log-probability.
  std::vector<uint32_t> apart;
  std::vector<size_t> places;
  for (const MicroBatch& micro : micros)
    for (int64_t place = micro.first; !kto && place < micro.first + micro.samples; ++place) {
      const int64_t other = place ^ 1;
      if (other >= micro.first && other < micro.first + micro.samples) continue;
      apart.push_back(samples[static_cast<size_t>(place)]);
      places.push_back(static_cast<size_t>(place));
    }
  if (!apart.empty()) {
    SLLM_TRY(const auto sums, log_probabilities(ctx.backend, data, apart, input_.adapter, {}));
    for (size_t i = 0; i < places.size(); ++i) scores[places[i]].policy = sums[i];
  }

  LossSum tally;
  tally.items = std::ssize(mine);
  const double share = 1 / static_cast<double>(items.size()),
               whole_share = orpo ? 1 / static_cast<double>(whole_tokens) : 0;
  double whole_loss = 0;
  for (const MicroBatch& micro : micros) {
    SLLM_OK(input_.may_go_on());
    const Tensor hidden = input_.model.forward(ctx, micro.batch);
    weigh_rows(
        ctx, hidden, micro, [&](const std::vector<float>& losses, std::vector<float>& weights) {
          const auto owner = [&](size_t row) { return static_cast<size_t>(micro.owners[row]); };
          for (int64_t i = 0; i < micro.samples; ++i)
            scores[static_cast<size_t>(micro.first + i)].policy = 0;
          for (size_t row = 0; row < losses.size(); ++row) {
            if (micro.owners[row] >= 0) scores[owner(row)].policy -= losses[row];
            whole_loss += double{micro.wholes[row]} * losses[row];
          }
          if (!kto) score_pairs(micro, scores, terms, tally);
          for (int64_t i = 0; kto && i < micro.samples; ++i) {
            const auto place = static_cast<size_t>(micro.first + i);
            const bool wanted = data.wanted[samples[place]] != 0;
            const KtoTerm term = kto_term(input_.options, scores[place], wanted, divergence_);
            terms[place] = term.answer;
            tally.loss += term.loss;
            tally.add(wanted, term.answer.reward);
          }
          for (size_t row = 0; row < weights.size(); ++row) {
            double weight = whole_share * micro.wholes[row];
            if (micro.owners[row] >= 0) weight -= share * terms[owner(row)].slope;
            weights[row] = static_cast<float>(weight);
          }
        });
    backward(ctx, tally.loss, &micro == &micros.back(), info);
    if (info.seen) info.seen(micro.sample_tokens);
  }
  tally.loss += whole_share * whole_loss * static_cast<double>(items.size());
  return tally;
}

}  // namespace

std::unique_ptr<Objective> make_preference_objective(ObjectiveInput input) {
  return std::make_unique<Preferences>(std::move(input));
}

}  // namespace sllm
