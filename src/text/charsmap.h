// SentencePiece's precompiled_charsmap: rules "these bytes become those", as a double array (the
// format of darts-clone) in front of the zero-terminated replacements.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sllm {

class Charsmap {
 public:
  Charsmap() = default;  // no rules
  // Errors: kBadInput when the sizes in it do not add up or a replacement is longer than any token.
  static Result<Charsmap> read(std::string_view blob);

  static constexpr size_t kMaxRule = 256;  // bytes; longer rules are not looked for

  struct Match {
    size_t length = 0;  // bytes of text that the rule covers; 0: no rule
    std::string_view replacement;
  };
  Match longest(std::string_view text) const { return find(text, true); }
  Match shortest(std::string_view text) const { return find(text, false); }
  bool empty() const { return !tables_; }

 private:
  struct Tables {
    std::vector<uint32_t> units;
    std::string replacements;
  };
  Match find(std::string_view text, bool longest) const;
  std::shared_ptr<const Tables> tables_;
};

}  // namespace sllm
