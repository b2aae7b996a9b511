// Learning from a teacher's probabilities: those are computed first, then the student learns.
#include <algorithm>
#include <numeric>

#include "train/objective.h"
#include "train/reference.h"
#include "train/teacher.h"

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
  Result<StepLoss> loss(Context& ctx, const SampleSet& data, std::span<const uint32_t> items,
                        const Listener& listener) override;

 private:
  Status ask(Backend& backend, const Model& teacher, const SampleSet& texts,
             const std::function<void(int64_t)>& seen);
  int64_t vocabulary() const { return input_.model.config().V; }

  std::optional<TeacherLog> log_;
};

Status Distilled::prepare(const ObjectivePlan& plan) {
  const TuneOptions& o = input_.options;
  const int64_t k = o.top_k > 0 ? std::min(o.top_k, vocabulary()) : vocabulary();
  const std::string name = fmt::format("{} {} {} {}", input_.teacher.hash, sllm::name(o.mode),
                                       o.temperature, vocabulary());
  SLLM_TRY(log_, TeacherLog::open(input_.kept / "teacher.bin", name, k));
  SampleSet missing;
  const auto want = [&](const SampleSet& data, uint32_t i) {
    if (!log_->has(ReferenceLog::key(data.samples[i]))) missing.samples.push_back(data.samples[i]);
  };
  Cursor cursor;
  for (int64_t i = 0; i < plan.schedule.total_steps() && cursor.epoch == 0; ++i)
    for (const uint32_t item : plan.schedule.next(cursor)) want(plan.train, item);
  for (uint32_t i = 0; i < plan.eval.samples.size(); ++i) want(plan.eval, i);
  if (!missing.samples.empty()) {
    SLLM_TRY(const std::shared_ptr<Model> teacher, input_.teacher.load());
    const auto total = static_cast<uint64_t>(missing.tokens());
    uint64_t done = 0;
    SLLM_OK(ask(plan.backend, *teacher, missing, [&](int64_t tokens) {
      done += static_cast<uint64_t>(tokens);
      if (plan.progress) plan.progress({"teacher", "tokens", done, total, ""});
    }));
  }
  return log_->map();
}

// Keeps what the teacher says of each text.
Status Distilled::ask(Backend& backend, const Model& teacher, const SampleSet& texts,
                      const std::function<void(int64_t)>& seen) {
  constexpr size_t kRows = 64;  // of logits at a time
  Context ctx{backend, input_.options.mode, nullptr};
  const PackOptions options{.micro_tokens = input_.options.micro_tokens,
                            .share_beginnings = shares_beginnings(teacher.config())};
  const auto V = static_cast<size_t>(vocabulary());  // of the teacher's at least
  std::vector<uint32_t> all(texts.samples.size());
  std::iota(all.begin(), all.end(), 0u);
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
                       {logits.data<float>() + static_cast<int64_t>(i) * logits.cols(), V},
                       log_->k(), input_.options.temperature);
      }
    }
    for (size_t i = 0; i < rows.size(); ++i)
      SLLM_OK(log_->append(ReferenceLog::key(texts.samples[static_cast<size_t>(micro.first) + i]),
                           rows[i]));
    seen(micro.sample_tokens);
  }
  return ok();
}

Result<StepLoss> Distilled::loss(Context& ctx, const SampleSet& data,
                                 std::span<const uint32_t> items, const Listener& listener) {
  const Model& model = input_.model;
  int64_t supervised = 0;
  for (const uint32_t item : items) supervised += data.samples[item].supervised();
  PackOptions options = packing();
  options.row_weight = 1.0f / static_cast<float>(supervised);
  double loss = 0;
  const std::vector<MicroBatch> micros = pack(data, items, options);
  for (const MicroBatch& micro : micros) {
    SLLM_OK(input_.may_go_on());
    std::vector<TeacherRow> rows(micro.targets.size());
    std::vector<std::vector<TeacherRow>> kept;  // of each sample, in the order of its learned rows
    for (int64_t i = 0; i < micro.samples; ++i)
      kept.push_back(
          log_->find(ReferenceLog::key(data.samples[items[static_cast<size_t>(micro.first + i)]])));
    std::vector<size_t> next(kept.size(), 0);
    for (size_t row = 0; row < rows.size(); ++row) {
      if (micro.owners[row] < 0) continue;
      const auto owner = static_cast<size_t>(micro.owners[row] - micro.first);
      rows[row] = kept[owner][next[owner]++];
    }
    const Tensor hidden = model.forward(ctx, micro.batch);
    loss += ops::linear_distillation(ctx, hidden, model.head(), micro.targets, micro.weights, rows,
                                     log_->k(), distillation(input_.options),
                                     {.softcap = model.config().logit_softcap});
    backward(ctx, loss, &micro == &micros.back(), listener);
    if (listener.seen) listener.seen(micro.sample_tokens);
  }
  return StepLoss{loss, {}};
}

}  // namespace

std::unique_ptr<Objective> make_distillation_objective(ObjectiveInput input) {
  return std::make_unique<Distilled>(std::move(input));
}

}  // namespace sllm
