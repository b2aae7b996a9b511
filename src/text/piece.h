// A stretch of text on its way from the source to the model, and how steps that change text keep
// the way back: for every byte they make, where in the source its origin ends.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_budget.h"

namespace sllm {

struct Piece {
  std::string_view text;
  size_t from = 0;               // where it begins in the source
  const size_t* ends = nullptr;  // source end of each byte; null: byte i ends at from + i + 1
  TextBudget* budget = nullptr;  // of the whole text that it is from; null: none

  size_t source_end(size_t bytes) const {
    return bytes == 0 ? from : ends ? ends[bytes - 1] : from + bytes;
  }
  Piece sub(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), source_end(begin), ends ? ends + begin : nullptr,
            budget};
  }
};

// What a changed piece lives in.
struct PieceBuffer {
  std::string text;
  std::vector<size_t> ends;
};

// Writes the changed text of `source` into `buffer`; without `trace` the way back is not kept.
// `buffer` must not be the one that `source` lies in. Throws ResultError when the budget is spent.
class PieceEditor {
 public:
  PieceEditor(const Piece& source, bool trace, PieceBuffer& buffer)
      : source_(source),
        trace_(trace),
        limit_(source.budget ? source.budget->bytes_left() : SIZE_MAX),
        buffer_(buffer) {
    buffer_.text.clear();
    buffer_.ends.clear();
    buffer_.text.reserve(source.text.size() + 8);
  }
  // Bytes made of what ends after the source piece's first `consumed` bytes.
  void put(std::string_view bytes, size_t consumed) {
    check_room(bytes.size());
    buffer_.text += bytes;
    if (trace_) buffer_.ends.insert(buffer_.ends.end(), bytes.size(), source_.source_end(consumed));
  }
  void keep(size_t begin, size_t end) {
    check_room(end - begin);
    buffer_.text += source_.text.substr(begin, end - begin);
    if (trace_)
      for (size_t i = begin; i < end; ++i) buffer_.ends.push_back(source_.source_end(i + 1));
  }
  // Takes the last bytes away again.
  void shrink(size_t size) {
    buffer_.text.resize(size);
    if (trace_) buffer_.ends.resize(size);
  }
  const std::string& text() const { return buffer_.text; }
  Piece finish() const {
    if (source_.budget) source_.budget->write(buffer_.text.size());
    return {buffer_.text, source_.from, trace_ ? buffer_.ends.data() : nullptr, source_.budget};
  }

 private:
  void check_room(size_t bytes) const {
    if (bytes > limit_ - buffer_.text.size()) source_.budget->too_many_bytes();
  }

  const Piece& source_;
  bool trace_;
  size_t limit_;
  PieceBuffer& buffer_;
};

}  // namespace sllm
