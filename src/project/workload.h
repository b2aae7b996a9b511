// How much a project gives its models to read and write: rows, tokens and passages, counted before
// the stages that make them have run.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "eval/answers.h"
#include "ground/index.h"
#include "project/answer_speed.h"
#include "project/project_file.h"
#include "text/tokenizer.h"
#include "train/estimate.h"

namespace sllm::project {

// What is known of a model that need not be here.
struct KnownModel {
  fs::path path;  // "": not here; shape and types are then those that its size suggests
  ModelConfig config;
  TypeOf type_of;
  int64_t bytes = 0;                           // of its files
  std::shared_ptr<const Tokenizer> tokenizer;  // null: not here
  // Without a tokenizer four bytes are taken for a token, as in English.
  int64_t tokens(std::string_view text) const;
  int64_t tokens(const Conversation& messages) const;
};
// A file, a folder, a model in the cache, or a catalogue entry. Error: kBadInput when its size is
// not known before it is fetched.
Result<KnownModel> known_model(const std::string& name);
// Bytes resident while a model of so many bytes answers: a little state and the program on top.
int64_t memory_while_answering(int64_t bytes);
// The model that merging and quantising make of it. `type`: a recipe's name ("q8_0").
Result<TypeOf> types_of_recipe(const std::string& type, const ModelConfig& config);
TypeOf types_of_merged();

// Documents indexed for the plan; of many only the first, whose passages are as long as the others.
struct SampleIndex {
  std::shared_ptr<Index> index;
  int64_t documents = 0, bytes = 0;  // of the whole folder
  double seconds = 0;                // to index all of it
};
Result<SampleIndex> index_sample(const fs::path& documents, const fs::path& folder,
                                 int64_t most_bytes = int64_t{8} << 20);

// The tuning rows as the data stage will make them, but for the few that it drops. `index` (null:
// none): questions get the passages that it finds.
Result<std::vector<Example>> tuning_rows(const Project& project, const Index* index,
                                         const fs::path& scratch);
// Counted without the chat template: a few tokens a message are added for it.
TuningWork tuning_work(const std::vector<Example>& rows, const TuneOptions& options,
                       const KnownModel& model);

// The held-out rows with what stands in their prompts. `examples`: earlier turns, which grounded
// prompts do without. `tuned`: the answers will be as long as the expected ones; others may write
// on to `max_tokens`.
AnswerWork answer_work(const std::vector<Conversation>& prompts,
                       const std::vector<eval::TestRow>& rows, const Conversation& examples,
                       bool tuned, int64_t max_tokens, const KnownModel& model);
Result<std::vector<Conversation>> held_out_prompts(const Project& project,
                                                   const std::vector<eval::TestRow>& rows,
                                                   const Index* index);

}  // namespace sllm::project
