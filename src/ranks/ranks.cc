// What all ranks have in common, and the company of one.
#include "ranks/ranks.h"

namespace sllm {

Status Ranks::agree(const Status& mine) {
  if (size() == 1) return mine;
  // An error travels as three parts of one text.
  std::string text;
  if (!mine.ok())
    text = fmt::format("{}\n{}\n{}", static_cast<int>(mine.error().code),
                       mine.error().message.size(), mine.error().message + mine.error().hint);
  const std::vector<int64_t> sizes = gather(static_cast<int64_t>(text.size()));
  for (int r = 0; r < size(); ++r) {
    if (sizes[static_cast<size_t>(r)] == 0) continue;
    std::string said(static_cast<size_t>(sizes[static_cast<size_t>(r)]), 0);
    if (r == rank()) said = text;
    Out out(static_cast<size_t>(size()));
    In in(static_cast<size_t>(size()));
    if (r == rank()) {
      for (int other = 0; other < size(); ++other)
        if (other != r) out[static_cast<size_t>(other)] = std::as_bytes(std::span(text));
    } else {
      in[static_cast<size_t>(r)] = std::as_writable_bytes(std::span(said));
    }
    exchange(out, in);
    const size_t first = said.find('\n'), second = said.find('\n', first + 1);
    const auto length = static_cast<size_t>(std::stoull(said.substr(first + 1)));
    return Error{static_cast<ErrorCode>(std::stoi(said)), said.substr(second + 1, length),
                 said.substr(second + 1 + length)};
  }
  return ok();
}

namespace {

class Alone final : public Ranks {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void exchange(const Out&, const In&) override {}
};

}  // namespace

Ranks& alone() {
  static Alone ranks;
  return ranks;
}

}  // namespace sllm
