// A model: one forward for prefill, decode and training. One file per architecture (llama.cc,
// qwen2.cc ...) plus a row in registry.cc. Linear, Attention and Mlp are shared (layers.h).
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/model_source.h"
#include "io/peft.h"
#include "models/state.h"
#include "ops/ops.h"

namespace sllm {

// A LoRA adapter bound to a model: by module name ("model.layers.0.self_attn.q_proj").
struct BoundAdapter {
  std::map<std::string, Lora> modules;
};

struct Segment {
  int64_t first_row = 0, rows = 0;
  int64_t position = 0;            // position of the first row
  SequenceState* state = nullptr;  // null: training, attention within the segment only
  const BoundAdapter* adapter = nullptr;
  // Tokens of the whole text that the rows are a part of, where it is known to be longer than what
  // ends with them; longrope turns by it (Rope::stretches).
  int64_t text_length = 0;
  // Training: the index of the earlier segment that ends where this one begins, for texts that
  // begin alike (AttentionSegment). Only where every layer attends, causally (shares_beginnings,
  // train/batches.h).
  int64_t before = -1;
};
// Flat rows of all sequences, plus what each row is.
struct Batch {
  std::vector<int32_t> tokens;    // [N]
  std::vector<Segment> segments;  // in row order, covering all rows
  // Looked at between layers: when it is set, forward throws Interrupted and leaves every state as
  // it was, so that the same batch can be run again.
  const std::atomic<bool>* interrupt = nullptr;
  static Batch single(std::vector<int32_t> tokens, SequenceState* state = nullptr,
                      int64_t position = 0);
};

struct Interrupted : std::exception {
  const char* what() const noexcept override { return "forward was interrupted"; }
};

class Model {
 public:
  // Maps the weights; nothing is copied but what a backend prepares on first use. The model keeps
  // `source` alive. Errors: kBadInput (unknown architecture by name, missing or misshapen tensors).
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<ModelSource> source);
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  // Final hidden states after the last norm, [N, D] f32. With segments' states set, appends to them
  // (reserve() first) and advances them.
  virtual Tensor forward(Context& ctx, const Batch& batch) const = 0;
  // Logits [n, V] of hidden rows.
  virtual Tensor logits(Context& ctx, const Tensor& hidden) const = 0;
  virtual const Weight& head() const = 0;  // [V, D]; the embedding when tied
  // Next-token loss of hidden rows, as ops::linear_cross_entropy.
  double loss(Context& ctx, const Tensor& hidden, std::span<const int32_t> targets,
              std::span<const float> row_weight, std::vector<float>* row_losses = nullptr) const;
  // Every linear by module name with its weight [out, in], in forward order; not the head.
  virtual std::vector<std::pair<std::string, const Weight*>> linears() const = 0;
  // Every parameter by Hugging Face name (for full tuning, merge and export).
  virtual std::vector<std::pair<std::string, Weight*>> parameters() = 0;
  // Checks that every module exists and fits; kBadInput naming the first mismatch.
  Result<BoundAdapter> bind(const LoraAdapter& adapter) const;
};

}  // namespace sllm
