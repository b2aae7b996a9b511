#include "tools/call_parser.h"

#include <algorithm>
#include <utility>

namespace sllm {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

size_t without_space_at_end(std::string_view text) { return text.find_last_not_of(kSpace) + 1; }

// How many bytes at the text's end are a beginning of `word`, but not all of it.
size_t beginning_of(std::string_view word, std::string_view text) {
  for (size_t n = std::min(word.size() - 1, text.size()); n > 0; --n)
    if (text.ends_with(word.substr(0, n))) return n;
  return 0;
}

}  // namespace

CallParser::CallParser(std::shared_ptr<const CallSyntax> syntax, bool guaranteed)
    : syntax_(std::move(syntax)),
      guaranteed_(guaranteed),
      thinking_(syntax_->think && syntax_->thinks_first) {
  for (const CallForm* form = syntax_->form; form; form = form->also)
    ways_.push_back({form, opening_of(*form), CallReader(syntax_, *form)});
}

std::vector<CallEvent> CallParser::push(std::string_view text) {
  held_ += text;
  while (in_call_ ? read_call() : read_text()) {
  }
  return std::exchange(events_, {});
}

std::vector<CallEvent> CallParser::finish() {
  const bool only_space = held_.find_first_not_of(kSpace) == held_.npos;
  if (!open_ && !(called_ && only_space)) say(held_);
  held_.clear();
  return std::exchange(events_, {});
}

void CallParser::say(std::string_view text) {
  if (text.empty()) return;
  if (events_.empty() || events_.back().kind != CallEvent::Kind::kText)
    events_.push_back({CallEvent::Kind::kText});
  events_.back().text += text;
}

// How many bytes at the end may begin something, or be white space that belongs to it.
size_t CallParser::undecided(std::string_view text) const {
  const ThinkMarks* think = syntax_->think;
  if (thinking_) return beginning_of(think->end, text);
  size_t n = 0;
  for (const Way& way : ways_) n = std::max(n, beginning_of(way.opening, text));
  if (think) n = std::max(n, beginning_of(think->begin, text));
  return text.size() - without_space_at_end(text.substr(0, text.size() - n));
}

bool CallParser::read_text() {
  while (true) {
    const ThinkMarks* think = syntax_->think;
    const std::string_view mark = !think ? "" : thinking_ ? think->end : think->begin;
    const size_t turn = mark.empty() ? held_.npos : held_.find(mark);
    size_t call = held_.npos;
    for (Way& way : ways_) {
      const size_t at = thinking_ ? held_.npos : held_.find(way.opening);
      if (at < call) call = at, way_ = &way;
    }
    if (turn < call) {
      say(std::string_view(held_).substr(0, turn + mark.size()));
      held_.erase(0, turn + mark.size());
      thinking_ = !thinking_;
      continue;
    }
    const std::string_view before = std::string_view(held_).substr(0, call);
    const size_t said =
        call != held_.npos ? without_space_at_end(before) : before.size() - undecided(before);
    say(before.substr(0, said));
    held_.erase(0, said);
    if (call == held_.npos) return false;
    begin_ = at_ = call - said;
    in_call_ = true;
    sure_ = false;
    return true;
  }
}

bool CallParser::read_call() {
  using Outcome = CallReader::Outcome;
  Outcome status = Outcome::kMore;
  while (status == Outcome::kMore && at_ < held_.size()) {
    status = way_->reader.read(held_[at_], unsure_);
    if (status != Outcome::kWrong) ++at_;
    if (unsure_.empty()) continue;
    sure_ |= guaranteed_ && is_as_guaranteed();
    if (sure_ || unsure_.back().kind == CallEvent::Kind::kCalled) release();
  }
  if (status == Outcome::kMore) return false;
  in_call_ = open_ = false;
  if (status == Outcome::kWrong) say(std::string_view(held_).substr(0, at_));
  held_.erase(0, at_);
  unsure_.clear();
  way_->reader.restart();
  return true;
}

// Of a call whose name is known: its text is what the grammar would have had.
bool CallParser::is_as_guaranteed() const {
  if (unsure_[0].kind != CallEvent::Kind::kCall) return false;
  const CallForm& form = *way_->form;
  const std::string_view pattern = form.call;
  const std::string text = spelled(form.before, "") +
                           spelled(pattern.substr(0, pattern.find("$N") + 2), unsure_[0].text);
  return std::string_view(held_).substr(begin_).starts_with(text);
}

void CallParser::release() {
  called_ = true;
  open_ = unsure_.back().kind != CallEvent::Kind::kCalled;
  for (CallEvent& event : std::exchange(unsure_, {})) {
    const bool more = !events_.empty() && event.kind == CallEvent::Kind::kArguments &&
                      events_.back().kind == event.kind;
    if (more)
      events_.back().text += event.text;
    else
      events_.push_back(std::move(event));
  }
  held_.erase(0, std::exchange(at_, 0));
  begin_ = 0;
}

}  // namespace sllm
