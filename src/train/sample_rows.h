// What reading examples (samples.cc) and preferences (preference_samples.cc) have in common.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "train/samples.h"

namespace sllm {

// Labels as Hugging Face has them: aligned with ids, negative where nothing is learned. What is
// longer than max_length is cut and counted.
Sample cut_sample(SampleSet& set, std::vector<TokenId> ids, std::vector<TokenId> labels,
                  int64_t max_length);
// kBadInput naming a token that the tokenizer makes and the model has no row for.
Status check_rows(std::span<const TokenId> ids, const Reader& reader);
// Whether the first line is an object with that key.
bool first_row_has(std::string_view text, const char* key);
// row[key], an array of token ids from `lowest` to below the vocabulary.
Result<std::vector<TokenId>> read_ids(const nlohmann::json& row, const char* key, int64_t lowest,
                                      int64_t vocabulary);
// Every line that is not empty, a JSON object, with "file:line".
Status for_each_row(
    std::string_view text, const std::string& file,
    const std::function<Status(const nlohmann::json& row, const std::string& where)>& take);
// `set`, or why there is nothing in it to learn from; `expected`: rows that there would be.
Result<SampleSet> with_something_learned(SampleSet set, const fs::path& path, const Reader& reader,
                                         const char* expected);

}  // namespace sllm
