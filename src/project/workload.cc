// Counting rows, tokens and passages.
#include "project/workload.h"

#include <algorithm>
#include <chrono>

#include "compress/recipe.h"
#include "data/augment.h"
#include "ground/answer.h"
#include "ground/training.h"
#include "hub/catalogue.h"
#include "hub/resolve.h"
#include "models/registry.h"
#include "project/evaluate.h"
#include "train/batches.h"

namespace sllm::project {
namespace {

constexpr int64_t kTokensOfMarks = 5;  // around a message, in ChatML and its kin
constexpr int64_t kBytesPerToken = 4;

// A type that makes a file of this many bytes a parameter.
DType type_of_density(double bytes_per_parameter) {
  return bytes_per_parameter > 1.5 ? DType::kBF16
         : bytes_per_parameter > 1 ? DType::kQ8_0
                                   : DType::kQ4_0;
}

Result<KnownModel> model_that_is_here(const fs::path& path) {
  SLLM_TRY(const auto source, open_model(path));
  KnownModel model;
  model.path = path;
  model.config = source->config();
  model.bytes = size_on_disk(path);
  SLLM_TRY(model.tokenizer, Tokenizer::of(*source));
  model.type_of = types_of(*source);
  return model;
}

// A question with its passages in front, whether or not they would do for an answer.
Result<Conversation> grounded(const Index& index, std::string_view question, int64_t passages) {
  GroundOptions options;
  options.passages = static_cast<size_t>(passages);
  options.min_coverage = 0;
  SLLM_TRY(GroundedPrompt prompt, ground_question(index, question, options));
  return std::move(prompt.messages);
}

}  // namespace

int64_t KnownModel::tokens(std::string_view text) const {
  if (tokenizer) return static_cast<int64_t>(tokenizer->encode(text).size());
  return static_cast<int64_t>(text.size()) / kBytesPerToken + 1;
}

int64_t KnownModel::tokens(const Conversation& messages) const {
  int64_t n = 0;
  for (const Message& m : messages) n += tokens(m.content) + kTokensOfMarks;
  return n;
}

Result<KnownModel> known_model(const std::string& name) {
  if (const auto path = resolve_model(name); path.ok()) return model_that_is_here(*path);
  const CatalogueEntry* entry = find_in_catalogue(name);
  if (!entry) return bad_input("{}: its size is not known before it is here", name);
  KnownModel model;
  model.config = shape_of_size(entry->parameters);
  model.bytes = static_cast<int64_t>(entry->megabytes * 1e6);
  const DType type = type_of_density(entry->megabytes / entry->parameters);
  model.type_of = [type](const TensorInfo&) { return type; };
  return model;
}

int64_t memory_while_answering(int64_t bytes) { return bytes + bytes * 15 / 100 + 60'000'000; }

Result<TypeOf> types_of_recipe(const std::string& type, const ModelConfig& config) {
  SLLM_TRY(const Recipe recipe, find_recipe(type));
  return TypeOf([=](const TensorInfo& t) { return type_for(recipe, config, t); });
}

TypeOf types_of_merged() {
  return [](const TensorInfo&) { return DType::kBF16; };
}

Result<SampleIndex> index_sample(const fs::path& documents, const fs::path& folder,
                                 int64_t most_bytes) {
  SampleIndex sample;
  int64_t taken = 0;
  std::error_code error;
  const fs::path part = folder / "documents";
  fs::create_directories(part, error);
  for (const auto& entry : fs::recursive_directory_iterator(documents, error)) {
    if (!entry.is_regular_file(error)) continue;
    const auto size = static_cast<int64_t>(entry.file_size(error));
    ++sample.documents, sample.bytes += size;
    if (taken > 0 && taken + size > most_bytes) continue;
    taken += size;
    fs::copy_file(entry.path(),
                  part / fmt::format("{}-{}", sample.documents, entry.path().filename().string()),
                  error);
  }
  const auto begin = std::chrono::steady_clock::now();
  SLLM_TRY([[maybe_unused]] const IndexUpdate update, Index::update(folder / "index.db", part, {}));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (taken > 0)
    sample.seconds = seconds * static_cast<double>(sample.bytes) / static_cast<double>(taken);
  SLLM_TRY(sample.index, Index::open(folder / "index.db"));
  return sample;
}

Result<std::vector<Example>> tuning_rows(const Project& project, const Index* index,
                                         const fs::path& scratch) {
  std::vector<Example> rows;
  for (const std::string& file : project.data.train) {
    SLLM_TRY(std::vector<Example> part, read_examples(project.path(file)));
    std::ranges::move(part, std::back_inserter(rows));
  }
  if (!project.data.augment.empty()) {
    SLLM_TRY(const PairGrammar grammar, PairGrammar::read(project.path(project.data.augment)));
    SLLM_TRY(const auto pairs, grammar.expand({project.data.augment_count,
                                               static_cast<uint64_t>(project.data.seed)}));
    SLLM_OK(write_file_atomically(scratch / "pairs.jsonl", to_jsonl(pairs)));
    SLLM_TRY(std::vector<Example> part, read_examples(scratch / "pairs.jsonl"));
    std::ranges::move(part, std::back_inserter(rows));
  }
  // The data stage keeps others than the last for the evaluation loss, but as many.
  rows.resize(
      static_cast<size_t>(static_cast<double>(rows.size()) * (1 - project.data.validation)));
  if (!index) return rows;
  GroundTrainingOptions options;
  options.ground.passages = static_cast<size_t>(project.index.passages);
  GroundTrainingSummary summary;
  SLLM_TRY(std::vector<Example> grounded_rows, grounded_examples(*index, rows, options, summary));
  // Where the index holds only a part of the documents, rows are dropped that the whole would keep.
  const size_t dropped = summary.dropped.size();
  if (grounded_rows.empty() || dropped >= rows.size()) return grounded_rows;
  const size_t all = grounded_rows.size() * rows.size() / (rows.size() - dropped);
  for (size_t i = 0; grounded_rows.size() < all; ++i) {
    Example again = grounded_rows[i];
    grounded_rows.push_back(std::move(again));
  }
  return grounded_rows;
}

namespace {

// Tokens that all of these begin with: whole messages, as a system message is. conversation(row) is
// a row's.
template <class Rows, class ConversationOf>
int64_t tokens_alike(const Rows& rows, const KnownModel& model, ConversationOf conversation) {
  if (rows.size() < 2) return 0;
  Conversation alike = conversation(rows.front());
  for (const auto& row : rows) {
    const auto same = [](const Message& a, const Message& b) {
      return a.role == b.role && a.content == b.content;
    };
    const auto& other = conversation(row);
    const auto end = std::mismatch(alike.begin(), alike.end(), other.begin(), other.end(), same);
    alike.erase(end.first, alike.end());
  }
  return model.tokens(alike);
}

}  // namespace

TuningWork tuning_work(const std::vector<Example>& rows, const TuneOptions& options,
                       const KnownModel& model) {
  TuningWork work;
  double squares = 0;
  for (const Example& row : rows) {
    const int64_t whole =
        row.messages.empty() ? model.tokens(row.text) : model.tokens(row.messages);
    const int64_t tokens = std::min(whole, options.max_length);
    work.tokens += tokens;
    work.longest = std::max(work.longest, tokens);
    int64_t learned = row.messages.empty() ? tokens : 0;
    for (const Message& m : row.messages)
      if (m.role == "assistant") learned += model.tokens(m.content) + 1;
    work.supervised += std::min(tokens, learned);
    squares += static_cast<double>(tokens * tokens);
  }
  if (work.tokens > 0)
    work.typical = static_cast<int64_t>(squares / static_cast<double>(work.tokens));
  const int64_t batch = options.batch * options.accumulate;
  work.steps = options.epochs * ((static_cast<int64_t>(rows.size()) + batch - 1) / batch);
  if (work.tokens > 0 && shares_beginnings(model.config)) {
    // What rows begin with is computed once for all that fit into a forward.
    const double each = static_cast<double>(work.tokens) / static_cast<double>(rows.size());
    const double together = std::clamp(static_cast<double>(options.micro_tokens) / each, 1.0,
                                       static_cast<double>(batch));
    const auto alike = static_cast<double>(tokens_alike(
        rows, model, [](const Example& row) -> auto& { return row.messages; }));
    work.computed = 1 - alike * (1 - 1 / together) / each;
  }
  work.tokens *= options.epochs, work.supervised *= options.epochs;
  work.bytes_of_weights = model.bytes;
  return work;
}

AnswerWork answer_work(const std::vector<Conversation>& prompts,
                       const std::vector<eval::TestRow>& rows, const Conversation& examples,
                       bool tuned, int64_t max_tokens, const KnownModel& model) {
  AnswerWork work;
  work.rows = static_cast<int64_t>(rows.size());
  // What all prompts begin with is read once.
  const int64_t alike = tokens_alike(
      prompts, model, [](const Conversation& p) -> auto& { return p; });
  work.prompt_tokens = static_cast<double>(model.tokens(examples) + alike);
  for (size_t i = 0; i < rows.size(); ++i) {
    work.prompt_tokens += static_cast<double>(model.tokens(prompts[i]) - alike);
    const int64_t expected = model.tokens(rows[i].expected) + 1;
    work.answer_tokens += static_cast<double>(
        tuned || !examples.empty() ? std::min(expected, max_tokens) : max_tokens);
  }
  const double n = std::max(1.0, static_cast<double>(rows.size()));
  work.prompt_tokens /= n, work.answer_tokens /= n;
  return work;
}

Result<std::vector<Conversation>> held_out_prompts(const Project& project,
                                                   const std::vector<eval::TestRow>& rows,
                                                   const Index* index) {
  std::vector<Conversation> prompts;
  for (const eval::TestRow& row : rows) {
    Conversation prompt = row.prompt;
    if (index) {
      SLLM_TRY(prompt, grounded(*index, row.prompt.back().content, project.index.passages));
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace sllm::project
