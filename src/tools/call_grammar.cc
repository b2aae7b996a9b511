#include "tools/call_grammar.h"

#include <map>

#include "grammar/watched_text.h"
#include "tools/arguments_grammar.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
using Fragment = GrammarBuilder::Fragment;

// What arguments are kept to: the function's schema, or less where that is not understood.
Result<Json> schema_of(const Tool& tool) {
  const auto grammar = Grammar::from_json_schema(tool.parameters);
  if (grammar.ok()) return tool.parameters;
  if (tool.strict) return bad_input("{}: {}", tool.name, grammar.error().message);
  return Json{{"type", "object"}};
}

class Calls {
 public:
  explicit Calls(const CallSyntax& syntax)
      : syntax_(syntax), json_(builder_), end_(builder_.point()) {}

  Result<GrammarProgram> build() {
    for (const Tool& tool : syntax_.use.tools) {
      if (!syntax_.use.only.empty() && tool.name != syntax_.use.only) continue;
      SLLM_TRY(const Json schema, schema_of(tool));
      rules_.push_back({tool.name, builder_.as_rule(arguments_text(syntax_.form->arguments, schema,
                                                                   builder_, json_))});
    }
    const bool required = syntax_.use.choice == ToolUse::Choice::kRequired;
    const uint32_t root = builder_.rule("the answer");
    builder_.define(root, {required ? calls_only() : text_first(), end_});
    return std::move(builder_).finish(root);
  }

 private:
  struct Rule {
    std::string name;
    uint32_t arguments;
  };

  // From where `skipped` bytes have been read of what precedes the arguments: the call, and all
  // that may follow it.
  uint32_t call_from(const CallForm& form, const Rule& rule, size_t skipped) {
    const std::string_view call = form.call;
    const size_t arguments = call.find("$A");
    const std::string before =
        spelled(form.before, "") + spelled(call.substr(0, arguments), rule.name);
    const Fragment body = builder_.sequence(
        {builder_.literal(std::string_view(before).substr(skipped)), builder_.call(rule.arguments),
         builder_.literal(spelled(call.substr(arguments + 2), ""))});
    builder_.link(body.end, behind_call(form));
    return body.start;
  }

  uint32_t any_call_from(const CallForm& form, size_t skipped) {
    std::vector<uint32_t> ways;
    for (const Rule& rule : rules_) ways.push_back(call_from(form, rule, skipped));
    return builder_.choice(ways);
  }

  // Where a call has ended: the end of the list or of the call, or another one.
  uint32_t behind_call(const CallForm& form) {
    const auto [known, added] = behind_call_.try_emplace(&form, 0);
    if (!added) return known->second;
    const uint32_t point = known->second = builder_.point();
    const Fragment after = builder_.literal(spelled(form.after, ""));
    const bool list = *form.between != '\0';
    std::vector<uint32_t> ways{after.start};
    uint32_t end = end_;
    // A call without marks around it stands alone.
    if (syntax_.use.parallel && !form.bare) {
      const Fragment between = builder_.literal(list ? spelled(form.between, "") : form.separator);
      builder_.link(between.end, any_call_from(form, list ? spelled(form.before, "").size() : 0));
      if (list)
        ways.push_back(between.start);
      else
        end = builder_.choice({end_, between.start});
    }
    builder_.link(after.end, end);
    builder_.link(point, builder_.choice(ways));
    return point;
  }

  uint32_t calls_only() {
    const Fragment space = builder_.repeat(builder_.character({{'\n', '\n'}, {' ', ' '}}), 0, 2);
    builder_.link(space.end, any_call_from(*syntax_.form, 0));
    if (!syntax_.think) return space.start;
    const WatchedText thinking = watched_text(builder_, {syntax_.think->end});
    builder_.link(thinking.ends[0], space.start);
    if (syntax_.thinks_first) return thinking.start;
    const Fragment begin = builder_.literal(syntax_.think->begin);
    builder_.link(begin.end, thinking.start);
    return builder_.choice({begin.start, space.start});
  }

  // Text up to where a call begins in any of the forms, or a thought.
  uint32_t text_first() {
    std::vector<std::string> words;
    std::vector<uint32_t> ways;
    for (const CallForm* form = syntax_.form; form; form = form->also) {
      if (!form->bare) {
        words.push_back(opening_of(*form));
        ways.push_back(any_call_from(*form, words.back().size()));
        continue;
      }
      // Without a mark of its own a call is known by its name, and the quote behind it.
      const std::string_view call = form->call;
      for (const Rule& rule : rules_) {
        words.push_back(spelled(call.substr(0, call.find("$N") + 3), rule.name));
        ways.push_back(call_from(*form, rule, words.back().size()));
      }
    }
    if (syntax_.think) words.push_back(syntax_.think->begin);
    const WatchedText text = watched_text(builder_, words, end_);
    for (size_t i = 0; i < ways.size(); ++i) builder_.link(text.ends[i], ways[i]);
    if (!syntax_.think) return text.start;
    const WatchedText thinking = watched_text(builder_, {syntax_.think->end}, end_);
    builder_.link(text.ends.back(), thinking.start);
    builder_.link(thinking.ends[0], text.start);
    return syntax_.thinks_first ? thinking.start : text.start;
  }

  const CallSyntax& syntax_;
  GrammarBuilder builder_;
  JsonText json_;
  uint32_t end_;
  std::vector<Rule> rules_;
  std::map<const CallForm*, uint32_t> behind_call_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> call_grammar(const CallSyntax& syntax) {
  try {
    SLLM_TRY(GrammarProgram program, Calls(syntax).build());
    std::vector<std::string> shown;
    for (const char* text : syntax.form->special)
      if (text) shown.emplace_back(text);
    if (syntax.think) shown.insert(shown.end(), {syntax.think->begin, syntax.think->end});
    return std::make_shared<const Grammar>(std::move(program), std::move(shown));
  } catch (ResultError& e) {
    return std::move(e.error);
  }
}

}  // namespace sllm
