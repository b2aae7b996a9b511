// What llama.cpp says: logits of every position of a prompt, with an F32 cache and no flash
// attention. Usage: llama_logits MODEL OUT.f32 ID,ID,... [LORA]     OUT: float32 [prompt,
// vocabulary], in order
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

static void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "llama_logits: %s failed\n", what);
  std::exit(1);
}

int main(int argc, char** argv) {
  require(argc == 4 || argc == 5, "reading the command line");
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  std::vector<llama_token> ids;
  std::istringstream list(argv[3]);
  for (std::string id; std::getline(list, id, ',');) ids.push_back(std::atoi(id.c_str()));
  llama_model_params mp = llama_model_default_params();
  mp.use_extra_bufts = false;  // no repacking: an adapter's tensors must lie beside the plain ones
  llama_model* model = llama_model_load_from_file(argv[1], mp);
  require(model, "loading the model");
  llama_context_params cp = llama_context_default_params();
  cp.n_ctx = cp.n_batch = cp.n_ubatch = static_cast<uint32_t>(ids.size());
  cp.n_threads = cp.n_threads_batch = 2;
  cp.type_k = cp.type_v = GGML_TYPE_F32;
  cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context* context = llama_init_from_model(model, cp);
  require(context, "making a context");
  if (argc == 5) {
    llama_adapter_lora* lora = llama_adapter_lora_init(model, argv[4]);
    require(lora, "loading the adapter");
    float scale = 1;
    require(llama_set_adapters_lora(context, &lora, 1, &scale) == 0, "setting the adapter");
  }
  llama_batch batch = llama_batch_init(static_cast<int32_t>(ids.size()), 0, 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    batch.token[i] = ids[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int32_t>(ids.size());
  require(llama_decode(context, batch) == 0, "decoding");
  const auto vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  std::FILE* out = std::fopen(argv[2], "wb");
  require(out, "opening the output");
  for (int32_t i = 0; i < batch.n_tokens; ++i)
    require(
        std::fwrite(llama_get_logits_ith(context, i), sizeof(float), vocabulary, out) == vocabulary,
        "writing");
  std::fclose(out);
}
