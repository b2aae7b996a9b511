// The bounds, and what asks for which.
#include <algorithm>

#include "eval/sameness_parts.h"

namespace sllm::eval {
namespace {

struct Row {
  const char* kind;
  double kld, delta, weights;
};
// exact: the same numbers go through the same arithmetic.
// f32: the project's tolerance of f32 logits, 1e-5 of their range; rounding of f32 sums.
// bf16: no number moves by more than 2^-8 of it (weights: its rms is at most that).
// bf16's and the block formats' KLD and delta: two to five times what SmolLM2-135M loses, the
// smallest model known here, which loses most (KLD 1.1e-4 as BF16, 2.4e-3 as Q8_0, 0.013 as Q6_K,
// 0.10 to 0.22 as Q4_K, Q5_K, Q5_0 and Q5_1, 0.33 as IQ4_NL, 0.57 as Q4_0, 0.95 as MXFP4; delta
// 0.009, 0.04, 0.08, 0.2 to 0.46, 0.45, 0.6 and 0.97). Its rows are too short for Q3_K and Q2_K,
// which cost Qwen2.5-Coder-1.5B 0.18 and 0.53, and a tensor of it 0.19 and 0.36 of its size: a
// small model loses more. A delta of 1 bounds nothing.
constexpr Row kRows[] = {
    {"exact", 0, 0, 0},        {"f32", 1e-8, 1e-5, 1e-6}, {"bf16", 5e-4, 0.02, 0x1p-8},
    {"q8_0", 5e-3, 0.1, 0.02}, {"q6_k", 0.03, 0.2, 0.05}, {"q5_k", 0.5, 1, 0.12},
    {"q5_1", 0.5, 1, 0.12},    {"q5_0", 0.5, 1, 0.12},    {"q4_k", 0.5, 1, 0.2},
    {"q4_1", 1.2, 1, 0.25},    {"q4_0", 1.2, 1, 0.25},    {"iq4_nl", 1.2, 1, 0.25},
    {"iq4_xs", 1.2, 1, 0.25},  {"mxfp4", 2.5, 1, 0.35},   {"q3_k", 2.5, 1, 0.45},
    {"q2_k", 5, 1, 0.75},
};
constexpr const char* kLoosest = "q2_k";

SamenessBound bound_of(const std::string& kind, std::string reason) {
  SamenessBound out = sameness_bound(kind).value();
  out.reason = std::move(reason);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

SamenessBound bound_of_type(DType type, const std::string& where) {
  if (type == DType::kF32) return bound_of("f32", where + " is stored as F32");
  const std::string name = lower(info(type).name);
  if (!is_block_format(type)) return bound_of("bf16", where + " is rounded to " + name);
  return bound_of(name, where + " is stored as " + std::string(info(type).name));
}

// What a merged model's changed weights are stored as.
DType coarsest_changed(const ModelSource& merged, const LoraAdapter& adapter) {
  DType coarsest = DType::kF32;
  for (const TensorInfo& t : merged.tensors())
    if (t.name.ends_with(".weight") &&
        adapter.modules.contains(t.name.substr(0, t.name.size() - 7)))
      if (bytes_of(t.dtype, 256) < bytes_of(coarsest, 256)) coarsest = t.dtype;
  return coarsest;
}

}  // namespace

Result<SamenessBound> sameness_bound(const std::string& kind) {
  const std::string wanted = kind == "quantised" || kind == "quantized" ? kLoosest : lower(kind);
  std::string names;
  for (const Row& row : kRows) {
    if (wanted == row.kind)
      return SamenessBound{row.kind, "asked for", row.kld, row.delta, row.weights};
    names += (names.empty() ? "" : ", ") + std::string(row.kind);
  }
  return with_hint(usage_error("bound \"{}\" is not known", kind),
                   "Bounds: " + names + ", quantised");
}

SamenessBound choose_bound(Artefact& a, Artefact& b,
                           const std::optional<WeightsDistance>& weights) {
  LocalArtefact *left = a.local(), *right = b.local();
  if (!left || !right) {
    for (Artefact* side : {&a, &b})
      if (!side->local() && side->kind() == "server")
        return bound_of("bf16", "a server does not say in which numerics it computes");
    return bound_of("f32", "the server computes as this program does");
  }
  if (!left->adapter() != !right->adapter()) {
    const LocalArtefact& merged = left->adapter() ? *right : *left;
    const LoraAdapter& adapter = left->adapter() ? *left->adapter() : *right->adapter();
    const DType type = coarsest_changed(merged.source(), adapter);
    return bound_of_type(type, "what the adapter changes");
  }
  if (!weights) return bound_of("bf16", "the weights were not compared");
  if (weights->equal == weights->tensors && weights->mismatch.empty() && !left->adapter())
    return bound_of("exact", "both hold the same numbers");
  if (left->adapter() && weights->equal == weights->tensors)
    return bound_of("f32", "both add an adapter to the same numbers");
  if (weights->rounding)
    return bound_of("bf16", "no number differs by more than rounding to 16 bits");
  if (weights->coarsest) return bound_of_type(*weights->coarsest, "one of them");
  return bound_of("bf16", "both are stored as floats");
}

}  // namespace sllm::eval
