// sllm index: documents of a folder into one searchable file, brought up to date when run again.
#include <iostream>

#include "cli/command.h"
#include "data/dataset.h"
#include "ground/index.h"
#include "ground/training.h"

namespace sllm::cli {

namespace {

Result<std::vector<KnownQuestion>> read_questions(const std::vector<fs::path>& files) {
  std::vector<KnownQuestion> known;
  for (const fs::path& file : files) {
    SLLM_TRY(const std::vector<Example> rows, read_examples(file));
    for (KnownQuestion& question : known_questions(rows)) known.push_back(std::move(question));
  }
  return known;
}

}  // namespace

Action declare_index(CLI::App& app, const Globals& globals) {
  struct Options {
    fs::path folder, out;
    std::vector<fs::path> questions;
    ChunkOptions chunks;
  };
  auto o = std::make_shared<Options>();
  app.add_option("folder", o->folder, "Documents: .md .html .txt, in any depth")->required();
  app.add_option("-o,--out", o->out, "The index file; made or brought up to date")->required();
  app.add_option("--chunk", o->chunks.target_characters, "Characters of a passage")
      ->capture_default_str();
  app.add_option("--chunk-max", o->chunks.max_characters, "A longer paragraph is cut")
      ->capture_default_str();
  app.add_option("--questions", o->questions,
                 "Questions with their answers or quotes (JSONL, CSV): one like them finds the "
                 "passage that answers them; kept until given again");
  return [o, &globals]() -> Status {
    o->chunks.max_characters = std::max(o->chunks.max_characters, o->chunks.target_characters);
    if (globals.dry_run) {
      if (globals.json)
        print_json("index", {{"folder", o->folder.string()}, {"index", o->out.string()}});
      else
        std::cout << fmt::format("would index {} into {}\n", o->folder.string(), o->out.string());
      return ok();
    }
    SLLM_TRY(const std::vector<KnownQuestion> questions, read_questions(o->questions));
    SLLM_TRY(const IndexUpdate u,
             Index::update(o->out, o->folder, o->chunks, progress_sink(globals)));
    for (const std::string& reason : u.skipped_reasons)
      log(LogLevel::kWarning, "left out: " + reason);
    LearnedQuestions q;
    if (!o->questions.empty()) {
      SLLM_TRY(q, Index::learn_questions(o->out, questions));
      if (q.unsupported > 0)
        log(LogLevel::kWarning,
            fmt::format("{} questions are of no use: no passage holds their quote or answer",
                        q.unsupported));
    }
    if (globals.json) {
      print_json("index", {{"documents", u.documents},
                           {"added", u.added},
                           {"changed", u.changed},
                           {"removed", u.removed},
                           {"unchanged", u.unchanged},
                           {"skipped", u.skipped_reasons},
                           {"chunks", u.chunks},
                           {"questions", q.learned},
                           {"index", o->out.string()}});
      return ok();
    }
    std::cout << fmt::format(
        "{}: {} documents ({} new, {} changed, {} removed, {} unchanged, {} left out), "
        "{} passages\n",
        o->out.string(), u.documents, u.added, u.changed, u.removed, u.unchanged, u.skipped,
        u.chunks);
    return ok();
  };
}

}  // namespace sllm::cli
