#include "tools/write_arguments.h"

#include <fmt/format.h>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

// As Python's json.dumps(ensure_ascii=False) and Jinja's tojson in templates: ", " and ": ".
// Literals, quotes and the way to write an object are the form's own.
class Writer {
 public:
  explicit Writer(ArgumentsForm form) : form_(form) {}

  std::string value(const Json& json) const {
    if (json.is_object()) return fmt::format("{{{}}}", members(json));
    if (json.is_array()) {
      std::string text = "[";
      for (const Json& item : json) text += (text.size() > 1 ? comma() : "") + value(item);
      return text + "]";
    }
    if (json.is_string()) return string(json.get<std::string>());
    if (form_ == ArgumentsForm::kPython) {
      if (json.is_boolean()) return json.get<bool>() ? "True" : "False";
      if (json.is_null()) return "None";
    }
    return dumped(json);
  }

  std::string members(const Json& json, const char* colon = nullptr) const {
    std::string text;
    for (const auto& [key, item] : json.items()) {
      if (!text.empty()) text += comma();
      const bool bare = colon || form_ == ArgumentsForm::kGemma;
      text += bare ? key + (colon ? colon : ":") : string(key) + ": ";
      text += value(item);
    }
    return text;
  }

  std::string parameters(const Json& json) const {
    std::string text;
    for (const auto& [key, item] : json.items())
      text += "<parameter=" + key + ">\n" +
              (item.is_string() ? item.get<std::string>() : value(item)) + "\n</parameter>\n";
    return text + "</function>";
  }

 private:
  std::string comma() const { return form_ == ArgumentsForm::kGemma ? "," : ", "; }
  static std::string dumped(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  std::string string(const std::string& text) const {
    return form_ == ArgumentsForm::kGemma ? "<|\"|>" + text + "<|\"|>" : dumped(text);
  }

  ArgumentsForm form_;
};

}  // namespace

std::string write_arguments(ArgumentsForm form, const Json& arguments) {
  const Writer writer(form);
  switch (form) {
    case ArgumentsForm::kXml:
      return writer.parameters(arguments);
    case ArgumentsForm::kPython:
      return fmt::format("({})", writer.members(arguments, "="));
    case ArgumentsForm::kJson:
    case ArgumentsForm::kGemma:
      break;
  }
  return writer.value(arguments);
}

}  // namespace sllm
