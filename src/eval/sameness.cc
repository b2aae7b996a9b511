// One comparison from beginning to end, and how it is told.
#include "eval/sameness.h"

#include <algorithm>

#include "cpu/cpu_backend.h"
#include "eval/sameness_parts.h"

namespace sllm::eval {
namespace {

using Json = nlohmann::ordered_json;
using Verdict = SamenessCheck::Verdict;

constexpr const char* kVerdicts[] = {"same", "differs", "left out"};

Result<std::unique_ptr<Artefact>> open_side(const ArtefactName& name,
                                            const std::shared_ptr<Backend>& backend,
                                            Numerics numerics) {
  if (name.is_server()) return open_server(name.path, name.key);
  SLLM_TRY(auto local, LocalArtefact::open(name.path, name.adapter, backend, numerics));
  return std::unique_ptr<Artefact>(std::move(local));
}

}  // namespace

std::vector<Conversation> questions_of(const SamenessOptions& options, int64_t count) {
  std::vector<Conversation> questions = options.questions;
  for (Conversation& question : probe_questions(count)) questions.push_back(std::move(question));
  questions.resize(static_cast<size_t>(count));
  return questions;
}

Result<std::optional<WeightsDistance>> measure_weights(Artefact& a, Artefact& b,
                                                       const SamenessOptions& options,
                                                       Sameness& out) {
  const auto leave_out = [&](const char* why) {
    out.checks.push_back({"weights", Verdict::kLeftOut, why});
    return std::optional<WeightsDistance>();
  };
  LocalArtefact *left = a.local(), *right = b.local();
  if (!left || !right) return leave_out("a server does not give its weights");
  if (!options.weights) return leave_out("not asked for");
  std::set<std::string> changed;
  if (!left->adapter() != !right->adapter()) {
    const LoraAdapter& adapter = left->adapter() ? *left->adapter() : *right->adapter();
    for (const auto& [module, pair] : adapter.modules) changed.insert(module);
  }
  ThreadPool pool(options.threads);
  SLLM_TRY(WeightsDistance distance,
           weights_distance(left->source(), right->source(), changed, pool));
  return std::optional(std::move(distance));
}

void judge_weights(const std::optional<WeightsDistance>& weights, Sameness& out) {
  if (!weights) return;
  const WeightsDistance& w = *weights;
  SamenessCheck check{"weights", Verdict::kSame, {}};
  check.found = fmt::format("{} of {} tensors hold the same numbers", w.equal, w.tensors);
  if (w.skipped > 0) check.found += fmt::format(" (the adapter changes {} more)", w.skipped);
  // Floats that hold one number each must be what rounding makes of the other; a block format is
  // judged by its mean error.
  const bool floats =
      out.bound.kind == "exact" || out.bound.kind == "f32" || out.bound.kind == "bf16";
  const bool fits = w.distance <= out.bound.weights && (!floats || w.rounding);
  if (w.equal < w.tensors) {
    check.found += fmt::format(", {} is {:.2g} of its size away", w.furthest, w.distance);
    if (w.row >= 0 && floats) check.found += fmt::format(" (row {} first)", w.row);
  }
  if (!w.mismatch.empty()) check.found += "; " + w.mismatch;
  if (!w.mismatch.empty() || !fits) check.verdict = Verdict::kDiffers;
  out.checks.push_back(std::move(check));
}

Result<Sameness> compare_artefacts(const ArtefactName& a, const ArtefactName& b,
                                   const SamenessOptions& options, std::optional<Numerics> mode) {
  // Servers first: they say in which numerics the other side is to compute.
  const auto backend = make_cpu_backend(options.threads);
  std::unique_ptr<Artefact> left, right;
  Numerics numerics = mode.value_or(Numerics::kExact);
  for (const auto& [name, side] : {std::pair(&a, &left), std::pair(&b, &right)})
    if (name->is_server()) {
      SLLM_TRY(*side, open_server(name->path, name->key));
      if (!mode) numerics = (*side)->numerics();
    }
  if (!left) {
    SLLM_TRY(left, open_side(a, backend, numerics));
  }
  if (!right) {
    SLLM_TRY(right, open_side(b, backend, numerics));
  }
  Sameness out;
  out.a = left->name(), out.b = right->name();
  out.a_kind = left->kind(), out.b_kind = right->kind();
  out.mode = std::string(name(numerics));
  SLLM_OK(compare_tokens(*left, *right, options, out));
  compare_ends(*left, *right, out);
  SLLM_TRY(const auto weights, measure_weights(*left, *right, options, out));
  if (options.bound.empty()) {
    out.bound = choose_bound(*left, *right, weights);
  } else {
    SLLM_TRY(out.bound, sameness_bound(options.bound));
  }
  if (options.max_kld) out.bound.kld = *options.max_kld;
  if (options.max_delta) out.bound.delta = *options.max_delta;
  judge_weights(weights, out);
  SLLM_OK(compare_logits(*left, *right, options, out));
  SLLM_OK(compare_answers(*left, *right, options, out));
  return out;
}

bool Sameness::same() const {
  return std::ranges::none_of(checks, [](const auto& c) { return c.verdict == Verdict::kDiffers; });
}

std::string Sameness::sentence() const {
  if (same())
    return fmt::format("{} and {} are the same model, within what {} allows", a, b, bound.kind);
  std::string list;
  for (const SamenessCheck& c : checks)
    if (c.verdict == Verdict::kDiffers)
      list += (list.empty() ? "" : "; ") + fmt::format("{}: {}", c.what, c.found);
  return fmt::format("{} and {} are not the same model: {}", a, b, list);
}

Json Sameness::to_json() const {
  const auto number = [](const std::optional<double>& x) { return x ? Json(*x) : Json(); };
  Json rows = Json::array();
  for (const SamenessCheck& c : checks)
    rows.push_back({{"what", c.what},
                    {"verdict", kVerdicts[static_cast<int>(c.verdict)]},
                    {"found", c.found}});
  return {{"a", {{"name", a}, {"kind", a_kind}}},
          {"b", {{"name", b}, {"kind", b_kind}}},
          {"same", same()},
          {"mode", mode},
          {"bound",
           {{"kind", bound.kind},
            {"reason", bound.reason},
            {"kld", bound.kld},
            {"delta", bound.delta},
            {"weights", bound.weights}}},
          {"checks", rows},
          {"conversations", conversations},
          {"conversations_equal", conversations_equal},
          {"positions", positions},
          {"kld", number(kld_mean)},
          {"kld_max", number(kld_max)},
          {"delta", number(delta)},
          {"top1_agree", number(top1)},
          {"answers", answers},
          {"answers_equal", answers_equal},
          {"answers_tied", answers_tied}};
}

Result<Sameness> Sameness::from_json(const Json& json) {
  try {
    Sameness s;
    s.a = json.at("a").at("name"), s.a_kind = json.at("a").at("kind");
    s.b = json.at("b").at("name"), s.b_kind = json.at("b").at("kind");
    s.mode = json.at("mode");
    const Json& bound = json.at("bound");
    s.bound = {bound.at("kind"), bound.at("reason"), bound.at("kld"), bound.at("delta"),
               bound.at("weights")};
    for (const Json& row : json.at("checks")) {
      const std::string verdict = row.at("verdict");
      const auto known = std::ranges::find(kVerdicts, verdict);
      if (known == std::end(kVerdicts)) return bad_input("a check's verdict is \"{}\"", verdict);
      s.checks.push_back(
          {row.at("what"), static_cast<Verdict>(known - std::begin(kVerdicts)), row.at("found")});
    }
    s.conversations = json.at("conversations");
    s.conversations_equal = json.at("conversations_equal");
    s.positions = json.at("positions");
    const auto optional = [&](const char* key, std::optional<double>& out) {
      if (!json.at(key).is_null()) out = json.at(key).get<double>();
    };
    optional("kld", s.kld_mean);
    optional("kld_max", s.kld_max);
    optional("delta", s.delta);
    optional("top1_agree", s.top1);
    s.answers = json.at("answers");
    s.answers_equal = json.at("answers_equal");
    s.answers_tied = json.at("answers_tied");
    return s;
  } catch (const Json::exception& e) {
    return bad_input("not the result of a comparison: {}", e.what());
  }
}

}  // namespace sllm::eval
