#include "tools/call_reader.h"

#include <utility>

namespace sllm {
namespace {

using Outcome = CallReader::Outcome;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

CallReader::CallReader(std::shared_ptr<const CallSyntax> syntax, const CallForm& form)
    : syntax_(std::move(syntax)), form_(form.arguments) {
  using Kind = Step::Kind;
  compile(form.before);
  const size_t call = steps_.size();
  compile(form.call);
  steps_.push_back({Kind::kCalled});
  const bool list = *form.between != '\0';
  const size_t choice = steps_.size();
  if (list) steps_.push_back({Kind::kAnother});
  compile(form.after);
  steps_.push_back({Kind::kEnd});
  if (!list) return;
  size_t between = steps_.size();
  compile(form.between);
  if (steps_[between].kind == Kind::kSpace) ++between;  // kAnother passes by white space
  steps_[choice].byte = steps_[between].byte;
  steps_[choice].to = between;
  steps_.push_back({Kind::kGoTo, 0, call});
}

void CallReader::compile(std::string_view pattern) {
  using Kind = Step::Kind;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '$')
      steps_.push_back({pattern[++i] == 'N' ? Kind::kName : Kind::kArguments});
    else if (c == '~' || is_space(c))
      steps_.push_back({Kind::kSpace});
    else
      steps_.push_back({Kind::kByte, c});
  }
}

void CallReader::restart() {
  at_ = 0;
  name_.clear();
  arguments_.reset();
}

bool CallReader::end_name(std::vector<CallEvent>& events) {
  const Tool* tool = syntax_->find(name_);
  if (!tool) return false;
  events.push_back({CallEvent::Kind::kCall, std::exchange(name_, "")});
  arguments_ = ArgumentsReader::make(form_, tool->parameters);
  return true;
}

void CallReader::pass_silent_steps(std::vector<CallEvent>& events) {
  for (;; ++at_) {
    if (steps_[at_].kind == Step::Kind::kGoTo) at_ = steps_[at_].to;
    if (steps_[at_].kind != Step::Kind::kCalled) return;
    events.push_back({CallEvent::Kind::kCalled});
  }
}

Outcome CallReader::read(char byte, std::vector<CallEvent>& events) {
  using Kind = Step::Kind;
  while (true) {
    const Step& step = steps_[at_];
    bool taken = true;
    switch (step.kind) {
      case Kind::kByte:
        if (byte != step.byte) return Outcome::kWrong;
        break;
      case Kind::kSpace:
        if (is_space(byte)) return Outcome::kMore;
        taken = false;
        break;
      case Kind::kName:
        if (is_tool_name_byte(byte)) {
          name_ += byte;
          return name_.size() <= kMaxToolName ? Outcome::kMore : Outcome::kWrong;
        }
        if (!end_name(events)) return Outcome::kWrong;
        taken = false;
        break;
      case Kind::kArguments: {
        std::string json;
        const Outcome status = arguments_->read(byte, json);
        if (!json.empty() && !events.empty() && events.back().kind == CallEvent::Kind::kArguments)
          events.back().text += json;
        else if (!json.empty())
          events.push_back({CallEvent::Kind::kArguments, std::move(json)});
        if (status != Outcome::kDone) return status;
        break;
      }
      case Kind::kAnother:
        if (is_space(byte)) return Outcome::kMore;
        taken = false;
        if (byte != step.byte) break;
        at_ = step.to;
        continue;
      default:
        return Outcome::kWrong;
    }
    ++at_;
    pass_silent_steps(events);
    if (taken) return steps_[at_].kind == Kind::kEnd ? Outcome::kDone : Outcome::kMore;
  }
}

}  // namespace sllm
