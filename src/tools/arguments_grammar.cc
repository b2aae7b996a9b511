#include "tools/arguments_grammar.h"

#include <algorithm>

#include "grammar/json_schema.h"
#include "grammar/schema_object.h"
#include "grammar/watched_text.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
using Fragment = GrammarBuilder::Fragment;

class Arguments {
 public:
  Arguments(ArgumentsForm form, const Json& schema, GrammarBuilder& builder, JsonText& json)
      : form_(form), schema_(schema), b_(builder), json_(json) {}

  Fragment build() {
    switch (form_) {
      case ArgumentsForm::kXml:
        return b_.sequence({members(""), b_.literal("</function>")});
      case ArgumentsForm::kPython:
        return b_.sequence({b_.literal("("), members(", "), b_.literal(")")});
      case ArgumentsForm::kGemma:
        return b_.sequence({b_.literal("{"), members(","), b_.literal("}")});
      case ArgumentsForm::kJson:
        break;
    }
    return schema_text(schema_, {&schema_, "#"}, b_, json_);
  }

 private:
  // The schema's properties in its order, those that are not required may be left out; where it
  // names none, any.
  Fragment members(const char* separator) {
    const auto properties = schema_.find("properties");
    if (properties == schema_.end() || properties->empty()) {
      if (schema_.contains("additionalProperties") && schema_["additionalProperties"] == false)
        return b_.empty();
      return any_members(separator);
    }
    uint32_t first = b_.point(), more = b_.point();
    const uint32_t start = first;
    for (const auto& [name, property] : in_order(*properties)) {
      const bool required = is_required(name);
      const uint32_t rule = b_.as_rule(member(name, property));
      const uint32_t next_first = b_.point(), next_more = b_.point();
      const auto way = [&](uint32_t from, uint32_t by, Fragment with) {
        b_.link(with.end, next_more);
        b_.link(from, required ? with.start : b_.choice({with.start, by}));
      };
      way(first, next_first, b_.call(rule));
      way(more, next_more, b_.sequence({b_.literal(separator), b_.call(rule)}));
      first = next_first, more = next_more;
    }
    const uint32_t end = b_.point();
    b_.link(first, end);
    b_.link(more, end);
    return {start, end};
  }

  // Gemma's templates sort them.
  std::vector<std::pair<std::string, Json>> in_order(const Json& properties) const {
    std::vector<std::pair<std::string, Json>> all;
    for (const auto& [name, property] : properties.items()) all.emplace_back(name, property);
    if (form_ == ArgumentsForm::kGemma)
      std::ranges::sort(all, {}, &std::pair<std::string, Json>::first);
    return all;
  }

  bool is_required(const std::string& name) const {
    const auto required = schema_.find("required");
    if (required == schema_.end()) return false;
    for (const Json& item : *required)
      if (item == name) return true;
    return false;
  }

  Fragment any_members(const char* separator) {
    const uint32_t rule = b_.as_rule(named(any_name(), any_value()));
    const Fragment more = b_.sequence({b_.literal(separator), b_.call(rule)});
    return b_.optional(b_.sequence({b_.call(rule), b_.repeat(more, 0, std::nullopt)}));
  }

  Fragment any_name() {
    const CodeSet letters = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    return b_.repeat(b_.character(letters), 1, kMaxToolName);
  }

  Fragment member(const std::string& name, const Json& property) {
    return named(b_.literal(name), value(name, property));
  }

  Fragment named(Fragment name, Fragment value) {
    switch (form_) {
      case ArgumentsForm::kXml:
        return b_.sequence({b_.literal("<parameter="), name, b_.literal(">\n"), value});
      case ArgumentsForm::kPython:
        return b_.sequence({name, b_.literal("="), value});
      default:
        return b_.sequence({name, b_.literal(":"), value});
    }
  }

  Fragment value(const std::string& name, const Json& property) {
    const bool is_object = property.is_object();
    const auto type = is_object && property.contains("type") ? property["type"] : Json();
    const bool text = type == "string" && !property.contains("enum") && !property.contains("const");
    const auto of_schema = [&] {
      return schema_text(schema_, {&property, pointer_to("#/properties", name)}, b_, json_);
    };
    if (form_ == ArgumentsForm::kPython) {
      if (type == "boolean") return b_.words({"True", "False", "true", "false"});
      return of_schema();
    }
    if (text) return any_text();
    if (type == "string" && property.contains("enum") && property["enum"].is_array())
      return one_of(property["enum"]);
    if (form_ == ArgumentsForm::kGemma && !is_scalar(type)) return gemma_value();
    return ended(of_schema());
  }

  static bool is_scalar(const Json& type) {
    return type == "integer" || type == "number" || type == "boolean" || type == "null";
  }

  // With what ends a value where the form has such a thing.
  Fragment ended(Fragment value) {
    return form_ == ArgumentsForm::kXml ? b_.sequence({value, b_.literal("\n</parameter>\n")})
                                        : value;
  }

  Fragment any_value() {
    switch (form_) {
      case ArgumentsForm::kXml:
        return any_text();
      case ArgumentsForm::kGemma:
        return gemma_value();
      default:
        return json_.value();
    }
  }

  Fragment any_text() {
    const bool xml = form_ == ArgumentsForm::kXml;
    const WatchedText text = watched_text(b_, {xml ? "</parameter>" : "<|\"|>"});
    const Fragment all{text.start, text.ends[0]};
    return xml ? b_.sequence({all, b_.literal("\n")}) : b_.sequence({b_.literal("<|\"|>"), all});
  }

  Fragment one_of(const Json& values) {
    std::vector<std::string> words;
    for (const Json& value : values)
      if (value.is_string()) words.push_back(value.get<std::string>());
    const Fragment word = words.empty() ? b_.nothing() : b_.words(std::move(words));
    if (form_ == ArgumentsForm::kXml) return ended(word);
    return b_.sequence({b_.literal("<|\"|>"), word, b_.literal("<|\"|>")});
  }

  Fragment gemma_value() {
    if (!gemma_value_) {
      gemma_value_ = b_.rule("a value in Gemma's form");  // first, for it is part of itself
      const auto list = [&](const char* open, const char* close, auto&& item) {
        const Fragment more = b_.repeat(b_.sequence({b_.literal(","), item()}), 0, std::nullopt);
        return b_.sequence(
            {b_.literal(open), b_.optional(b_.sequence({item(), more})), b_.literal(close)});
      };
      const auto value = [&] { return b_.call(*gemma_value_); };
      const auto pair = [&] { return b_.sequence({any_name(), b_.literal(":"), value()}); };
      b_.define(*gemma_value_,
                b_.alternatives({any_text(), list("[", "]", value), list("{", "}", pair),
                                 json_.number({}, {}), b_.words({"true", "false", "null"})}));
    }
    return b_.call(*gemma_value_);
  }

  ArgumentsForm form_;
  const Json& schema_;
  GrammarBuilder& b_;
  JsonText& json_;
  std::optional<uint32_t> gemma_value_;
};

}  // namespace

Fragment arguments_text(ArgumentsForm form, const Json& schema, GrammarBuilder& builder,
                        JsonText& json) {
  return Arguments(form, schema, builder, json).build();
}

}  // namespace sllm
