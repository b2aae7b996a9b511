// sllm chat: a conversation in the terminal.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/model_flags.h"

namespace sllm::cli {
namespace {

struct Flags {
  ModelFlags model;
  SamplingOptions sampling;
  std::string system;
  int64_t max_tokens = 1024;
};

constexpr const char* kHelp =
    "  /reset          forget the conversation\n"
    "  /system TEXT    set the system message and start again\n"
    "  /help           this list\n"
    "  /exit           leave (Ctrl-D too)\n"
    "  Alt-Enter starts a new line, a paste of many lines is one message, Ctrl-C stops an "
    "answer.\n";

class Chat {
 public:
  Chat(const Flags& flags, const Globals& globals, std::shared_ptr<Engine> engine)
      : flags_(flags),
        quiet_(globals.quiet),
        terminal_(::isatty(STDIN_FILENO) == 1),
        engine_(std::move(engine)) {
    reset(flags.system);
  }

  Status run() {
    if (!quiet_)
      std::cerr << fmt::format("{}: context {} tokens, {}. /help lists the commands.\n",
                               flags_.model.model, engine_->options().context, flags_.model.mode);
    for (;;) {
      const LineEditor::Input input = editor_.read("> ");
      SLLM_OK(check_stop());
      if (input.end == LineEditor::End::kEndOfInput) return ok();
      if (input.end == LineEditor::End::kInterrupt) {
        std::cerr << "(/exit or Ctrl-D leaves)\n";
        continue;
      }
      if (input.text.find_first_not_of(" \t\n") == std::string::npos) continue;
      if (input.text[0] == '/') {
        if (!command(input.text)) return ok();
        continue;
      }
      SLLM_OK(answer(input.text));
      SLLM_OK(check_stop());
    }
  }

 private:
  void reset(const std::string& system) {
    messages_.clear();
    if (!system.empty()) messages_.push_back({"system", system, {}});
  }

  bool command(const std::string& text) {
    const std::string name = text.substr(0, text.find(' '));
    const std::string rest = name.size() < text.size() ? text.substr(name.size() + 1) : "";
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/reset") {
      const bool has_system = !messages_.empty() && messages_[0].role == "system";
      reset(has_system ? std::string(messages_[0].content) : "");
      std::cerr << "(forgotten)\n";
    } else if (name == "/system") {
      reset(rest);
      std::cerr << "(the conversation starts again)\n";
    } else {
      if (name != "/help") std::cerr << "Unknown command " << name << "\n";
      std::cerr << kHelp;
    }
    return true;
  }

  Status answer(const std::string& text) {
    messages_.push_back({"user", text, {}});
    GenerateRequest request;
    request.sampling = flags_.sampling;
    request.max_tokens = flags_.max_tokens;
    RenderOptions render;
    render.add_generation_prompt = true;
    SLLM_TRY(auto encoded, encode_conversation(*engine_->chat_template(), *engine_->tokenizer(),
                                               messages_, render));
    // The oldest exchange is forgotten when the conversation outgrows the context.
    while (static_cast<int64_t>(encoded.ids.size()) + 64 > engine_->options().context &&
           forget_oldest()) {
      SLLM_TRY(encoded, encode_conversation(*engine_->chat_template(), *engine_->tokenizer(),
                                            messages_, render));
    }
    request.prompt = std::move(encoded.ids);
    const auto result = stream(*engine_, std::move(request),
                               [](std::string_view piece) { std::cout << piece << std::flush; });
    std::cout << std::endl;
    if (!result.ok()) {  // one answer failed, the conversation goes on
      std::cerr << "sllm: " << result.error().to_string() << "\n";
      messages_.pop_back();
      return ok();
    }
    if (terminal_ && stop_requested() == SIGINT) clear_stop();  // Ctrl-C ends the answer alone
    messages_.push_back({"assistant", result->text, {}});
    const double writing = result->seconds - result->seconds_to_first;
    if (!quiet_ && terminal_)
      std::cerr << fmt::format(
          "({} tokens, {:.1f}/s, first after {:.1f} s{})\n", result->tokens.size(),
          writing > 0 ? (static_cast<double>(result->tokens.size()) - 1) / writing : 0,
          result->seconds_to_first, result->reason == FinishReason::kCancelled ? ", stopped" : "");
    return ok();
  }

  bool forget_oldest() {
    const size_t first = !messages_.empty() && messages_[0].role == "system" ? 1 : 0;
    if (messages_.size() < first + 3) return false;
    messages_.erase(messages_.begin() + static_cast<long>(first),
                    messages_.begin() + static_cast<long>(first) + 2);
    return true;
  }

  const Flags& flags_;
  bool quiet_, terminal_;
  std::shared_ptr<Engine> engine_;
  Conversation messages_;
  LineEditor editor_;
};

}  // namespace

Action declare_chat(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  flags->sampling.temperature = 0.7f;
  flags->sampling.top_p = 0.95f;
  add_model_flags(app, flags->model);
  add_sampling_flags(app, flags->sampling);
  app.add_option("-s,--system", flags->system, "System message");
  app.add_option("-n,--max-tokens", flags->max_tokens, "Most tokens of one answer")
      ->check(positive())
      ->capture_default_str();
  return [flags, &globals]() -> Status {
    EngineOptions options;
    options.max_sequences = 1;
    SLLM_TRY(auto engine, open_engine(flags->model, options));
    return Chat(*flags, globals, std::move(engine)).run();
  };
}

}  // namespace sllm::cli
