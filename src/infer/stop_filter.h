// Stop strings on a stream of text: what might be the beginning of one is held back until it is
// known not to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sllm {

class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops);
  // Text that may be shown now. After stopped(), nothing more comes.
  std::string push(std::string_view text);
  // What was held back, when the answer ends for another reason.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace sllm
