#include "tools/arguments_reader.h"

#include <algorithm>

#include "tools/literal_reader.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

std::string json_string(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// <parameter=name>\nvalue\n</parameter> again and again, then </function>.
class ParameterReader final : public ArgumentsReader {
 public:
  explicit ParameterReader(const Json& schema) : schema_(schema) {}

  Outcome read(char byte, std::string& json) override {
    if (byte == '\0') return Outcome::kWrong;
    held_ += byte;
    switch (state_) {
      case State::kBetween:
        return between(json);
      case State::kName:
        return name();
      case State::kValue:
        return value(json);
    }
    return Outcome::kWrong;
  }

 private:
  enum class State { kBetween, kName, kValue };
  static constexpr std::string_view kBegin = "<parameter=", kEnd = "</parameter>",
                                    kLast = "</function>";
  static constexpr std::string_view kSpace = " \t\r\n";

  Outcome between(std::string& json) {
    if (kSpace.find(held_.front()) != kSpace.npos) return held_.clear(), Outcome::kMore;
    if (held_ == kLast) {
      json += first_ ? "{}" : "}";
      return Outcome::kDone;
    }
    if (held_ == kBegin) {
      held_.clear();
      state_ = State::kName;
      return Outcome::kMore;
    }
    return kBegin.starts_with(held_) || kLast.starts_with(held_) ? Outcome::kMore : Outcome::kWrong;
  }

  Outcome name() {
    if (held_.back() != '>')
      return held_.size() > 256 || held_.back() == '\n' ? Outcome::kWrong : Outcome::kMore;
    name_ = held_.substr(0, held_.size() - 1);
    held_.clear();
    state_ = State::kValue;
    return name_.empty() ? Outcome::kWrong : Outcome::kMore;
  }

  Outcome value(std::string& json) {
    if (!held_.ends_with(kEnd)) return Outcome::kMore;
    held_.resize(held_.size() - kEnd.size());
    // One line feed on each side belongs to the form.
    if (held_.starts_with('\n')) held_.erase(0, 1);
    if (held_.ends_with('\n')) held_.pop_back();
    json += (first_ ? "{" : ", ") + json_string(name_) + ": " + value_of(held_);
    first_ = false;
    held_.clear();
    state_ = State::kBetween;
    return Outcome::kMore;
  }

  // Whether the schema takes texts for it, and nothing that could be meant instead.
  bool is_text() const {
    const auto properties = schema_.find("properties");
    if (properties == schema_.end() || !properties->is_object()) return false;
    const auto property = properties->find(name_);
    if (property == properties->end() || !property->is_object()) return false;
    const auto type = property->find("type");
    if (type != property->end()) return *type == "string";
    const auto listed = property->find("enum");
    return listed != property->end() && listed->is_array() &&
           std::ranges::all_of(*listed, [](const Json& v) { return v.is_string(); });
  }

  std::string value_of(const std::string& text) const {
    if (is_text()) return json_string(text);
    // As Python spells them, which the templates use.
    if (text == "True") return "true";
    if (text == "False") return "false";
    if (text == "None") return "null";
    std::string json;
    LiteralReader reader(ArgumentsForm::kJson, LiteralReader::Begin::kValue);
    Outcome status = Outcome::kMore;
    for (const char c : text) {
      if (status == Outcome::kDone && kSpace.find(c) == kSpace.npos) return json_string(text);
      if (status == Outcome::kMore) status = reader.read(c, json);
      if (status == Outcome::kWrong) return json_string(text);
    }
    if (status == Outcome::kMore) status = reader.read('\n', json);  // ends a number
    return status == Outcome::kDone ? json : json_string(text);
  }

  const Json schema_;
  State state_ = State::kBetween;
  std::string held_, name_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<ArgumentsReader> ArgumentsReader::make(ArgumentsForm form, const Json& schema) {
  if (form == ArgumentsForm::kXml) return std::make_unique<ParameterReader>(schema);
  return std::make_unique<LiteralReader>(form, LiteralReader::Begin::kArguments);
}

}  // namespace sllm
