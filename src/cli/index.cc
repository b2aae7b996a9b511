// sllm index: documents of a folder into one searchable file, brought up to date when run again.
#include <iostream>

#include "cli/command.h"
#include "ground/index.h"

namespace sllm::cli {

Action declare_index(CLI::App& app, const Globals& globals) {
  struct Options {
    fs::path folder, out;
    ChunkOptions chunks;
  };
  auto o = std::make_shared<Options>();
  app.add_option("folder", o->folder, "Documents: .md .html .txt, in any depth")->required();
  app.add_option("-o,--out", o->out, "The index file; made or brought up to date")->required();
  app.add_option("--chunk", o->chunks.target_characters, "Characters of a passage")
      ->capture_default_str();
  app.add_option("--chunk-max", o->chunks.max_characters, "A longer paragraph is cut")
      ->capture_default_str();
  return [o, &globals]() -> Status {
    o->chunks.max_characters = std::max(o->chunks.max_characters, o->chunks.target_characters);
    if (globals.dry_run) {
      if (globals.json)
        print_json("index", {{"folder", o->folder.string()}, {"index", o->out.string()}});
      else
        std::cout << fmt::format("would index {} into {}\n", o->folder.string(), o->out.string());
      return ok();
    }
    SLLM_TRY(const IndexUpdate u,
             Index::update(o->out, o->folder, o->chunks, progress_sink(globals)));
    for (const std::string& reason : u.skipped_reasons)
      log(LogLevel::kWarning, "left out: " + reason);
    if (globals.json) {
      print_json("index", {{"documents", u.documents},
                           {"added", u.added},
                           {"changed", u.changed},
                           {"removed", u.removed},
                           {"unchanged", u.unchanged},
                           {"skipped", u.skipped_reasons},
                           {"chunks", u.chunks},
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
