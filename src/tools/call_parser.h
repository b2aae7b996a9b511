// An answer's text as it arrives, taken apart into what is said and which functions are called.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/call_event.h"
#include "tools/call_reader.h"
#include "tools/call_syntax.h"

namespace sllm {

// Text that may be the beginning of a call is held back until it is known; white space around calls
// belongs to them. What turns out to be no call of a known function is text, as long as nothing of
// it was given as a call: that waits for the call's end, unless a grammar guarantees it. In what
// the model thinks aloud there are no calls.
class CallParser {
 public:
  // `guaranteed`: the answer keeps to call_grammar(syntax).
  CallParser(std::shared_ptr<const CallSyntax> syntax, bool guaranteed);

  std::vector<CallEvent> push(std::string_view text);
  // The answer is over. A call that lacks only its end mark counts, one that was given in part
  // stays so.
  std::vector<CallEvent> finish();

 private:
  struct Way {  // to write a call
    const CallForm* form;
    std::string opening;
    CallReader reader;
  };
  void say(std::string_view text);
  void release();
  bool read_text();  // true: a call may begin
  bool read_call();  // true: it is over
  size_t undecided(std::string_view text) const;
  bool is_as_guaranteed() const;

  std::shared_ptr<const CallSyntax> syntax_;
  bool guaranteed_;
  std::vector<Way> ways_;

  std::vector<CallEvent> events_;  // to be given
  std::string held_;               // not read, or read and nothing of it given
  bool thinking_, called_ = false;

  // Of the call at hand, or the list:
  bool in_call_ = false;
  Way* way_ = nullptr;
  size_t begin_ = 0, at_ = 0;      // of held_: where it begins, the next byte to be read
  std::vector<CallEvent> unsure_;  // not given yet
  bool sure_ = false;              // it is written as the grammar has it
  bool open_ = false;              // of the last call a part was given
};

}  // namespace sllm
