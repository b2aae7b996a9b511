#include "text/text_budget.h"

#include <ctime>

#include "text/tokenizer_spec.h"

namespace sllm {
namespace {

// One character's normal form has up to 11 times its bytes (U+FDFA in NFKC), U+2581 for a space
// three times, a byte's printable character twice; the rest of 64 is room, and every step may write
// the whole text again. A short text has the budget of one of kLeast bytes.
constexpr size_t kGrowth = 64, kGrowthPerStep = 4, kLeast = 16 << 10;
// What slow searches may take: 1 s and 1 s for each MB. A word is found in a tenth of a
// microsecond.
constexpr int64_t kNanoseconds = 1'000'000'000, kNanosecondsPerByte = 1'000, kSlow = 10'000;
constexpr uint32_t kTimedAfterSlow = 256;

}  // namespace

TextBudget::TextBudget(size_t text_bytes, size_t steps)
    : text_bytes_(text_bytes),
      bytes_left_((kGrowth + kGrowthPerStep * steps) * (text_bytes + kLeast)),
      nanoseconds_left_(kNanoseconds + kNanosecondsPerByte * static_cast<int64_t>(text_bytes)) {}

void TextBudget::too_many_bytes() const {
  throw ResultError(
      with_hint(bad_input("{} makes too much of a text of {} bytes", step_, text_bytes_),
                "Use a tokenizer.json whose steps do not make texts grow without bound"));
}

void TextBudget::searched(int64_t begin, std::string_view pattern) {
  const int64_t now = nanoseconds_now();
  if (now - begin > kSlow) {
    timed_left_ = kTimedAfterSlow;
    nanoseconds_left_ -= now - begin;
  } else if (timed_left_ > 0) {
    --timed_left_;
  } else {
    until_timed_ = 128 + now % 256;  // no text can tell which
  }
  if (nanoseconds_left_ < 0)
    throw ResultError(
        with_hint(bad_input("the tokenizer's pattern \"{}\" takes too long on this text", pattern),
                  "Use a tokenizer.json with a simpler pattern"));
}

int64_t TextBudget::nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
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
