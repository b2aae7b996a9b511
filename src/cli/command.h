// A command is one file, src/cli/x.cc, with one row in commands.cc. It declares its flags and
// returns what to run. Only this folder prints or exits: results to stdout, progress and logs to
// stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

#include "base/events.h"
#include "base/result.h"

namespace sllm::cli {

// Flags that mean the same wherever a command has them.
struct Globals {
  bool json = false;  // one JSON document with "schema_version" on stdout instead of prose
  bool quiet = false;
  bool verbose = false;
  bool dry_run = false;
  bool yes = false;  // never ask
};

// Declares the command's flags on `app` and stores what to run into `run`.
using Action = std::function<Status()>;
// Which of the flags in Globals a command has, besides --quiet and --verbose.
enum Supports : unsigned { kNoFlags = 0, kJson = 1, kDryRun = 2, kYes = 4 };
struct Command {
  const char* name;
  const char* group;    // "Purpose", "Build", "Evaluate", "Deploy", "Look inside"
  const char* summary;  // one line
  unsigned supports;    // of Supports
  Action (*declare)(CLI::App& app, const Globals& globals);
};

// Checks of a number's range with sentences for people (CLI11's own print the largest double).
CLI::Validator positive();
CLI::Validator not_negative();
bool is_blank(std::string_view text);  // nothing but white space

// Standard input by lines, and what is left of it. Unlike std::cin's, both end at a stop request:
// look at check_stop() afterwards.
bool read_line(std::string& line);
std::string read_input();
// kInterrupted or kTerminated after a signal.
Status check_stop();

// Progress line on stderr: redrawn on a terminal, one line per 10 s off it; silent with --quiet.
ProgressSink progress_sink(const Globals& globals);
// Prints one JSON document to stdout, adding "schema_version": 1 and "command".
void print_json(const std::string& command, nlohmann::ordered_json document);

}  // namespace sllm::cli
