// sllm data: files of examples to clean, split training data, and what happened to every row; with
// an index, to conversations over its passages.
#include <iostream>

#include "cli/command.h"
#include "data/dataset.h"
#include "ground/training.h"

namespace sllm::cli {
namespace {

struct Options {
  std::vector<fs::path> inputs;
  fs::path out;
  std::vector<std::string> columns;
  ImportOptions import;
  fs::path index;  // of `sllm index`, or empty
  GroundTrainingOptions ground;
};

Status read_columns(Options& o) {
  for (const std::string& pair : o.columns) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos)
      return usage_error("--column {}: expected NAME=COLUMN, as in question=Frage", pair);
    o.import.read.columns[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return ok();
}

void print_grounded(const GroundTrainingSummary& s) {
  std::cout << fmt::format(
      "Grounded: {} conversations of {} answers with a citation, {} refusals, and {} more where "
      "other passages stand\n",
      s.conversations, s.cited, s.refused, s.withheld);
  if (!s.dropped.empty())
    std::cout << fmt::format("  dropped {:>6}  not supported by the index\n", s.dropped.size());
}

void print_summary(const ImportSummary& s, const fs::path& out) {
  std::cout << fmt::format("{} rows read, {} kept: {} to train, {} to evaluate, {} to test\n",
                           s.read, s.kept, s.train, s.eval, s.test);
  for (const auto& [reason, n] : s.dropped)
    std::cout << fmt::format("  dropped {:>6}  {}\n", n, reason);
  std::cout << fmt::format("Written to {}; dropped.jsonl names every dropped row\n", out.string());
}

}  // namespace

Action declare_data(CLI::App& app, const Globals& globals) {
  auto o = std::make_shared<Options>();
  ImportOptions& i = o->import;
  app.add_option("inputs", o->inputs, "Files or folders: .jsonl .json .csv .tsv .md .html .txt")
      ->required();
  app.add_option("-o,--out", o->out, "Folder for train, eval and test.jsonl")->required();
  app.add_option("--eval", i.eval_fraction, "Share of rows for the evaluation loss")
      ->capture_default_str();
  app.add_option("--test", i.test_fraction, "Share of rows kept for the final test")
      ->capture_default_str();
  app.add_option("--seed", i.seed, "Seed of the split")->capture_default_str();
  app.add_option("--near", i.near_duplicate, "Similarity that makes two rows duplicates; 1: exact")
      ->check(CLI::Range(0.3, 1.0))
      ->capture_default_str();
  app.add_option("--min-characters", i.min_characters, "Shorter answers are dropped");
  app.add_option("--max-characters", i.max_characters, "Longer examples are dropped");
  app.add_option("--held-out", i.held_out, "Files whose questions must not be in the data");
  app.add_option("--system", i.read.system, "System message for conversations without one");
  app.add_option("--column", o->columns, "NAME=COLUMN: how the file names question, answer, ...");
  app.add_option("--skip-bad", i.read.skip_bad, "Malformed rows to leave out before stopping");
  app.add_option("--ground", o->index,
                 "Index file: questions get its passages, answers the citation");
  app.add_option("--passages", o->ground.ground.passages, "Passages in a grounded question")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  app.add_option("--questions", o->ground.questions,
                 "Questions in a grounded conversation over the same passages")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--refused", o->ground.refused,
                 "Share of its further questions that its passages do not answer")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  return [o, &globals]() -> Status {
    SLLM_OK(read_columns(*o));
    if (globals.dry_run) {
      if (globals.json) {
        auto inputs = nlohmann::ordered_json::array();
        for (const fs::path& input : o->inputs) inputs.push_back(input.string());
        print_json("data", {{"inputs", inputs}, {"out", o->out.string()}});
        return ok();
      }
      for (const fs::path& input : o->inputs)
        std::cout << fmt::format("would import {} into {}\n", input.string(), o->out.string());
      return ok();
    }
    std::shared_ptr<Index> index;
    if (!o->index.empty()) {
      SLLM_TRY(index, Index::open(o->index));
    }
    SLLM_TRY(const ImportSummary summary,
             import_data(o->inputs, o->out, o->import, progress_sink(globals)));
    GroundTrainingSummary grounded;
    if (index) {
      o->ground.seed = o->import.seed;
      SLLM_TRY(grounded, ground_data(*index, o->out, o->ground));
    }
    if (globals.json) {
      nlohmann::ordered_json document = summary.to_json();
      if (index) document["grounded"] = grounded.to_json();
      print_json("data", std::move(document));
    } else {
      print_summary(summary, o->out);
      if (index) print_grounded(grounded);
    }
    return ok();
  };
}

}  // namespace sllm::cli
