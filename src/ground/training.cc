// Questions and answers into grounded conversations.
#include "ground/training.h"

#include <algorithm>
#include <numeric>

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

// A row and where its answer stands.
struct Question {
  const Example* row;
  std::string language, quote;
  bool answerable = true;
  Hits hits;                     // of retrieval, best first
  std::vector<int64_t> holders;  // chunks that hold the answer
  bool asked = false;

  bool held_by(const SearchHit& hit) const {
    return std::ranges::find(holders, hit.chunk.id) != holders.end();
  }
};

class Grounder {
 public:
  Grounder(const Index& index, const GroundTrainingOptions& options, GroundTrainingSummary& summary)
      : index_(index), options_(options), summary_(summary), rng_(options.seed) {
    lenient_ = options.ground;
    lenient_.min_coverage = 0;  // whether the search would have been good enough is not asked here
  }

  Status add(const Example& row) {
    if (row.messages.empty()) return drop(row, "not a question with an answer");
    Question q{.row = &row, .language = language_of(row.question()), .quote = column(row, "quote")};
    q.answerable = answerable(row);
    SLLM_TRY(q.hits, index_.search(row.question(), kSearched, KnownQuestions::kIgnore));
    if (q.answerable) {
      SLLM_OK(q.quote.empty() ? find_support(q) : find_quote(q));
      if (q.holders.empty())
        return drop(
            row, q.quote.empty() ? "no passage supports the answer" : "no passage holds the quote");
    }
    questions_.push_back(std::move(q));
    return ok();
  }

  std::vector<Example> conversations() {
    std::vector<size_t> order(questions_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    shuffle(order, rng_);
    std::vector<Example> examples;
    for (const size_t i : order)
      if (!questions_[i].asked) examples.push_back(converse(questions_[i]));
    summary_.conversations += examples.size();
    return examples;
  }

 private:
  Status drop(const Example& row, std::string why) {
    summary_.dropped.push_back({row.source, std::move(why), {}});
    return ok();
  }

  bool supports(const SearchHit& hit, const Example& row) const {
    const GroundedPrompt prompt = ground_prompt(row.question(), {hit}, lenient_);
    return check_reply(prompt, row.answer(), lenient_).known;
  }

  // The retrieved passages that support the answer, the one that does so best in front.
  Status find_support(Question& q) const {
    std::vector<std::pair<double, int64_t>> found;
    for (size_t i = 0; i < std::min(q.hits.size(), options_.ground.passages); ++i) {
      const GroundedPrompt prompt = ground_prompt(q.row->question(), {q.hits[i]}, lenient_);
      const GroundedAnswer answer = check_reply(prompt, q.row->answer(), lenient_);
      if (answer.known) found.emplace_back(answer.support, q.hits[i].chunk.id);
    }
    std::ranges::stable_sort(found, std::greater{}, &std::pair<double, int64_t>::first);
    for (const auto& [support, id] : found) q.holders.push_back(id);
    return ok();
  }

  Status find_quote(Question& q) const {
    SLLM_TRY(const Hits quoted, index_.search(q.quote, kSearched, KnownQuestions::kIgnore));
    const auto take = [&](const Hits& hits) {
      for (const SearchHit& hit : hits)
        if (hit.chunk.text.find(q.quote) != std::string::npos && !q.held_by(hit))
          q.holders.push_back(hit.chunk.id);
    };
    take(q.hits), take(quoted);
    if (std::ranges::none_of(q.hits, [&](const SearchHit& hit) { return q.held_by(hit); }))
      for (const SearchHit& hit : quoted)
        if (q.held_by(hit)) q.hits.push_back(hit);
    return ok();
  }

  // The first question with what retrieval finds for it; its source takes the last place where
  // retrieval missed it.
  GroundedPrompt open(const Question& q) {
    const auto holds = [&](const SearchHit& hit) { return q.held_by(hit); };
    Hits hits = q.hits;
    if (hits.size() > options_.ground.passages) hits.resize(options_.ground.passages);
    if (q.answerable && std::ranges::none_of(hits, holds)) {
      ++summary_.placed;
      hits.back() = *std::ranges::find_if(q.hits, holds);
    }
    if (rng_.uniform() < options_.shuffled) shuffle(hits, rng_);
    GroundedPrompt prompt = ground_prompt(q.row->question(), hits, options_.ground);
    if (q.answerable && number_of(q, prompt) == 0) {
      // The prompt's length cut it off: the first passage is never cut.
      std::ranges::stable_partition(hits, holds);
      prompt = ground_prompt(q.row->question(), std::move(hits), options_.ground);
    }
    return prompt;
  }

  // Number of the passage that holds the answer; 0 where none does.
  static size_t number_of(const Question& q, const GroundedPrompt& prompt) {
    if (prompt.messages[1].content.find(q.quote) == std::string::npos) return 0;
    for (const int64_t id : q.holders)
      for (size_t i = 0; i < prompt.passages.size(); ++i)
        if (prompt.passages[i].chunk.id == id) return i + 1;
    return 0;
  }

  Example converse(Question& first) {
    const GroundedPrompt prompt = open(first);
    Example example;
    example.source = first.row->source;
    example.messages = prompt.messages;
    answer(first, prompt, example);
    std::vector<Question*> here;
    for (Question& q : questions_)
      if (!q.asked && q.answerable && q.language == first.language && number_of(q, prompt) > 0)
        here.push_back(&q);
    shuffle(here, rng_);
    std::vector<const Question*> asked = {&first};
    for (int64_t i = 1; i < options_.questions && !here.empty(); ++i) {
      Question* next = nullptr;
      if (rng_.uniform() < options_.refused) {
        next = unanswered(asked, prompt);
      } else {
        next = here.back();
        here.pop_back();
      }
      if (!next) continue;
      asked.push_back(next);
      example.messages.push_back({"user", question_line(next->row->question()), {}});
      answer(*next, prompt, example);
    }
    return example;
  }

  void answer(Question& q, const GroundedPrompt& prompt, Example& example) {
    const size_t number = number_of(q, prompt);
    std::string text = number > 0 ? marked(q.row->answer(), fmt::format("[{}]", number))
                                  : refusal(q.language == "ko");
    example.messages.push_back({"assistant", std::move(text), {}});
    if (number > 0 || !q.answerable) q.asked = true;
    ++(number > 0 ? summary_.cited : q.answerable ? summary_.withheld : summary_.refused);
  }

  // A question in the same language that these passages do not answer, those that no passage
  // answers twice as often; nullptr when a few tries find none. Passages in another language may be
  // translations of a source, so a question that any passage might answer is not taken.
  Question* unanswered(const std::vector<const Question*>& asked, const GroundedPrompt& prompt) {
    constexpr int kTries = 32;
    const bool nowhere = rng_.below(3) > 0;
    for (int i = 0; i < kTries; ++i) {
      Question& q = questions_[rng_.below(questions_.size())];
      if (q.language != asked[0]->language || std::ranges::find(asked, &q) != asked.end()) continue;
      if (q.answerable == nowhere && i < kTries / 2) continue;
      if (q.answerable && std::ranges::any_of(prompt.passages, [&](const SearchHit& hit) {
            return q.held_by(hit) || supports(hit, *q.row);
          }))
        continue;
      return &q;
    }
    return nullptr;
  }

  const Index& index_;
  const GroundTrainingOptions& options_;
  GroundOptions lenient_;
  GroundTrainingSummary& summary_;
  Rng rng_;
  std::vector<Question> questions_;
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
  return {{"conversations", conversations}, {"cited", cited},   {"refused", refused},
          {"withheld", withheld},           {"placed", placed}, {"dropped", dropped.size()}};
}

Result<std::vector<Example>> grounded_examples(const Index& index, const std::vector<Example>& rows,
                                               const GroundTrainingOptions& options,
                                               GroundTrainingSummary& summary) {
  if (options.ground.passages == 0) return usage_error("passages is 0; expected at least 1");
  Grounder grounder(index, options, summary);
  for (const Example& row : rows) SLLM_OK(grounder.add(row));
  return grounder.conversations();
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

std::vector<KnownQuestion> known_questions(const std::vector<Example>& rows) {
  std::vector<KnownQuestion> known;
  for (const Example& row : rows) {
    if (row.messages.empty() || !answerable(row)) continue;
    std::string evidence = column(row, "quote");
    if (evidence.empty()) evidence = row.answer();
    known.push_back({std::string(row.question()), std::move(evidence)});
  }
  return known;
}

}  // namespace sllm
