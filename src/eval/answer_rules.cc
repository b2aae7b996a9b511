#include "eval/answer_rules.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "eval/answer_metrics.h"
#include "eval/python_text.h"
#include "text/regex.h"

namespace sllm::eval {
namespace {

using Text = const std::string&;
using Holds = std::function<bool(Text answer, Text reference)>;

struct Kind {
  const char* name;
  const char* argument;  // "": none
  bool reference;
  Result<Holds> (*make)(Text argument);
};

Result<double> number(Text text, double low, double high) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    return usage_error("\"{}\" is no number from {:g} to {:g}", text, low, high);
  return value;
}

Result<Holds> make_length(Text argument, bool longest) {
  SLLM_TRY(const double n, number(argument, 0, 1e9));
  return Holds([n, longest](Text answer, Text) {
    const auto characters = static_cast<double>(character_count(answer));
    return longest ? characters <= n : characters >= n;
  });
}

bool contains(Text text, std::string_view part) { return text.find(part) != std::string::npos; }

const std::vector<Kind> kKinds = {
    {"json", "", false,
     [](Text) -> Result<Holds> {
       return Holds([](Text answer, Text) { return json_equal(answer, answer); });
     }},
    {"exact", "", true, [](Text) -> Result<Holds> { return Holds(answer_equal); }},
    {"json-equal", "", true, [](Text) -> Result<Holds> { return Holds(json_equal); }},
    {"f1", "SHARE", true,
     [](Text argument) -> Result<Holds> {
       SLLM_TRY(const double least, number(argument, 0, 1));
       return Holds(
           [least](Text answer, Text reference) { return token_f1(answer, reference) >= least; });
     }},
    {"contains", "", true,
     [](Text) -> Result<Holds> {
       return Holds([](Text answer, Text reference) { return contains(answer, strip(reference)); });
     }},
    {"contains", "TEXT", false,
     [](Text part) -> Result<Holds> {
       return Holds([part](Text answer, Text) { return contains(answer, part); });
     }},
    {"excludes", "TEXT", false,
     [](Text part) -> Result<Holds> {
       return Holds([part](Text answer, Text) { return !contains(answer, part); });
     }},
    {"matches", "REGEX", false,
     [](Text pattern) -> Result<Holds> {
       SLLM_TRY(const Regex regex, Regex::compile(pattern));
       return Holds([regex](Text answer, Text) {
         try {
           return regex.find(answer, 0).first != std::string::npos;
         } catch (const ResultError&) {  // it would search for ever: nothing is found
           return false;
         }
       });
     }},
    {"longest", "N", false, [](Text n) { return make_length(n, true); }},
    {"shortest", "N", false, [](Text n) { return make_length(n, false); }},
};

}  // namespace

std::string answer_rules() {
  std::string all;
  for (const Kind& kind : kKinds)
    all += fmt::format("{}{}{}{}", all.empty() ? "" : ", ", kind.name, *kind.argument ? ":" : "",
                       kind.argument);
  return all;
}

Result<AnswerRule> find_answer_rule(const std::string& text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string name = text.substr(0, colon);
  const std::string argument = colon < text.size() ? text.substr(colon + 1) : "";
  for (const Kind& kind : kKinds)
    if (name == kind.name && (*kind.argument != '\0') == !argument.empty()) {
      auto holds = kind.make(argument);
      if (!holds.ok()) return usage_error("the rule {}: {}", text, holds.error().message);
      return AnswerRule{text, kind.reference, std::move(*holds)};
    }
  return with_hint(usage_error("there is no rule {}", text), "Rules: " + answer_rules());
}

}  // namespace sllm::eval
