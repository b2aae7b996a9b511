// Native counterparts of the Python helpers that task files name with `!function module.name`.
// The same name means different things in different tasks, so a row is found by task and name.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/documents.h"
#include "eval/statistics.h"

namespace sllm::eval {

// doc_to_text, doc_to_target, doc_to_choice: one document in, a value out (text, index or list).
using DocFunction = std::function<Result<Json>(const Json& doc)>;
// process_docs for one document.
using ProcessFunction = std::function<Result<Json>(const Json& doc)>;
using AggregationFunction = double (*)(std::span<const Outcome> outcomes);

// Errors: kUsage naming the function and the ones that are known.
Result<DocFunction> find_doc_function(const std::string& task, const std::string& name);
Result<ProcessFunction> find_process_function(const std::string& task, const std::string& name);
Result<AggregationFunction> find_aggregation_function(const std::string& task,
                                                      const std::string& name);

}  // namespace sllm::eval
