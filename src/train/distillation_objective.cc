// Learning from a teacher's probabilities: those are computed first, then the student learns.
#include <algorithm>
#include <numeric>

#include "base/rng.h"
#include "train/generate.h"
#include "train/objective.h"
#include "train/reference.h"
#include "train/teacher.h"
#include "train/token_bridge.h"

namespace sllm {
namespace {

Distillation distillation(const TuneOptions& o) {
  Distillation d;
  d.divergence = o.divergence == "reverse" ? Divergence::kReverse
                 : o.divergence == "jsd"   ? Divergence::kJsd
                                           : Divergence::kForward;
  d.temperature = static_cast<float>(o.temperature);
  d.mixture = static_cast<float>(o.mixture);
  d.teacher_share = static_cast<float>(o.teacher_share);
  return d;
}

class Distilled final : public Objective {
 public:
  using Objective::Objective;
  Status prepare(const ObjectivePlan& plan) override;
  Result<LossSum> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                       const StepInfo& info) override;
  Result<StepLoss> evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) override;

 private:
  // Of each learned row of one sample.
  using RowsOf = std::function<std::vector<TeacherRow>(uint32_t sample)>;
  using Take = std::function<Status(uint32_t sample, TeacherRows)>;
  using Seen = std::function<void(int64_t)>;
  // How a teacher with other tokens reads a sample; null: it cannot.
  using ReadAs = std::function<const Sample*(uint32_t sample)>;
  Status ask(Backend& backend, const SampleSet& texts, const ReadAs& read_as, const Take& take,
             const Seen& seen) const;
  Status ask_model(Backend& backend, const SampleSet& texts, int64_t k, const Take& take,
                   const Seen& seen) const;
  const Sample* read_by_teacher(const Sample& sample) const {
    const auto at = input_.teacher.texts->find(ReferenceLog::key(sample));
    return at == input_.teacher.texts->end() ? nullptr : &at->second;
  }
  Result<SampleSet> own_answers(Context& ctx, const SampleSet& data,
                                std::span<const uint32_t> items, int64_t step) const;
  RowsOf rows_of_log(const SampleSet& data) const {
    return [this, &data](uint32_t sample) {
      return log_->find(ReferenceLog::key(data.samples[sample]));
    };
  }
  PackOptions packing_of(const SampleSet& data, std::span<const uint32_t> items) const;
  double loss_of(Context& ctx, std::span<const uint32_t> items, const MicroBatch& micro,
                 const RowsOf& rows_of) const;
  Result<LossSum> loss_of_own(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                              const StepInfo& info) const;
  int64_t vocabulary() const { return input_.model.config().V; }
  int64_t kept() const {
    const int64_t k = input_.options.top_k;
    return k > 0 ? std::min(k, vocabulary()) : vocabulary();
  }

  std::optional<TeacherLog> log_;
  std::shared_ptr<const Model> teacher_;  // while it may be asked
};

Status Distilled::prepare(const ObjectivePlan& plan) {
  const TuneOptions& o = input_.options;
  const std::string name =
      fmt::format("{} {} {} {}{}", input_.teacher.hash, sllm::name(o.mode), o.temperature,
                  vocabulary(), input_.teacher.bridge ? " aligned" : "");
  SLLM_TRY(log_, TeacherLog::open(input_.kept / "teacher.bin", name, kept()));
  SampleSet missing;
  const auto want = [&](const SampleSet& data, uint32_t i) {
    if (!log_->has(ReferenceLog::key(data.samples[i]))) missing.samples.push_back(data.samples[i]);
  };
  Cursor cursor;
  for (int64_t i = 0; i < plan.schedule.total_steps() && cursor.epoch == 0; ++i)
    for (const uint32_t item : plan.schedule.next(cursor)) want(plan.train, item);
  for (uint32_t i = 0; i < plan.eval.samples.size(); ++i) want(plan.eval, i);
  const bool asks = input_.teacher.said == nullptr;
  if (asks && (!missing.samples.empty() || o.on_policy > 0)) {
    SLLM_TRY(teacher_, input_.teacher.load());
  }
  if (!missing.samples.empty()) {
    const auto total = static_cast<uint64_t>(missing.tokens());
    uint64_t done = 0;
    size_t rows_in_all = 0, known = 0;
    const auto keep = [&](uint32_t sample, const TeacherRows& rows) {
      rows_in_all += rows.log_rest.size();
      known += static_cast<size_t>(std::count_if(rows.log_rest.begin(), rows.log_rest.end(),
                                                 [](float x) { return !std::isnan(x); }));
      return log_->append(ReferenceLog::key(missing.samples[sample]), rows);
    };
    const auto read_as = [&](uint32_t i) { return read_by_teacher(missing.samples[i]); };
    for (uint32_t i = 0; !asks && i < missing.samples.size(); ++i)
      SLLM_OK(keep(i, input_.teacher.said->at(ReferenceLog::key(missing.samples[i]))));
    if (asks)
      SLLM_OK(ask(plan.backend, missing, read_as, keep, [&](int64_t tokens) {
        done += static_cast<uint64_t>(tokens);
        if (plan.progress) plan.progress({"teacher", "tokens", std::min(done, total), total, ""});
      }));
    if (input_.teacher.bridge || !asks)
      log(2 * known < rows_in_all ? LogLevel::kWarning : LogLevel::kInfo,
          fmt::format("the teacher's tokens meet the student's at {} of {} learned tokens ({} %); "
                      "the others are learned as they stand in the rows",
                      known, rows_in_all, 100 * known / std::max<size_t>(rows_in_all, 1)));
  }
  if (o.on_policy == 0) teacher_ = nullptr;
  return log_->map();
}

// What the teacher says of each text, in the student's tokens.
Status Distilled::ask(Backend& backend, const SampleSet& texts, const ReadAs& read_as,
                      const Take& take, const Seen& seen) const {
  const TokenBridge* bridge = input_.teacher.bridge.get();
  if (!bridge) return ask_model(backend, texts, kept(), take, seen);
  SampleSet theirs;
  std::vector<uint32_t> places;  // in `texts`
  for (uint32_t i = 0; i < texts.samples.size(); ++i) {
    if (const Sample* sample = read_as(i)) {
      theirs.samples.push_back(*sample), places.push_back(i);
      continue;
    }
    TeacherRows nothing;
    for (int64_t row = 0; row < texts.samples[i].supervised(); ++row)
      TokenBridge::append_unknown(nothing, kept());
    SLLM_OK(take(i, std::move(nothing)));
  }
  // Several of its tokens can begin with one of the student's.
  const int64_t k = std::min(2 * kept(), teacher_->config().V);
  const auto translate = [&](uint32_t i, const TeacherRows& rows) {
    return take(places[i],
                bridge->translate(texts.samples[places[i]], theirs.samples[i], rows, k, kept()));
  };
  return ask_model(backend, theirs, k, translate, seen);
}

// k kept of each learned row of its own texts.
Status Distilled::ask_model(Backend& backend, const SampleSet& texts, int64_t k, const Take& take,
                            const Seen& seen) const {
  const Model& teacher = *teacher_;
  constexpr size_t kRows = 64;  // of logits at a time
  Context ctx{backend, input_.options.mode, nullptr};
  const PackOptions options{.micro_tokens = input_.options.micro_tokens,
                            .share_beginnings = shares_beginnings(teacher.config())};
  // Of a teacher with the same tokens those that the student has.
  const auto V = static_cast<size_t>(input_.teacher.bridge ? teacher.config().V : vocabulary());
  const std::vector<uint32_t> all = all_items(texts);
  for (const MicroBatch& micro : pack(texts, all, options)) {
    SLLM_OK(input_.may_go_on());
    const Tensor hidden = teacher.forward(ctx, micro.batch);
    std::vector<int32_t> learned;
    for (size_t row = 0; row < micro.weights.size(); ++row)
      if (micro.weights[row] > 0) learned.push_back(static_cast<int32_t>(row));
    std::vector<TeacherRows> rows(static_cast<size_t>(micro.samples));
    for (size_t begin = 0; begin < learned.size(); begin += kRows) {
      const auto part = std::span(learned).subspan(begin, std::min(kRows, learned.size() - begin));
      const Tensor logits = teacher.logits(ctx, ops::gather_rows(ctx, hidden, part));
      for (size_t i = 0; i < part.size(); ++i) {
        const int64_t owner = micro.owners[static_cast<size_t>(part[i])] - micro.first;
        keep_likeliest(rows[static_cast<size_t>(owner)],
                       {logits.data<float>() + static_cast<int64_t>(i) * logits.cols(), V}, k,
                       input_.options.temperature);
      }
    }
    for (size_t i = 0; i < rows.size(); ++i)
      SLLM_OK(
          take(static_cast<uint32_t>(micro.first) + static_cast<uint32_t>(i), std::move(rows[i])));
    if (seen) seen(micro.sample_tokens);
  }
  return ok();
}

Result<LossSum> Distilled::loss(Context& ctx, const SampleSet& data,
                                std::span<const uint32_t> items, const StepInfo& info) {
  constexpr uint64_t kStream = 0x6f6e706f6c;  // of no other draw
  const double share = input_.options.on_policy;
  if (info.number > 0 && share > 0 &&
      Rng(input_.options.seed, kStream, 2 * static_cast<uint64_t>(info.number)).uniform_double() <
          share)
    return loss_of_own(ctx, data, items, info);
  const std::span<const uint32_t> mine = part_of(data, items, info.shard);
  SLLM_TRY(const double loss, learn(ctx, pack(data, mine, packing_of(data, items)), info,
                                    [&](const MicroBatch& micro) {
                                      return loss_of(ctx, mine, micro, rows_of_log(data));
                                    }));
  return LossSum{.loss = loss};
}

Result<StepLoss> Distilled::evaluate(Context& ctx, const SampleSet& data, const StepInfo& info) {
  const std::vector<uint32_t> items = all_items(data);
  const auto micros = pack(data, items, packing_of(data, items));
  SLLM_TRY(const auto losses, share<double>(std::ssize(micros), [&](size_t i) -> Result<double> {
             const double loss = loss_of(ctx, items, micros[i], rows_of_log(data));
             if (info.seen) info.seen(micros[i].sample_tokens);
             return loss;
           }));
  return StepLoss{std::accumulate(losses.begin(), losses.end(), 0.0), {}};
}

// The prompts of these items with the student's own answers.
Result<SampleSet> Distilled::own_answers(Context& ctx, const SampleSet& data,
                                         std::span<const uint32_t> items, int64_t step) const {
  SLLM_OK(input_.may_go_on());
  std::vector<const Sample*> samples;
  for (const uint32_t item : items) samples.push_back(&data.samples[item]);
  Context plain{ctx.backend, ctx.numerics, nullptr};
  const TuneOptions& o = input_.options;
  const auto answers = generate_answers(plain, input_.model, input_.adapter, samples,
                                        {o.answer_tokens, static_cast<float>(o.temperature),
                                         Rng(o.seed, static_cast<uint64_t>(step)).next_u64()});
  SampleSet own;
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample& from = *samples[i];
    const auto begin = static_cast<std::ptrdiff_t>(answer_begin(from));
    Sample s;
    s.ids.assign(from.ids.begin(), from.ids.begin() + begin);
    s.ids.insert(s.ids.end(), answers[i].ids.begin(), answers[i].ids.end());
    if (answers[i].ended) s.ids.push_back(from.ids[answer_end(from) - 1]);
    s.targets.assign(s.ids.size(), -1);
    for (size_t k = static_cast<size_t>(begin); k < s.ids.size(); ++k) s.targets[k - 1] = s.ids[k];
    own.samples.push_back(std::move(s));
  }
  return own;
}

Result<LossSum> Distilled::loss_of_own(Context& ctx, const SampleSet& data,
                                       std::span<const uint32_t> items,
                                       const StepInfo& info) const {
  SLLM_TRY(const SampleSet own, own_answers(ctx, data, items, info.number));
  std::vector<TeacherRows> said(own.samples.size());
  const auto take = [&](uint32_t sample, TeacherRows rows) {
    said[sample] = std::move(rows);
    return ok();
  };
  std::vector<std::optional<Sample>> reworded(own.samples.size());
  const auto read_as = [&](uint32_t i) -> const Sample* {
    const Sample* theirs = read_by_teacher(data.samples[items[i]]);
    if (theirs) reworded[i] = input_.teacher.bridge->reworded(*theirs, own.samples[i]);
    return theirs ? &*reworded[i] : nullptr;
  };
  SLLM_OK(ask(ctx.backend, own, read_as, take, {}));
  const std::vector<uint32_t> all = all_items(own);
  const auto rows_of = [&](uint32_t sample) {
    const TeacherRows& rows = said[sample];
    std::vector<TeacherRow> each;
    for (size_t i = 0; i < rows.log_rest.size(); ++i)
      each.push_back({rows.ids.data() + i * static_cast<size_t>(kept()),
                      rows.log_probs.data() + i * static_cast<size_t>(kept()), rows.log_rest[i]});
    return each;
  };
  SLLM_TRY(const double loss,
           learn(ctx, pack(own, all, packing_of(own, all)), info,
                 [&](const MicroBatch& micro) { return loss_of(ctx, all, micro, rows_of); }));
  return LossSum{.loss = loss};
}

// The loss is a mean over the learned rows of these items.
PackOptions Distilled::packing_of(const SampleSet& data, std::span<const uint32_t> items) const {
  PackOptions options = packing();
  options.row_weight = 1.0f / static_cast<float>(supervised(data, items));
  return options;
}

// Of a forward of these items.
double Distilled::loss_of(Context& ctx, std::span<const uint32_t> items, const MicroBatch& micro,
                          const RowsOf& rows_of) const {
  const Model& model = input_.model;
  std::vector<TeacherRow> rows(micro.targets.size());
  std::vector<std::vector<TeacherRow>> said;  // of each sample, in the order of its learned rows
  for (int64_t i = 0; i < micro.samples; ++i)
    said.push_back(rows_of(items[static_cast<size_t>(micro.first + i)]));
  std::vector<size_t> next(said.size(), 0);
  for (size_t row = 0; row < rows.size(); ++row) {
    if (micro.owners[row] < 0) continue;
    const auto owner = static_cast<size_t>(micro.owners[row] - micro.first);
    rows[row] = said[owner][next[owner]++];
  }
  const Tensor hidden = model.forward(ctx, micro.batch);
  return ops::linear_distillation(ctx, hidden, model.head(), micro.targets, micro.weights, rows,
                                  kept(), distillation(input_.options),
                                  {.softcap = model.config().logit_softcap});
}

}  // namespace

std::unique_ptr<Objective> make_distillation_objective(ObjectiveInput input) {
  return std::make_unique<Distilled>(std::move(input));
}

}  // namespace sllm
