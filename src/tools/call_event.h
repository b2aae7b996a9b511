// What an answer says and calls, in order.
#pragma once

#include <string>

namespace sllm {

struct CallEvent {
  enum class Kind {
    kText,       // more of what is said
    kCall,       // a call begins: the function's name
    kArguments,  // more of the last call's arguments: together a JSON object
    kCalled      // the last call is complete
  };
  Kind kind;
  std::string text = "";
  bool operator==(const CallEvent&) const = default;
};

}  // namespace sllm
