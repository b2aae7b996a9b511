// sllm tokenize: text to token ids and back, as Hugging Face's tokenizer of the model does it.
#include <iostream>

#include "cli/commands.h"
#include "io/tokenizer_files.h"
#include "text/tokenizer.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string model;
  bool no_special = false, plain = false, decode = false, lines = false;
};

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const fs::path& path) {
  SLLM_TRY(const TokenizerSource source, open_tokenizer_source(path));
  return Tokenizer::load(source).context(path.string());
}

Status run(const Flags& flags) {
  SLLM_TRY(const auto tokenizer, open_tokenizer(flags.model));
  const std::string input = read_input();
  SLLM_OK(check_stop());
  const EncodeOptions options{.add_special = !flags.no_special, .parse_special = !flags.plain};
  if (flags.decode) {
    const auto ids = nlohmann::json::parse(input, nullptr, false);
    if (!ids.is_array()) return bad_input("standard input: expected a JSON array of token ids");
    std::vector<TokenId> tokens;
    for (const auto& id : ids) {
      if (!id.is_number_integer() || id < 0 || id >= tokenizer->vocab_size())
        return bad_input("standard input: {} is not a token id below {}", id.dump(),
                         tokenizer->vocab_size());
      tokens.push_back(id);
    }
    std::cout << tokenizer->decode(tokens);
  } else if (flags.lines) {
    const auto texts = nlohmann::json::parse(input, nullptr, false);
    if (!texts.is_array()) return bad_input("standard input: expected a JSON array of strings");
    auto all = nlohmann::json::array();
    for (const auto& text : texts) {
      if (!text.is_string()) return bad_input("standard input: {} is not a string", text.dump());
      all.push_back(tokenizer->encode(text.get_ref<const std::string&>(), options));
    }
    std::cout << all.dump() << std::endl;
  } else {
    std::cout << nlohmann::json(tokenizer->encode(input, options)).dump() << std::endl;
  }
  return ok();
}

}  // namespace

Action declare_tokenize(CLI::App& app, const Globals&) {
  auto flags = std::make_shared<Flags>();
  app.add_option(
         "-m,--model", flags->model,
         "A GGUF file, a Hugging Face folder, or a tokenizer.json, tokenizer.model, tekken.json, "
         "vocab.json, vocab.txt or .tiktoken file")
      ->required();
  app.add_flag("--no-special", flags->no_special, "Add no tokens around the text (BOS)");
  app.add_flag("--plain", flags->plain, "Read special tokens' texts as plain text");
  app.add_flag("--many", flags->lines, "Standard input is a JSON array of strings");
  app.add_flag("--decode", flags->decode, "Standard input is a JSON array of ids: print the text");
  app.footer(
      "Reads standard input, prints one JSON array of ids.\n"
      "  echo -n 'Hello' | sllm tokenize -m model.gguf");
  return [flags] { return run(*flags); };
}

}  // namespace sllm::cli
