// Losses of preference tuning as functions of the answers' log-probabilities, with their
// derivatives. sigma is the logistic function, r the reward, all means over tokens or items are
// taken where it is said; every formula is TRL's (1.16).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "train/options.h"

namespace sllm {

enum class PreferenceKind { kDpo, kIpo, kSimPo, kOrpo, kKto };
// Of options.objective; none for "sft".
std::optional<PreferenceKind> preference_kind(std::string_view objective);
// Whether the loss compares with the model as it was before tuning.
bool has_reference(PreferenceKind kind);

// One answer: the log-probability of its learned tokens together, under the model that is trained
// and under the reference.
struct AnswerScore {
  double policy = 0, reference = 0;
  int64_t tokens = 0;
};

// One answer's part: the derivative of the loss by AnswerScore::policy, and the reward.
struct AnswerTerm {
  double slope = 0, reward = 0;
};
struct PairTerm {
  double loss = 0;
  AnswerTerm chosen, rejected;
};

// With d = (log pi - log pi_ref) of the chosen minus that of the rejected answer, and means over an
// answer's tokens written as avg:
//   dpo   -log sigma(beta d) (Rafailov et al. 2023); with label smoothing e the robust form
//         (-(1-e) log sigma(beta d) + e log sigma(-beta d)) / (1-2e) (Chowdhury et al. 2024)
//   ipo   (d - 1/(2 beta))² of the averages (Azar et al. 2023)
//   simpo -(1-e) log sigma(z) - e log sigma(-z), z = beta (avg log pi chosen - rejected) - gamma
//         (Meng et al. 2024)
//   orpo  -beta log sigma(log odds chosen - log odds rejected), log odds x - log(1 - exp x) of
//         x = avg log pi (Hong et al. 2024). The other part of ORPO's loss, the cross-entropy of
//         the chosen texts with their prompts, is its caller's.
// Rewards are beta (log pi - log pi_ref); without a reference beta avg log pi.
PairTerm pair_term(PreferenceKind kind, const TuneOptions& options, const AnswerScore& chosen,
                   const AnswerScore& rejected);

// kto: w (1 - sigma(beta (r - kl))) of a wanted, w (1 - sigma(beta (kl - r))) of an unwanted
// answer, r = log pi - log pi_ref, w desirable_weight or undesirable_weight (Ethayarajh et al.
// 2024). kl is a constant: the mean of r over prompts with other prompts' answers, at least 0.
struct KtoTerm {
  double loss = 0;
  AnswerTerm answer;
};
KtoTerm kto_term(const TuneOptions& options, const AnswerScore& answer, bool wanted, double kl);

}  // namespace sllm
