// Answers from documents, as the server sees them: find passages, and check what the model made of
// them. The real one stands on an Index of src/ground.
#pragma once

#include <memory>
#include <string_view>

#include "ground/answer.h"

namespace sllm {

class GroundedAnswerer {
 public:
  virtual ~GroundedAnswerer() = default;
  // Thread-safe. Errors: those of Index::search.
  virtual Result<GroundedPrompt> prompt(std::string_view question) const = 0;
  // The model's reply, or (when !prompt.supported) no reply at all, as a checked answer.
  virtual GroundedAnswer check(const GroundedPrompt& prompt, std::string_view reply) const = 0;
};

std::shared_ptr<GroundedAnswerer> make_grounded_answerer(std::shared_ptr<const Index> index,
                                                         GroundOptions options = {});

}  // namespace sllm
