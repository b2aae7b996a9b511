// GroundedAnswerer over an index.
#include "serve/grounding.h"

namespace sllm {
namespace {

class IndexAnswerer final : public GroundedAnswerer {
 public:
  IndexAnswerer(std::shared_ptr<const Index> index, GroundOptions options)
      : index_(std::move(index)), options_(std::move(options)) {}

  Result<GroundedPrompt> prompt(std::string_view question) const override {
    return ground_question(*index_, question, options_);
  }
  GroundedAnswer check(const GroundedPrompt& prompt, std::string_view reply) const override {
    if (prompt.supported) return check_reply(prompt, reply, options_);
    GroundedAnswer answer;
    answer.text = refusal(prompt.korean);
    return answer;
  }

 private:
  std::shared_ptr<const Index> index_;
  GroundOptions options_;
};

}  // namespace

std::shared_ptr<GroundedAnswerer> make_grounded_answerer(std::shared_ptr<const Index> index,
                                                         GroundOptions options) {
  return std::make_shared<IndexAnswerer>(std::move(index), std::move(options));
}

}  // namespace sllm
