// Regular expressions are PCRE2's: like Python's they have lookahead and lazy quantifiers; match
// limits keep a hostile pattern from running away.
#include "eval/filters.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <functional>
#include <map>

#include "eval/python_text.h"

namespace sllm::eval {
namespace {

pcre2_code* code(const std::shared_ptr<void>& p) { return static_cast<pcre2_code*>(p.get()); }

// Calls `visit(begin, end, groups)` for each match, left to right, without overlaps.
void each_match(const pcre2_code* pattern, std::string_view text,
                const std::function<void(const PCRE2_SIZE* offsets, uint32_t groups)>& visit) {
  const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), 1'000'000);
  pcre2_set_depth_limit(context.get(), 10'000);
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(pattern, nullptr), pcre2_match_data_free);
  PCRE2_SIZE at = 0;
  while (at <= text.size()) {
    const int n = pcre2_match(pattern, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                              0, data.get(), context.get());
    if (n < 0) return;  // no match, or the limit: what was found so far stands
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
    visit(offsets, pcre2_get_ovector_count(data.get()));
    at = offsets[1];
    if (offsets[0] == offsets[1]) {  // an empty match: step over one character
      do ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    }
  }
}

}  // namespace

Result<Pattern> Pattern::compile(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
  if (!compiled) {
    char message[256];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    return usage_error("the pattern {} is not a regular expression: {} at offset {}", pattern,
                       message, offset);
  }
  Pattern result;
  result.code_ = std::shared_ptr<void>(
      compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  return result;
}

std::vector<std::string> Pattern::find_all(std::string_view text) const {
  std::vector<std::string> found;
  each_match(code(code_), text, [&](const PCRE2_SIZE* offsets, uint32_t groups) {
    std::string match;
    for (uint32_t g = groups > 1 ? 1 : 0; g < groups && match.empty(); ++g)
      if (offsets[2 * g] != PCRE2_UNSET)
        match = text.substr(offsets[2 * g], offsets[2 * g + 1] - offsets[2 * g]);
    found.push_back(std::move(match));
  });
  return found;
}

std::string Pattern::remove_all(std::string_view text) const {
  std::string kept;
  PCRE2_SIZE last = 0;
  each_match(code(code_), text, [&](const PCRE2_SIZE* offsets, uint32_t) {
    kept += text.substr(last, offsets[0] - last);
    last = offsets[1];
  });
  return kept += text.substr(last);
}

namespace {

using Responses = std::vector<std::string>;
using Step = Result<Responses> (*)(const Json& options, Responses responses);

template <class F>
Responses each(Responses responses, F f) {
  for (std::string& r : responses) r = f(r);
  return responses;
}

Result<Responses> regex_step(const Json& options, Responses responses) {
  SLLM_TRY(const Pattern pattern,
           Pattern::compile(options.value("regex_pattern", "#### (\\-?[0-9\\.\\,]+)")));
  const int64_t select = options.value("group_select", int64_t{0});
  const std::string fallback = options.value("fallback", "[invalid]");
  return each(std::move(responses), [&](const std::string& response) {
    const auto found = pattern.find_all(response);
    const auto n = static_cast<int64_t>(found.size());
    const int64_t i = select < 0 ? n + select : select;
    if (i < 0 || i >= n || found[i].empty()) return fallback;
    return std::string(strip(found[i]));
  });
}

Result<Responses> map_step(const Json& options, Responses responses) {
  const Json table = options.value("mapping_dict", Json::object());
  const Json fallback = options.value("default_value", Json(nullptr));
  return each(std::move(responses), [&](const std::string& response) {
    return python_str(table.is_object() && table.contains(response) ? table[response] : fallback);
  });
}

Result<Responses> majority_step(const Json&, Responses responses) {
  std::map<std::string, int> counts;
  for (const std::string& r : responses) ++counts[r];
  const auto best = std::ranges::max_element(
      responses, [&](const auto& a, const auto& b) { return counts[a] < counts[b]; });
  return best == responses.end() ? Responses{} : Responses{*best};
}

Result<Responses> take_first_k_step(const Json& options, Responses responses) {
  const auto k = options.value("k", int64_t{1});
  if (k < 1 || k > static_cast<int64_t>(responses.size()))
    return usage_error("filter take_first_k: {} of {} responses", k, responses.size());
  responses.resize(k);
  return responses;
}

const std::map<std::string_view, Step> kSteps = {
    {"take_first",
     [](const Json&, Responses r) -> Result<Responses> {
       if (r.size() > 1) r.resize(1);
       return r;
     }},
    {"take_first_k", take_first_k_step},
    {"majority_vote", majority_step},
    {"regex", regex_step},
    {"map", map_step},
    {"remove_whitespace",
     [](const Json&, Responses r) -> Result<Responses> {
       return each(std::move(r), [](const std::string& s) { return std::string(strip(s)); });
     }},
    {"lowercase",
     [](const Json&, Responses r) -> Result<Responses> {
       return each(std::move(r), [](const std::string& s) { return lower(s); });
     }},
    {"uppercase",
     [](const Json&, Responses r) -> Result<Responses> {
       return each(std::move(r), [](const std::string& s) { return upper(s); });
     }},
};

}  // namespace

Result<std::string> apply_filter(const FilterConfig& filter, Responses responses) {
  for (const FilterStep& step : filter.steps) {
    const auto it = kSteps.find(step.function);
    if (it == kSteps.end()) {
      std::string known;
      for (const auto& [name, function] : kSteps)
        known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
      return with_hint(usage_error("the filter {} is not known", step.function),
                       "Known filters: " + known);
    }
    try {
      SLLM_TRY(responses, it->second(step.options, std::move(responses)));
    } catch (const Json::exception& e) {  // an option of another type
      return usage_error("the filter {}: {}", step.function, e.what());
    }
  }
  return responses.empty() ? std::string() : std::move(responses.front());
}

Result<ExactMatchOptions> ExactMatchOptions::from(const Json& options) {
  ExactMatchOptions out;
  for (const auto& [key, value] : options.items()) {
    bool* flag = key == "ignore_case"          ? &out.ignore_case
                 : key == "ignore_punctuation" ? &out.ignore_punctuation
                 : key == "ignore_numbers"     ? &out.ignore_numbers
                                               : nullptr;
    if (flag && value.is_boolean()) {
      *flag = value.get<bool>();
    } else if (key == "regexes_to_ignore" && value.is_array()) {
      for (const Json& item : value) {
        if (!item.is_string())
          return usage_error("exact_match: regexes_to_ignore expects patterns");
        SLLM_TRY(Pattern pattern, Pattern::compile(item.get<std::string>()));
        out.ignore.push_back(std::move(pattern));
      }
    } else {
      return usage_error(
          "exact_match: the option {} is not known; expected ignore_case, ignore_punctuation, "
          "ignore_numbers or regexes_to_ignore",
          key);
    }
  }
  return out;
}

bool exact_match(std::string prediction, std::string reference, const ExactMatchOptions& options) {
  const auto normal = [&](std::string text) {
    for (const Pattern& pattern : options.ignore) text = pattern.remove_all(text);
    if (options.ignore_case) text = lower(text);
    if (options.ignore_punctuation)
      std::erase_if(text, [](char c) { return c > 0 && std::ispunct(c); });
    if (options.ignore_numbers) std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
    return text;
  };
  return normal(std::move(prediction)) == normal(std::move(reference));
}

}  // namespace sllm::eval
