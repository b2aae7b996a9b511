// sllm template: renders a chat template, a model's own or a file, and shows the exact text.
#include <iostream>

#include "base/file.h"
#include "cli/commands.h"
#include "io/model_source.h"
#include "models/registry.h"
#include "text/chat_template.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string model, messages, tools, documents, variables, bos, eos;
  bool prompt = false, resume = false;
  std::optional<int64_t> now;
};

Result<nlohmann::ordered_json> read_json(const std::string& path) {
  SLLM_TRY(const std::string text, read_file(path));
  auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) return bad_input("{}: not JSON", path);
  return json;
}

Status read_array(const std::string& path, nlohmann::ordered_json& into) {
  if (path.empty()) return ok();
  SLLM_TRY(into, read_json(path));
  if (!into.is_array()) return bad_input("{}: expected an array", path);
  return ok();
}

// [[begin, end], ...] of the bytes that are marked.
nlohmann::ordered_json ranges_of(const std::vector<uint8_t>& marks) {
  auto ranges = nlohmann::ordered_json::array();
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i] && (i == 0 || !marks[i - 1]))
      ranges.push_back({i, i + 1});
    else if (marks[i])
      ranges.back()[1] = i + 1;
  return ranges;
}

Status run(const Flags& flags, const Globals& globals) {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;
  if (flags.model.ends_with(".jinja")) {
    SLLM_TRY(std::string source, read_file(flags.model));
    SLLM_TRY(chat_template,
             ChatTemplate::parse(std::move(source), flags.bos, flags.eos).context(flags.model));
  } else {
    SLLM_TRY(const auto model, open_model(flags.model));
    SLLM_TRY(tokenizer, Tokenizer::of(*model));
    SLLM_TRY(chat_template, ChatTemplate::of(*model, *tokenizer));
  }
  SLLM_TRY(const auto json, read_json(flags.messages));
  SLLM_TRY(const Conversation messages, conversation_from_json(json).context(flags.messages));
  RenderOptions options;
  options.add_generation_prompt = flags.prompt;
  options.now = flags.now;
  options.continue_final_message = flags.resume;
  if (flags.prompt && flags.resume)
    return usage_error(
        "--continue goes on with the last message, --add-generation-prompt begins "
        "one; give one of them");
  SLLM_OK(read_array(flags.tools, options.tools));
  SLLM_OK(read_array(flags.documents, options.documents));
  if (!flags.variables.empty()) {
    SLLM_TRY(options.kwargs, read_json(flags.variables));
    if (!options.kwargs.is_object()) return bad_input("{}: expected an object", flags.variables);
  }
  SLLM_TRY(const RenderedText rendered,
           chat_template->render(messages, options).context(flags.model));
  if (!globals.json) {
    std::cout << rendered.text << std::flush;
    return ok();
  }
  nlohmann::ordered_json document = {{"text", rendered.text},
                                     {"assistant_bytes", ranges_of(rendered.assistant)}};
  if (tokenizer) {
    SLLM_TRY(const auto encoded,
             encode_conversation(*chat_template, *tokenizer, messages, options));
    document["token_ids"] = encoded.ids;
    document["assistant"] = encoded.assistant;
  }
  print_json("template", document);
  return ok();
}

}  // namespace

Action declare_template(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  app.add_option("-m,--model", flags->model, "A GGUF file, a Hugging Face folder or a .jinja file")
      ->required();
  app.add_option("--messages", flags->messages, "JSON array of messages")->required();
  app.add_option("--tools", flags->tools, "JSON array of tool descriptions");
  app.add_option("--documents", flags->documents, "JSON array of documents");
  app.add_option("--variables", flags->variables,
                 "JSON object of further template variables, as {\"enable_thinking\": false}");
  app.add_flag("--continue", flags->resume,
               "End where the last message ends, for going on with it");
  app.add_flag("--add-generation-prompt", flags->prompt, "End where the assistant begins");
  app.add_option("--bos", flags->bos, "bos_token, for a .jinja file");
  app.add_option("--eos", flags->eos, "eos_token, for a .jinja file");
  app.add_option("--now", flags->now, "Seconds since 1970 for strftime_now");
  app.footer("With --json also the bytes that the assistant speaks; with a model, its tokens.");
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
