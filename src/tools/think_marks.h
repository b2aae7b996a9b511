// How models mark what they think before they answer.
#pragma once

#include <string_view>

namespace sllm {

struct ThinkMarks {
  const char *begin, *end;
};
inline constexpr ThinkMarks kThinkMarks[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<|channel>", "<channel|>"}};

// Of the template's source; null: it knows none.
inline const ThinkMarks* think_marks_of(std::string_view template_source) {
  for (const ThinkMarks& marks : kThinkMarks)
    if (template_source.find(marks.end) != template_source.npos) return &marks;
  return nullptr;
}

}  // namespace sllm
