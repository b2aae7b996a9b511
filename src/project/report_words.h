// The report's words in the languages it can be written in: one row a phrase.
#pragma once

#include <string>
#include <string_view>

namespace sllm::project {

class Words {
 public:
  explicit Words(std::string_view language) : korean_(language == "ko") {}
  bool korean() const { return korean_; }
  // The phrase with this English text; English itself when there is no translation.
  std::string_view operator()(std::string_view english) const;
  // Names of metrics and languages for people.
  std::string metric(std::string_view name) const;
  std::string language(std::string_view code) const;

 private:
  bool korean_;
};

}  // namespace sllm::project
