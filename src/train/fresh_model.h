// A new llama with random weights, to be trained from nothing.
#pragma once

#include "base/thread_pool.h"
#include "io/model_source.h"

namespace sllm {

struct FreshModelOptions {
  fs::path tokenizer;    // a folder, a GGUF file or a tokenizer's file; decides the vocabulary
  int64_t hidden = 512;  // D
  int64_t layers = 8;    // L
  int64_t heads = 8;     // H
  int64_t kv_heads = 0;  // Hk; 0: as many as heads
  int64_t ffn = 0;  // F; 0: 8/3 of hidden, rounded up to a multiple of 64 (Touvron et al. 2023)
  int64_t context = 2048;
  bool tied = false;        // the head is the embedding
  double rope_theta = 1e4;  // base of the rotary positions
  double range = 0.02;      // initializer_range: standard deviation of the weights
  DType type = DType::kF32;
  uint64_t seed = 0;
};

struct FreshModel {
  ModelToWrite model;  // yields each tensor when it is asked for
  int64_t parameters = 0;
  int64_t embedding_parameters = 0;  // of them in the embedding and, unless tied, the head
};

// Weights are drawn as transformers' LlamaForCausalLM does: matrices from a normal distribution of
// mean 0, norms 1. The same numbers for the same seed and sizes, whatever the number of threads.
// `pool` must outlive the model. Errors: kUsage for sizes that do not fit together, those of
// open_tokenizer_source().
Result<FreshModel> fresh_model(const FreshModelOptions& options, ThreadPool& pool);

// How many tokens a model of this size learns best from for the computation spent: 20 for each
// parameter (Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models").
inline int64_t suitable_tokens(int64_t parameters) { return 20 * parameters; }

}  // namespace sllm
