// Task files' templates through the program's own Jinja.
#include "eval/task_template.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace sllm::eval {

struct TaskTemplate::Impl {
  jinja::Body body;
};

Result<TaskTemplate> TaskTemplate::parse(const std::string& source) {
  try {
    TaskTemplate result;
    result.impl_ =
        std::make_shared<Impl>(Impl{jinja::parse_template(source, jinja::Whitespace::kPlain).body});
    return result;
  } catch (const jinja::TemplateError& e) {
    return usage_error("the template {:.60}: {}", source, e.what());
  }
}

Result<std::string> TaskTemplate::render(const Json& doc) const {
  try {
    jinja::Dict variables;
    for (const auto& [key, value] : doc.items())
      variables.set(jinja::Value::text(key), jinja::from_json(value, jinja::kTemplate));
    jinja::Interpreter interpreter({.strict = true}, std::move(variables), std::nullopt);
    return interpreter.run(impl_->body).bytes();
  } catch (const jinja::TemplateError& e) {
    return bad_input("a document cannot be put into its template: {}", e.what());
  }
}

}  // namespace sllm::eval
