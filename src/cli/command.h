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

// Flags that every command has.
struct Globals {
  bool json = false;  // one JSON document with "schema_version" on stdout instead of prose
  bool quiet = false;
  bool verbose = false;
  bool dry_run = false;
  bool yes = false;  // never ask
};

// Declares the command's flags on `app` and stores what to run into `run`.
using Action = std::function<Status()>;
struct Command {
  const char* name;
  const char* group;    // "Purpose", "Build", "Evaluate", "Deploy", "Look inside"
  const char* summary;  // one line
  Action (*declare)(CLI::App& app, const Globals& globals);
};

// Progress line on stderr: redrawn on a terminal, one line per 10 s off it; silent with --quiet.
ProgressSink progress_sink(const Globals& globals);
// Prints one JSON document to stdout, adding "schema_version": 1 and "command".
void print_json(const std::string& command, nlohmann::ordered_json document);

}  // namespace sllm::cli
