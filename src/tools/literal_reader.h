// Values written as literals, in JSON or as Python or Gemma write them.
#pragma once

#include <string>
#include <vector>

#include "tools/arguments_reader.h"

namespace sllm {

// Read byte by byte and given as JSON. In every form null, true and false may also be spelled None,
// True and False, for models mix them up.
class LiteralReader final : public ArgumentsReader {
 public:
  // kArguments: an object, which in Python's form is (name=value, ...). kValue: anything, and a
  // number ends with the byte of white space behind it.
  enum class Begin { kArguments, kValue };
  LiteralReader(ArgumentsForm form, Begin begin) : form_(form), begin_(begin) {}

  Outcome read(char byte, std::string& json) override;

 private:
  enum class Expect { kValue, kFirstValue, kFirstKey, kKey, kColon, kComma };
  struct Level {
    char close;  // the byte that ends it
    char colon;  // between name and value; 0: a list
  };
  Outcome structure(char byte, std::string& json);
  Outcome open(char byte, std::string& json);
  Outcome close(char byte, std::string& json);
  Outcome word(char byte, std::string& json);
  Outcome end_word(std::string& json);
  Outcome in_string(char byte, std::string& json);
  Outcome escape(char byte, std::string& json);
  Outcome in_gemma_string(char byte, std::string& json);
  Outcome begin_string(std::string& json);
  Outcome end_string(std::string& json);
  Outcome value_ended();
  bool at_key() const { return expect_ == Expect::kFirstKey || expect_ == Expect::kKey; }

  ArgumentsForm form_;
  Begin begin_;
  Expect expect_ = Expect::kValue;
  std::vector<Level> levels_;
  std::string word_;   // a number, a name or a literal so far
  std::string quote_;  // that ends the string; "": not in one
  std::string held_;   // of a string: an escape, or what may be Gemma's quote
  bool half_ = false;  // the first half of a surrogate pair came last
};

}  // namespace sllm
