// The token ids that llama.cpp finds with a file's vocabulary: llama_tokens MODEL.gguf reads texts
// that end in a zero byte from standard input and prints the ids of each on a line of its own.
// Built by setup.sh against llama.cpp's libraries.
#include <llama.h>

#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: llama_tokens MODEL.gguf <texts\n"), 2;
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  llama_model* model = llama_model_load_from_file(argv[1], params);
  if (!model) return std::fprintf(stderr, "%s: llama.cpp does not load it\n", argv[1]), 1;
  const llama_vocab* vocabulary = llama_model_get_vocab(model);
  std::string text;
  for (int c; (c = std::getchar()) != EOF;) {
    if (c != 0) {
      text += static_cast<char>(c);
      continue;
    }
    std::vector<llama_token> ids(text.size() + 16);
    const int count = llama_tokenize(vocabulary, text.data(), static_cast<int32_t>(text.size()),
                                     ids.data(), static_cast<int32_t>(ids.size()),
                                     /*add_special=*/false, /*parse_special=*/false);
    if (count < 0) return std::fprintf(stderr, "llama_tokenize wants %d ids\n", -count), 1;
    for (int i = 0; i < count; ++i) std::printf(i ? " %d" : "%d", ids[i]);
    std::printf("\n");
    text.clear();
  }
  llama_model_free(model);
}
