// The logits that llama.cpp computes with a file, in f32 throughout: llama_logits MODEL.gguf 1,2,3
// [LORA.gguf] prints one line of numbers for each position. Built by setup.sh against llama.cpp's
// libraries.
#include <llama.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4)
    return std::fprintf(stderr, "usage: llama_logits MODEL.gguf 1,2,3 [LORA.gguf]\n"), 2;
  std::vector<llama_token> ids;
  for (char* part = std::strtok(argv[2], ","); part; part = std::strtok(nullptr, ","))
    ids.push_back(std::atoi(part));
  const auto count = static_cast<uint32_t>(ids.size());
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
      },
      nullptr);

  llama_model_params model_params = llama_model_default_params();
  llama_model* model = llama_model_load_from_file(argv[1], model_params);
  if (!model) return std::fprintf(stderr, "%s: llama.cpp does not load it\n", argv[1]), 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = count;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.swa_full = true;
  params.n_threads = params.n_threads_batch = 1;
  llama_context* context = llama_init_from_model(model, params);
  if (!context) return std::fprintf(stderr, "%s: llama.cpp makes no context\n", argv[1]), 1;
  if (argc == 4) {
    llama_adapter_lora* lora = llama_adapter_lora_init(model, argv[3]);
    float scale = 1;
    if (!lora || llama_set_adapters_lora(context, &lora, 1, &scale) != 0)
      return std::fprintf(stderr, "%s: llama.cpp does not take it\n", argv[3]), 1;
  }

  llama_batch batch = llama_batch_init(static_cast<int32_t>(count), 0, 1);
  for (uint32_t i = 0; i < count; ++i) {
    batch.token[i] = ids[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int32_t>(count);
  if (llama_decode(context, batch) != 0) return std::fprintf(stderr, "llama_decode fails\n"), 1;
  const int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (uint32_t i = 0; i < count; ++i) {
    const float* logits = llama_get_logits_ith(context, static_cast<int32_t>(i));
    for (int32_t v = 0; v < vocabulary; ++v) std::printf(v ? " %.9g" : "%.9g", logits[v]);
    std::printf("\n");
  }
  llama_batch_free(batch);
  llama_free(context);
  llama_model_free(model);
}
