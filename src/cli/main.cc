// The program: parses the command line, runs one command, and turns errors into a sentence and an
// exit code. The only try/catch and the only exit live here.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/printed_json.h"
#include "ranks/mpi.h"

namespace sllm::cli {
namespace {

// A second signal ends at once, unless it comes with the first: timeout(1) sends to the process and
// to its group.
void on_signal(int signal) {
  static std::atomic<int64_t> first_ms{0};  // lock-free, so a handler may use it
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t ms = int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
  if (!stop_requested())
    first_ms = ms;
  else if (ms - first_ms > 100)
    std::_Exit(128 + signal);
  request_stop(signal);
}

// A mapped file's page is gone: somebody truncated or replaced the file, or its disk failed. The
// page cannot be had any more, so the process ends; what it was writing had a temporary name.
void on_lost_page(int) {
  static constexpr char kSentence[] =
      "sllm: a file changed or became unreadable while it was in use\n"
      "      (a model file was truncated or overwritten, or its disk failed).\n"
      "      Run the command again with the whole file in place\n";
  [[maybe_unused]] const ssize_t written = ::write(2, kSentence, sizeof kSentence - 1);
  std::_Exit(static_cast<int>(ErrorCode::kBadInput));
}

void set_up_logging(const Globals& globals) {
  auto logger = spdlog::stderr_color_mt("sllm");
  logger->set_pattern("%^%l%$: %v");
  logger->set_level(globals.quiet     ? spdlog::level::err
                    : globals.verbose ? spdlog::level::debug
                                      : spdlog::level::info);
  set_log_sink([logger](LogLevel level, std::string_view message) {
    static constexpr spdlog::level::level_enum kLevels[] = {
        spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    logger->log(kLevels[static_cast<int>(level)], "{}", message);
  });
}

int report(const Error& error, const Globals& globals, bool own = false) {
  if (!own && is_one_of_others())  // their errors are one, which the first says
    return static_cast<int>(error.code);
  if (globals.json && !printed_json())  // one document; it says itself what was missed
    print_json("error", {{"error",
                          {{"code", static_cast<int>(error.code)},
                           {"message", error.message},
                           {"hint", error.hint}}}});
  std::cerr << "sllm: " << error.message << '\n';
  if (!error.hint.empty()) std::cerr << "      " << error.hint << '\n';
  return static_cast<int>(error.code);
}

// "did you mean": the command with the smallest edit distance, if it is near.
std::string nearest_command(const std::string& word) {
  std::string best;
  size_t best_distance = 3;
  for (const Command& c : commands()) {
    const std::string name = c.name;
    std::vector<size_t> row(name.size() + 1);
    for (size_t j = 0; j <= name.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= name.size(); ++j) {
        const size_t cost = diagonal + (word[i - 1] != name[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, cost});
      }
    }
    if (row.back() < best_distance) best_distance = row.back(), best = name;
  }
  return best;
}

// A word that is not understood explains more than what is missing because of it, which is all that
// CLI11 says.
Error parse_error(CLI::App& app, const CLI::ParseError& e, const std::string& word) {
  const auto named = std::ranges::find(commands(), word, &Command::name);
  if (named == commands().end()) {
    const std::string near = nearest_command(word);
    const std::string hint =
        near.empty() ? "Try: sllm --help" : fmt::format("Did you mean: sllm {}?", near);
    if (word.empty()) return with_hint(usage_error("a command is needed"), hint);
    return with_hint(
        usage_error("there is no {} \"{}\"", word[0] == '-' ? "flag" : "command", word), hint);
  }
  CLI::App* command = app.get_subcommand(word);
  std::string name = word;
  for (const CLI::App* inner : command->get_subcommands()) name += " " + inner->get_name();
  const std::string hint = fmt::format("Try: sllm {} --help", name);
  for (const std::string& rest : command->remaining(true))
    if (rest.starts_with('-') && rest.size() > 1)
      return with_hint(usage_error("sllm {} has no flag {}", name, rest), hint);
  return with_hint(usage_error("{}", e.what()), hint);
}

int run(int argc, char** argv) {
  CLI::App app{"sllm: build, prove and run small language models on the machine you have.", "sllm"};
  app.set_version_flag("--version", SLLM_VERSION);
  app.require_subcommand(1);
  Globals globals;
  std::map<const CLI::App*, Action> actions;
  for (const Command& c : commands()) {
    CLI::App* sub = app.add_subcommand(c.name, c.summary)->group(c.group);
    sub->add_flag("-q,--quiet", globals.quiet, "No progress, only errors");
    sub->add_flag("-v,--verbose", globals.verbose, "Say more");
    if (c.supports & kJson) sub->add_flag("--json", globals.json, "Print one JSON document");
    if (c.supports & kDryRun)
      sub->add_flag("--dry-run", globals.dry_run, "Say what would be done, do nothing");
    if (c.supports & kYes) sub->add_flag("-y,--yes", globals.yes, "Do not ask");
    actions[sub] = c.declare(*sub, globals);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    return report(parse_error(app, e, argc > 1 ? argv[1] : ""), globals);
  }
  set_up_logging(globals);
  if (const std::string name = app.get_subcommands().front()->get_name();
      launched_ranks() > 1 && name != "tune") {
    if (!launched_first()) return static_cast<int>(ErrorCode::kUsage);
    return report(with_hint(usage_error("sllm {} is the work of one process, and {} were started",
                                        name, launched_ranks()),
                            "Run it without mpirun; sllm tune shares its work among ranks"),
                  globals);
  }
  const Status status = actions.at(app.get_subcommands().front())();
  if (status.ok()) return 0;
  return report(status.error(), globals);
}

}  // namespace
}  // namespace sllm::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = sllm::cli::on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = sllm::cli::on_lost_page;
  sigaction(SIGBUS, &action, nullptr);
  try {
    return sllm::cli::run(argc, argv);
  } catch (const sllm::ResultError& e) {
    return sllm::cli::report(e.error, {}, /*own=*/true);
  } catch (const std::bad_alloc&) {
    std::cerr << "sllm: not enough memory. Try a smaller model, context or batch\n";
    return 4;
  } catch (const std::exception& e) {
    std::cerr << "sllm: internal error: " << e.what()
              << "\n      This is a bug; please report it\n";
    return 1;
  }
}
