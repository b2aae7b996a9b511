#include "serve/answer_parts.h"

#include <iterator>
#include <random>

namespace sllm {
namespace {

// Nine letters and digits, for Mistral's templates refuse others.
std::string make_call_id() {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  std::string id;
  while (id.size() < 9) id += kLetters[letter(generator)];
  return id;
}

}  // namespace

AnswerParts::AnswerParts(std::shared_ptr<const CallSyntax> calls, bool in_pieces) {
  if (calls) parser_.emplace(std::move(calls), in_pieces);
}

std::vector<CallEvent> AnswerParts::add(const GenerateEvent& event) {
  std::vector<CallEvent> events;
  if (!parser_) {
    if (!event.text.empty()) events.push_back({CallEvent::Kind::kText, event.text});
  } else {
    events = parser_->push(event.text);
    if (event.done) std::ranges::move(parser_->finish(), std::back_inserter(events));
  }
  for (const CallEvent& e : events) {
    if (e.kind == CallEvent::Kind::kText) text_ += e.text;
    if (e.kind == CallEvent::Kind::kCall) calls_.push_back({make_call_id(), e.text, ""});
    if (e.kind == CallEvent::Kind::kArguments) calls_.back().arguments += e.text;
  }
  return events;
}

}  // namespace sllm
