// What the steps of a tokenizer's file may make of one text: a file that nobody has tried yet must
// not take all memory or never end. Real files stay far below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sllm {

inline constexpr size_t kMaxSteps = 256;  // of a normalizer, a pre-tokenizer or a decoder

class TextBudget {
 public:
  TextBudget(size_t text_bytes, size_t steps);

  // The step that is at work, for errors; what it views must outlive it.
  void begin(std::string_view step) { step_ = step; }
  size_t bytes_left() const { return bytes_left_; }
  // Counts what a step has written. Throws ResultError (kBadInput) when that is too much in all.
  void write(size_t bytes) {
    if (bytes > bytes_left_) too_many_bytes();
    bytes_left_ -= bytes;
  }
  [[noreturn]] void too_many_bytes() const;

  // Whether to time the next search for a pattern. Reading the clock may cost more than finding a
  // word, so one search in some hundreds is timed, and many in a row after a slow one.
  bool times_search() { return until_timed_ == 0 || --until_timed_ == 0; }
  // Counts a search that began at `begin`, if it was slow. Throws ResultError (kBadInput) when slow
  // searches have taken too long in all.
  void searched(int64_t begin, std::string_view pattern);
  // Of this thread alone, so that other programs cannot make a text fail.
  static int64_t nanoseconds_now();

 private:
  size_t text_bytes_, bytes_left_;
  int64_t nanoseconds_left_;
  uint32_t until_timed_ = 0, timed_left_ = 0;
  std::string_view step_ = "a step";
};

// Errors: kBadInput when there are more than kMaxSteps.
Status check_step_count(size_t count, std::string_view what);
// Errors: kBadInput when the text that a step puts in is longer than any token.
Status check_step_text(std::string_view text, std::string_view step);

}  // namespace sllm
