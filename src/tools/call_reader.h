// One call, or a list of them, read byte by byte as its form is described (call_form.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/arguments_reader.h"
#include "tools/call_event.h"
#include "tools/call_syntax.h"

namespace sllm {

class CallReader {
 public:
  // Of the syntax' own form, or one that goes with it.
  CallReader(std::shared_ptr<const CallSyntax> syntax, const CallForm& form);

  void restart();
  using Outcome = ArgumentsReader::Outcome;
  // Appends to `events` what the byte completes. kWrong: it does not belong there, or ends a name
  // that is no function's. After kDone and kWrong: restart().
  Outcome read(char byte, std::vector<CallEvent>& events);

 private:
  struct Step {
    enum class Kind {
      kByte,       // this one
      kSpace,      // any amount of white space
      kName,       // of a function
      kArguments,  //
      kCalled,     // nothing: a call has been read
      kAnother,    // with this byte next, another call of the list: go on at `to`
      kGoTo,       // nothing: go on at `to`
      kEnd
    };
    Kind kind;
    char byte = 0;
    size_t to = 0;
  };
  void compile(std::string_view pattern);
  bool end_name(std::vector<CallEvent>& events);
  void pass_silent_steps(std::vector<CallEvent>& events);

  std::shared_ptr<const CallSyntax> syntax_;
  ArgumentsForm form_;
  std::vector<Step> steps_;
  size_t at_ = 0;
  std::string name_;
  std::unique_ptr<ArgumentsReader> arguments_;
};

}  // namespace sllm
