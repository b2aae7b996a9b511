// sllm search: the passages of an index that fit a question, without a model.
#include <iostream>

#include "cli/command.h"
#include "ground/index.h"

namespace sllm::cli {
namespace {

using Json = nlohmann::ordered_json;

Json hit_json(const SearchHit& hit) {
  return {{"id", hit.chunk.id},       {"score", hit.score},
          {"coverage", hit.coverage}, {"document", hit.chunk.document},
          {"title", hit.chunk.title}, {"heading", hit.chunk.heading},
          {"begin", hit.chunk.begin}, {"end", hit.chunk.end},
          {"text", hit.chunk.text}};
}

void print_hits(const std::vector<SearchHit>& hits) {
  if (hits.empty()) std::cout << "Nothing found\n";
  for (size_t i = 0; i < hits.size(); ++i) {
    const Chunk& c = hits[i].chunk;
    std::cout << fmt::format("[{}] {}{}{}  (score {:.1f}, coverage {:.0f} %)\n{}\n\n", i + 1,
                             c.document, c.heading.empty() ? "" : " > ", c.heading, hits[i].score,
                             100 * hits[i].coverage, c.text);
  }
}

}  // namespace

Action declare_search(CLI::App& app, const Globals& globals) {
  struct Options {
    fs::path index;
    std::string query;
    size_t k = 5;
  };
  auto o = std::make_shared<Options>();
  app.add_option("query", o->query, "The question; \"-\": one question a line from stdin")
      ->required();
  app.add_option("-i,--index", o->index, "Index file of `sllm index`")->required();
  app.add_option("-k,--count", o->k, "Passages to show")->check(positive())->capture_default_str();
  return [o, &globals]() -> Status {
    if (is_blank(o->query))
      return with_hint(usage_error("the question is empty"),
                       "Write it in quotes, or - to read questions from standard input");
    SLLM_TRY(const auto index, Index::open(o->index));
    const auto one = [&](const std::string& query) -> Status {
      SLLM_TRY(const std::vector<SearchHit> hits, index->search(query, o->k));
      if (!globals.json) {
        print_hits(hits);
        return ok();
      }
      Json list = Json::array();
      for (const SearchHit& hit : hits) list.push_back(hit_json(hit));
      print_json("search", {{"query", query}, {"hits", std::move(list)}});
      return ok();
    };
    if (o->query != "-") return one(o->query);
    for (std::string line; read_line(line);)
      if (!is_blank(line)) SLLM_OK(one(line));
    return check_stop();
  };
}

}  // namespace sllm::cli
