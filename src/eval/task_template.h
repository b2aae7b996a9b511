// Jinja templates of task files, rendered as the harness does: jinja2 with StrictUndefined and
// keep_trailing_newline; the document's columns are the variables.
#pragma once

#include <memory>
#include <string>

#include "eval/documents.h"

namespace sllm::eval {

class TaskTemplate {
 public:
  // Errors: kUsage with the line that is not understood.
  static Result<TaskTemplate> parse(const std::string& source);
  // Errors: kBadInput: a column that a document lacks, or what the template raised.
  Result<std::string> render(const Json& doc) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace sllm::eval
