// A call's arguments, read byte by byte in the form in which a model writes them, as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

#include "tools/call_form.h"

namespace sllm {

class ArgumentsReader {
 public:
  // `schema`: of the object; forms that do not tell texts from other values ask it.
  static std::unique_ptr<ArgumentsReader> make(ArgumentsForm form,
                                               const nlohmann::ordered_json& schema);
  virtual ~ArgumentsReader() = default;

  enum class Outcome {
    kMore,
    kDone,   // the byte was the last
    kWrong,  // the byte does not belong there
  };
  // What the byte completes is appended to `json`: all of these together are one object, with ", "
  // and ": " between its parts. After kDone and kWrong nothing more may come.
  virtual Outcome read(char byte, std::string& json) = 0;
};

inline constexpr size_t kMaxArgumentsDepth = 64;

}  // namespace sllm
