// Everything that a tuning run depends on. One list of fields (options.cc) serves config.toml, the
// run's identity and the checks of a resumed run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "ops/numerics.h"

namespace sllm {

// TuneOptions::teacher where the rows bring what it said (train/said_rows.h).
inline constexpr const char* kRowsTeacher = "rows";
// The peak learning rate where none is given, when all weights move: a tenth of what adapters take.
constexpr double kFullLr = 2e-5;

struct TuneOptions {
  // What goes in and out.
  fs::path model;         // GGUF file or Hugging Face folder
  fs::path data;          // training rows: conversations, text, or {"input_ids", "labels"};
                          // preferences for the objectives that learn from them
  fs::path eval;          // held-out rows; empty: `eval_fraction` of the data
  fs::path run;           // the run's folder
  fs::path init_adapter;  // adapter with the first A and B; its rank, alpha and targets count
  double eval_fraction = 0;

  // What is minimised: "sft", the cross-entropy of the learned tokens, or a loss of preferences
  // ("dpo", "ipo", "simpo", "orpo", "kto"; train/preference_loss.h) with TRL's meaning of each
  // number.
  std::string objective = "sft";
  double beta = 0.1;
  double gamma = 0.5;          // simpo: by how much the chosen answer is to win
  double label_smoothing = 0;  // dpo, simpo: share of the pairs that are the wrong way round
  double desirable_weight = 1, undesirable_weight = 1;  // kto

  // Learning from a teacher's probabilities (train/teacher.h, ops/distillation.h) instead of from
  // the labels alone.
  fs::path teacher;  // a model; "rows": what the rows' column "logprobs" says; empty: none
  std::string divergence = "forward";  // "forward", "reverse" or "jsd"
  int64_t top_k = 64;                  // tokens kept of each of the teacher's rows; 0: all
  double temperature = 1;
  double mixture = 0.5;      // jsd: the teacher's weight in what both are compared with
  double teacher_share = 1;  // of the divergence in the loss; the rest is the labels'
  // Share of the steps whose answers are the student's own, drawn at `temperature`, rather than the
  // rows' (Agarwal et al. 2024; TRL's lmbda), of at most so many tokens.
  double on_policy = 0;
  int64_t answer_tokens = 128;
  bool align_tokens = false;  // the teacher may have other tokens (train/token_bridge.h)

  std::string method = "lora";      // what is trained: "lora", or "full" for every weight
  std::string optimizer = "adamw";  // or "adamw8bit": moments in 8 bits (train/moments.h)
  // The adapter (Hu et al. 2021).
  std::string targets = "all";  // comma-separated names of linears ("q_proj,v_proj"), or "all"
  int64_t rank = 16;
  double alpha = 32;
  bool rslora = false;   // scale alpha / sqrt(rank) (Kalajdzievski 2023)
  bool dora = false;     // learn the lengths of the rows apart (Liu et al. 2024)
  double lora_plus = 1;  // B's learning rate is so many times A's (Hayou et al. 2024)

  // The optimiser: AdamW with torch's meaning of each number.
  double lr = 2e-4, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double clip = 1;                  // largest global gradient norm; 0: off
  std::string schedule = "cosine";  // "cosine", "linear" to 0 at the end, or "constant"
  double warmup = 0.03;             // below 1: share of all steps; else steps

  // What a step is: batch * accumulate samples or, with batch_tokens, as many samples as fit.
  int64_t batch = 8, accumulate = 1, batch_tokens = 0;
  // Into so many parts its samples are divided, each computed as if it were alone, before the
  // gradients are added (train/gradient_sum.h): as many ranks may share the work. 0: one a rank, or
  // those of the run that is resumed.
  int64_t shards = 0;
  int64_t max_length = 1024;    // tokens of a sample; longer ones are cut (text: split)
  int64_t micro_tokens = 1024;  // tokens per forward; memory grows with it, results do not change
  int64_t epochs = 1;
  int64_t steps = 0;  // 0: as many as the epochs have
  bool shuffle = true;
  uint64_t seed = 0;
  Numerics mode = Numerics::kBf16;

  // Life of the run; none of these changes what is learned, but for `patience`.
  int64_t answers = 2;  // held-out prompts that are answered at each evaluation (train/preview.h)
  int64_t eval_every = 0;  // steps; 0: at the end of every epoch
  int64_t patience = 0;    // evaluations without improvement before it stops; 0: never
  int64_t save_every = 50;
  double save_minutes = 10;  // whichever comes first
  int64_t keep = 2;          // newest checkpoints kept, besides the best
  int threads = 0;           // 0: all usable cores
  bool resume = false;
};

// kUsage naming the first field that is out of range.
Status validate(const TuneOptions& options);

// config.toml, without `resume` and `threads`. from_toml starts from the defaults; kUsage on an
// unknown key or a wrong type.
std::string to_toml(const TuneOptions& options);
Result<TuneOptions> tune_options_from_toml(std::string_view text, const std::string& name);

// The fields that decide what is learned: their text (the run's identity is its hash), and the
// names of those that differ.
std::string learning_fields(const TuneOptions& options);
std::vector<std::string> differing_fields(const TuneOptions& a, const TuneOptions& b);

Result<Numerics> numerics_from_name(std::string_view name);

}  // namespace sllm
