#include "text/text_budget.h"

#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

// One character's normal form has up to 11 times its bytes (U+FDFA in NFKC), U+2581 for a space
// three times, a byte's printable character twice; the rest of 64 is room, and every step may write
// the whole text again. A short text has the budget of one of kLeast bytes.
constexpr size_t kGrowth = 64, kGrowthPerStep = 4, kLeast = 16 << 10;

}  // namespace

TextBudget::TextBudget(size_t text_bytes, size_t steps)
    : text_bytes_(text_bytes),
      bytes_left_((kGrowth + kGrowthPerStep * steps) * (text_bytes + kLeast)) {}

void TextBudget::too_many_bytes() const {
  throw ResultError(
      with_hint(bad_input("{} makes too much of a text of {} bytes", step_, text_bytes_),
                "Use a tokenizer.json whose steps do not make texts grow without bound"));
}

Status check_step_count(size_t count, std::string_view what) {
  if (count > kMaxSteps)
    return bad_input("the {} has {} steps; at most {} are supported", what, count, kMaxSteps);
  return ok();
}

Status check_step_text(std::string_view text, std::string_view step) {
  if (text.size() > kMaxTokenBytes)
    return bad_input("the text of a {} has {} bytes; at most {} are supported", step, text.size(),
                     kMaxTokenBytes);
  return ok();
}

}  // namespace sllm
