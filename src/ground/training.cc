// Questions and answers into grounded conversations.
#include "ground/training.h"

#include <algorithm>
#include <optional>

#include "base/rng.h"
#include "data/clean.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
using Hits = std::vector<SearchHit>;

constexpr size_t kSearched = 20;  // how deep the source is looked for

std::string column(const Example& row, const char* name) {
  if (!row.extra.is_object()) return {};
  const auto it = row.extra.find(name);
  return it != row.extra.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool answerable(const Example& row) {
  if (row.extra.is_object())
    if (const auto it = row.extra.find("answerable"); it != row.extra.end() && it->is_boolean())
      return it->get<bool>();
  return !is_refusal(row.answer());
}

// The mark stands inside the sentence, as the prompt's example shows.
std::string marked(std::string_view answer, std::string_view mark) {
  const bool stop = answer.ends_with('.');
  if (stop) answer.remove_suffix(1);
  return fmt::format("{} {}{}", answer, mark, stop ? "." : "");
}

class Grounder {
 public:
  Grounder(const Index& index, const GroundTrainingOptions& options, GroundTrainingSummary& summary)
      : index_(index), options_(options), summary_(summary) {
    lenient_ = options.ground;
    lenient_.min_coverage = 0;  // whether the search would have been good enough is not asked here
  }

  Status add(const Example& row, Rng rng) {
    if (row.messages.empty()) return drop(row, "not a question with an answer");
    SLLM_TRY(Hits hits, index_.search(row.question(), kSearched));
    if (!answerable(row)) {
      ++summary_.refused;
      refuse(row, std::move(hits), rng);
      return ok();
    }
    if (rng.uniform() < options_.without_source) withhold(row, hits, rng);
    return cite(row, std::move(hits), rng);
  }

  std::vector<Example> take() { return std::move(examples_); }

 private:
  Status drop(const Example& row, std::string why) {
    summary_.dropped.push_back({row.source, std::move(why), {}});
    return ok();
  }

  void emit(const Example& row, GroundedPrompt prompt, std::string answer) {
    Example example;
    example.messages = std::move(prompt.messages);
    example.messages.push_back({"assistant", std::move(answer), {}});
    example.source = row.source;
    examples_.push_back(std::move(example));
  }

  void order(Hits& hits, Rng& rng) const {
    if (hits.size() > options_.ground.passages) hits.resize(options_.ground.passages);
    if (rng.uniform() < options_.shuffled) shuffle(hits, rng);
  }

  void refuse(const Example& row, Hits hits, Rng& rng) {
    order(hits, rng);
    GroundedPrompt prompt = ground_prompt(row.question(), std::move(hits), options_.ground);
    std::string answer = refusal(prompt.korean);
    emit(row, std::move(prompt), std::move(answer));
  }

  // The second, unanswerable life of a row. Passages in another language may be translations of
  // the source and are left out too.
  void withhold(const Example& row, const Hits& hits, Rng& rng) {
    const std::string quote = column(row, "quote"), language = language_of(row.question());
    Hits others;
    for (const SearchHit& hit : hits) {
      const bool source = !quote.empty() && hit.chunk.text.find(quote) != std::string::npos;
      const bool supports =
          check_reply(ground_prompt(row.question(), {hit}, lenient_), row.answer(), lenient_).known;
      if (!source && !supports && language_of(hit.chunk.text) == language) others.push_back(hit);
    }
    if (others.empty()) return;
    ++summary_.withheld;
    refuse(row, std::move(others), rng);
  }

  Status cite(const Example& row, Hits hits, Rng& rng) {
    const std::string quote = column(row, "quote");
    if (quote.empty()) return cite_best(row, std::move(hits), rng);
    const auto holds = [&](const SearchHit& hit) {
      return hit.chunk.text.find(quote) != std::string::npos;
    };
    std::optional<SearchHit> source;
    if (const auto it = std::ranges::find_if(hits, holds); it != hits.end()) {
      source = *it;
    } else {
      SLLM_TRY(const Hits quoted, index_.search(quote, kSearched));
      const auto found = std::ranges::find_if(quoted, holds);
      if (found == quoted.end()) return drop(row, "no passage holds the quote");
      source = *found;
    }
    const size_t last = std::min(hits.size(), options_.ground.passages);
    if (std::none_of(hits.begin(), hits.begin() + static_cast<ptrdiff_t>(last), holds)) {
      ++summary_.placed;
      hits.resize(std::min(last, options_.ground.passages - 1));
      hits.push_back(*source);
    }
    order(hits, rng);
    GroundedPrompt prompt = ground_prompt(row.question(), hits, options_.ground);
    if (prompt.messages.back().content.find(quote) == std::string::npos) {
      // The prompt's length cut it off: the first passage is never cut.
      std::ranges::stable_partition(hits, holds);
      prompt = ground_prompt(row.question(), std::move(hits), options_.ground);
    }
    const auto at = std::ranges::find_if(prompt.passages, holds);
    const auto number = at - prompt.passages.begin() + 1;
    ++summary_.cited;
    emit(row, std::move(prompt), marked(row.answer(), fmt::format("[{}]", number)));
    return ok();
  }

  Status cite_best(const Example& row, Hits hits, Rng& rng) {
    order(hits, rng);
    GroundedPrompt prompt = ground_prompt(row.question(), std::move(hits), lenient_);
    const GroundedAnswer answer = check_reply(prompt, row.answer(), lenient_);
    if (!answer.known) return drop(row, "no passage supports the answer");
    ++summary_.cited;
    std::string mark;
    for (const Citation& c : answer.citations) mark += fmt::format("[{}]", c.number);
    emit(row, std::move(prompt), marked(row.answer(), mark));
    return ok();
  }

  const Index& index_;
  const GroundTrainingOptions& options_;
  GroundOptions lenient_;
  GroundTrainingSummary& summary_;
  std::vector<Example> examples_;
};

Status append_dropped(const fs::path& file, const std::vector<DroppedRow>& rows) {
  if (rows.empty()) return ok();
  std::error_code error;
  std::string text;
  if (fs::exists(file, error)) {
    SLLM_TRY(text, read_file(file));
  }
  for (const DroppedRow& row : rows)
    text += Json{{"source", row.source}, {"reason", row.reason}}.dump(
                -1, ' ', false, Json::error_handler_t::replace) +
            "\n";
  return write_file_atomically(file, text);
}

}  // namespace

Json GroundTrainingSummary::to_json() const {
  return {{"cited", cited},
          {"refused", refused},
          {"withheld", withheld},
          {"placed", placed},
          {"dropped", dropped.size()}};
}

Result<std::vector<Example>> grounded_examples(const Index& index, const std::vector<Example>& rows,
                                               const GroundTrainingOptions& options,
                                               GroundTrainingSummary& summary) {
  if (options.ground.passages == 0) return usage_error("passages is 0; expected at least 1");
  Grounder grounder(index, options, summary);
  for (size_t i = 0; i < rows.size(); ++i) SLLM_OK(grounder.add(rows[i], Rng(options.seed, i)));
  return grounder.take();
}

Result<GroundTrainingSummary> ground_data(const Index& index, const fs::path& folder,
                                          const GroundTrainingOptions& options) {
  GroundTrainingSummary summary;
  for (const char* name : {"train.jsonl", "eval.jsonl"}) {
    const fs::path file = folder / name;
    std::error_code error;
    if (!fs::exists(file, error) || fs::file_size(file, error) == 0) continue;
    SLLM_TRY(const std::vector<Example> rows, read_examples(file));
    SLLM_TRY(const std::vector<Example> grounded, grounded_examples(index, rows, options, summary));
    SLLM_OK(write_examples(file, grounded));
  }
  if (summary.cited + summary.refused == 0)
    return bad_input("{}: no row is supported by the index", folder.string());
  SLLM_OK(append_dropped(folder / "dropped.jsonl", summary.dropped));
  return summary;
}

}  // namespace sllm
