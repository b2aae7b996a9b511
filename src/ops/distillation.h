// Learning a teacher's distribution instead of the next token alone (Hinton et al. 2015).
#pragma once

#include <cmath>
#include <span>

#include "ops/ops.h"

namespace sllm {

// KL(teacher || student), KL(student || teacher), and the generalised Jensen-Shannon divergence
// between them (Agarwal et al. 2024, equation 1).
enum class Divergence { kForward, kReverse, kJsd };

struct Distillation {
  Divergence divergence = Divergence::kForward;
  float temperature = 1;    // of the student's logits; the teacher's rows were made at the same
  float mixture = 0.5f;     // jsd: the teacher's weight, in (0, 1)
  float teacher_share = 1;  // of the divergence in the loss; the rest is the cross-entropy's
};

// What is kept of a teacher's distribution over the token behind a row: k tokens in any order with
// their log-probabilities, and the logarithm of what all others have together.
struct TeacherRow {
  const int32_t* ids = nullptr;      // [k]; where fewer are kept, the rest is -1
  const float* log_probs = nullptr;  // [k]
  float log_rest = 0;  // -inf where all tokens are kept; NaN: nothing is known of this row
  bool is_known() const { return !std::isnan(log_rest); }
};

namespace ops {

// loss_i = s D(p, q) + (1 - s) CE_i. p and q are the teacher's and the student's probabilities
// at the temperature over k + 1 classes: the k kept tokens, and all others as one. So D is 0 only
// where the student agrees with all that is known, never more than the divergence over the
// vocabulary, and that one where k is the vocabulary (TRL's generalized_jsd_loss, which also leaves
// out the factor T² of Hinton et al.):
//   forward Σ p log(p/q);   reverse Σ q log(q/p);
//   jsd     b Σ p log(p/m) + (1-b) Σ q log(q/m), m = b p + (1-b) q, b the mixture.
// CE_i is the cross-entropy of the target at temperature 1, and all of the loss of a row of which
// nothing is known of the teacher. The sum of row_weight[i] loss_i over
// rows of weight above 0, of which teacher[i] is read (k of each); all else as
// linear_cross_entropy.
double linear_distillation(Context& ctx, const Tensor& x, const Weight& head,
                           std::span<const int32_t> targets, std::span<const float> row_weight,
                           std::span<const TeacherRow> teacher, int64_t k,
                           const Distillation& options, LogitShape shape = {});

}  // namespace ops
}  // namespace sllm
