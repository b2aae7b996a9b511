#include "tools/call_grammar.h"

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
      : syntax_(syntax), form_(*syntax.form), json_(builder_), end_(builder_.point()) {}

  Result<GrammarProgram> build() {
    for (const Tool& tool : syntax_.use.tools) {
      if (!syntax_.use.only.empty() && tool.name != syntax_.use.only) continue;
      SLLM_TRY(const Json schema, schema_of(tool));
      rules_.push_back(
          {tool.name, builder_.as_rule(arguments_text(form_.arguments, schema, builder_, json_))});
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

  std::string before(const std::string& name) const {
    const std::string_view call = form_.call;
    return spelled(form_.before, "") + spelled(call.substr(0, call.find("$A")), name);
  }

  // From where `skipped` bytes of before(name) have been read: the call, and all after it.
  uint32_t call_from(const Rule& rule, size_t skipped) {
    const Fragment body = builder_.sequence(
        {builder_.literal(std::string_view(before(rule.name)).substr(skipped)), body_of(rule)});
    builder_.link(body.end, behind_call());
    return body.start;
  }

  Fragment body_of(const Rule& rule) {
    const std::string_view call = form_.call;
    return builder_.sequence({builder_.call(rule.arguments),
                              builder_.literal(spelled(call.substr(call.find("$A") + 2), ""))});
  }

  // Where a call has ended: the end of the list or of the call, or another one.
  uint32_t behind_call() {
    if (behind_call_) return *behind_call_;
    behind_call_ = builder_.point();
    const Fragment after = builder_.literal(spelled(form_.after, ""));
    const bool list = *form_.between != '\0';
    std::vector<uint32_t> ways{after.start};
    uint32_t end = end_;
    // A call without marks around it stands alone.
    if (syntax_.use.parallel && !form_.bare) {
      std::vector<uint32_t> others;
      const size_t skipped = list ? spelled(form_.before, "").size() : 0;
      const Fragment between =
          builder_.literal(list ? spelled(form_.between, "") : form_.separator);
      for (const Rule& rule : rules_) others.push_back(call_from(rule, skipped));
      builder_.link(between.end, builder_.choice(others));
      if (list)
        ways.push_back(between.start);
      else
        end = builder_.choice({end_, between.start});
    }
    builder_.link(after.end, end);
    builder_.link(*behind_call_, builder_.choice(ways));
    return *behind_call_;
  }

  uint32_t calls() {
    std::vector<uint32_t> ways;
    for (const Rule& rule : rules_) ways.push_back(call_from(rule, 0));
    return builder_.choice(ways);
  }

  // Thoughts, and where they end.
  WatchedText thoughts() { return watched_text(builder_, {syntax_.think->end}); }

  uint32_t calls_only() {
    const Fragment space = builder_.repeat(builder_.character({{'\n', '\n'}, {' ', ' '}}), 0, 2);
    builder_.link(space.end, calls());
    if (!syntax_.think) return space.start;
    const WatchedText thinking = thoughts();
    builder_.link(thinking.ends[0], space.start);
    if (syntax_.thinks_first) return thinking.start;
    const Fragment begin = builder_.literal(syntax_.think->begin);
    builder_.link(begin.end, thinking.start);
    return builder_.choice({begin.start, space.start});
  }

  uint32_t text_first() {
    std::vector<std::string> words;
    if (form_.bare)
      for (const Rule& rule : rules_) words.push_back(opening(rule));
    else
      words.push_back(opening_of(form_));
    if (syntax_.think) words.push_back(syntax_.think->begin);
    const WatchedText text = watched_text(builder_, words, end_);
    if (form_.bare) {
      for (size_t i = 0; i < rules_.size(); ++i)
        builder_.link(text.ends[i], call_from(rules_[i], opening(rules_[i]).size()));
    } else {
      std::vector<uint32_t> ways;
      for (const Rule& rule : rules_) ways.push_back(call_from(rule, opening_of(form_).size()));
      builder_.link(text.ends[0], builder_.choice(ways));
    }
    if (!syntax_.think) return text.start;
    const WatchedText thinking = watched_text(builder_, {syntax_.think->end}, end_);
    builder_.link(text.ends.back(), thinking.start);
    builder_.link(thinking.ends[0], text.start);
    return syntax_.thinks_first ? thinking.start : text.start;
  }

  // Without a mark of its own a call is known by its name, and the quote behind it.
  std::string opening(const Rule& rule) const {
    const std::string_view call = form_.call;
    return spelled(call.substr(0, call.find("$N") + 3), rule.name);
  }

  const CallSyntax& syntax_;
  const CallForm& form_;
  GrammarBuilder builder_;
  JsonText json_;
  uint32_t end_;
  std::vector<Rule> rules_;
  std::optional<uint32_t> behind_call_;
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
