// Whether two artefacts are the same model: do they read the same tokens from the same
// conversations, hold the same weights, compute the same logits and write the same answers, as far
// as what they are stored as allows?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/events.h"
#include "eval/artefact.h"
#include "eval/weights_sameness.h"

namespace sllm::eval {

// How far apart two artefacts may lie. `delta` is the largest difference of two logits as a share
// of their row's range; where the likeliest tokens are nearer to each other than twice that, either
// may come first (a near tie).
struct SamenessBound {
  std::string kind;    // "exact", "f32", "bf16", "q8_0", ...
  std::string reason;  // one clause: what of the artefacts asks for it
  double kld = 0;      // mean KL divergence, nats per token
  double delta = 0;
  double weights = 0;  // the largest rms(a - b) / rms(a) of a tensor
};
// Errors: kUsage with the names there are. "quantised" is the loosest block format's.
Result<SamenessBound> sameness_bound(const std::string& kind);

struct SamenessOptions {
  int64_t conversations = 200;  // rendered and tokenized
  int64_t counted = 16;         // of them by a server, which only tells how many tokens they are
  int64_t prompts = 8;          // whose logits are compared: the first questions and texts
  int64_t prompt_tokens = 96;   // of each at most
  int64_t answers = 8, answer_tokens = 32;
  bool weights = true;
  std::vector<Conversation> questions;  // asked before the built-in ones
  std::string bound;                    // "": chosen from what the two are
  std::optional<double> max_kld, max_delta;
  int threads = 0;
  ProgressSink progress;
};

struct SamenessCheck {
  enum class Verdict { kSame, kDiffers, kLeftOut };
  std::string what;  // "tokens", "ends", "weights", "logits", "answers"
  Verdict verdict = Verdict::kSame;
  std::string found;  // figures; why, where it was left out
};

struct Sameness {
  std::string a, b, a_kind, b_kind;
  std::string mode;  // numerics in which local sides computed
  SamenessBound bound;
  std::vector<SamenessCheck> checks;
  int64_t conversations = 0, conversations_equal = 0;
  int64_t positions = 0;
  std::optional<double> kld_mean, kld_max, delta, top1;
  int64_t answers = 0, answers_equal = 0, answers_tied = 0;

  bool same() const;
  std::string sentence() const;
  nlohmann::ordered_json to_json() const;
  static Result<Sameness> from_json(const nlohmann::ordered_json& json);
};

// One side, as a command line names it.
struct ArtefactName {
  std::string path;     // a file, a folder or the URL of a server
  std::string adapter;  // a PEFT folder, or ""
  std::string key;      // of a server, or ""
  bool is_server() const { return path.starts_with("http://") || path.starts_with("https://"); }
};
// Opens both sides and compares them; `b` is what was made from `a`. Local sides compute in `mode`;
// without one in the server's numerics when one is a server that tells, else in exact. Errors:
// those of opening and reading; that the two differ is none.
Result<Sameness> compare_artefacts(const ArtefactName& a, const ArtefactName& b,
                                   const SamenessOptions& options,
                                   std::optional<Numerics> mode = {});

}  // namespace sllm::eval
