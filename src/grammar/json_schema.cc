// JSON schemas as grammars. What a value must fit is a list of schemas (SchemaPart): one at first,
// more where allOf, $ref, a chosen alternative of anyOf or two descriptions of one property add to
// it. So nothing needs to be merged before it is known what it means.
#include "grammar/json_schema.h"

#include <algorithm>
#include <map>
#include <set>

#include "grammar/grammar.h"
#include "grammar/pattern.h"
#include "grammar/schema_object.h"
#include "grammar/schema_part.h"

namespace sllm {
namespace {

using Json = SchemaPart::Json;
using Fragment = GrammarBuilder::Fragment;
using Parts = std::vector<SchemaPart>;

// Visits of schemas, each together with others: alternatives of alternatives multiply.
constexpr int64_t kMaxVisits = 4'000'000;

const std::map<std::string, const char*>& formats() {
#define SLLM_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?"
#define SLLM_ZONE "(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
// The 29th of February in years that 4 divides, of those that 100 divides only where 400 does.
#define SLLM_DATE                                                   \
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|"       \
  "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|" \
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
  static const std::map<std::string, const char*> kFormats = {
      {"date", "^" SLLM_DATE "$"},
      {"time", "^" SLLM_TIME SLLM_ZONE "$"},
      {"date-time", "^" SLLM_DATE "T" SLLM_TIME SLLM_ZONE "$"},
      {"uuid", "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"}};  // RFC 3339, RFC 9562
  return kFormats;
}

class SchemaCompiler {
 public:
  SchemaCompiler(const Json& document, GrammarBuilder& builder, JsonText& json)
      : schema_(document), b_(builder), json_(json) {}

  // Throws ResultError.
  Fragment compile(const SchemaPart& part) {
    const Fragment whole = value({part}, 0);
    while (!pending_.empty()) {
      const auto [rule, parts] = std::move(pending_.back());
      pending_.pop_back();
      b_.define(rule, resolved_value(parts, 0));
    }
    return whole;
  }

 private:
  struct Resolved {
    Parts parts;
    bool never = false;
    std::string reference;  // where the first $ref points; "": there is none
  };

  void visit(const SchemaPart& part, size_t count = 1) {
    if ((visits_ += static_cast<int64_t>(count)) > kMaxVisits)
      part.fail("", "there are too many alternatives and references");
  }

  // Adds the part, and what its $ref and allOf name, without those that are there already.
  void resolve(const SchemaPart& part, Resolved& out, std::vector<const Json*>& path) {
    visit(part, 1 + out.parts.size());
    if (part.schema->is_boolean()) {
      out.never |= !part.schema->get<bool>();
      return;
    }
    if (!part.resolved) {
      if (checked_.insert(part.schema).second) check_keywords(part);
      if (std::ranges::count(path, part.schema) > 0)
        part.fail("", "the schema refers to itself without content between");
      if (path.size() >= static_cast<size_t>(GrammarBuilder::kMaxDepth))
        part.fail(
            "", fmt::format("$ref and allOf are nested deeper than {}", GrammarBuilder::kMaxDepth));
      path.push_back(part.schema);
      if (part.find("$ref")) {
        const SchemaPart target = resolve_reference(schema_, part);
        if (out.reference.empty()) out.reference = target.where;
        resolve(target, out, path);
      }
      if (const Json* all = part.find("allOf"))
        for (size_t i = 0; i < all->size(); ++i)
          resolve(part.below("allOf", std::to_string(i), (*all)[i]), out, path);
      path.pop_back();
    }
    const auto same = [&](const SchemaPart& other) { return key_of(other) == key_of(part); };
    if (!part.restricts() || std::ranges::any_of(out.parts, same)) return;
    out.parts.push_back(part);
    out.parts.back().resolved = true;
  }

  using Key = std::tuple<const Json*, bool, bool>;
  static Key key_of(const SchemaPart& part) {
    return {part.schema, part.any_of_chosen, part.one_of_chosen};
  }

  // What fits all of `parts`. What is reached by reference is a rule, once for each list of parts.
  Fragment value(const Parts& parts, int depth) {
    if (depth > GrammarBuilder::kMaxDepth)
      parts[0].fail("",
                    fmt::format("the schema is nested deeper than {}", GrammarBuilder::kMaxDepth));
    if (b_.full()) return b_.nothing();
    Resolved resolved;
    std::vector<const Json*> path;
    for (const SchemaPart& part : parts) resolve(part, resolved, path);
    if (resolved.never) return b_.nothing();
    if (resolved.reference.empty()) return resolved_value(resolved.parts, depth);
    std::vector<Key> key;
    for (const SchemaPart& part : resolved.parts) key.push_back(key_of(part));
    std::ranges::sort(key);
    const auto [known, added] = rules_.try_emplace(std::move(key), 0);
    if (added) {
      known->second = b_.rule(fmt::format("the schema at \"{}\"", resolved.reference));
      pending_.emplace_back(known->second, std::move(resolved.parts));
    }
    return b_.call(known->second);
  }

  Fragment resolved_value(const Parts& parts, int depth) {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (const Json* choices = parts[i].find_any_of())
        return alternatives(parts, i, "anyOf", *choices, depth);
      if (const Json* choices = parts[i].find_one_of())
        return alternatives(parts, i, "oneOf", *choices, depth);
    }
    for (const SchemaPart& part : parts)
      if (part.find("enum") || part.find("const")) return enumeration(parts);
    unsigned types = kAnyType, implied = 0;
    bool is_told = false;
    for (const SchemaPart& part : parts) {
      const auto allowed = allowed_types(part);
      types &= allowed.value_or(kAnyType);
      is_told |= allowed.has_value();
      implied |= implied_types(part);
    }
    if (!is_told && implied != 0) types = implied;
    return of_types(parts, types, depth);
  }

  Fragment alternatives(Parts parts, size_t chosen, const char* keyword, const Json& choices,
                        int depth) {
    const SchemaPart from = parts[chosen];
    (*keyword == 'a' ? parts[chosen].any_of_chosen : parts[chosen].one_of_chosen) = true;
    parts.emplace_back();
    std::vector<Fragment> ways;
    for (size_t i = 0; i < choices.size(); ++i) {
      parts.back() = from.below(keyword, std::to_string(i), choices[i]);
      ways.push_back(value(parts, depth + 1));
    }
    return b_.alternatives(ways);
  }

  Fragment of_types(const Parts& parts, unsigned types, int depth) {
    const auto has = [types](unsigned type) { return (types & type) == type; };
    std::vector<Fragment> ways;
    if (has(kObjectType))
      ways.push_back(parts.empty() ? json_.object() : object(SchemaObject(parts), depth));
    if (has(kArrayType)) ways.push_back(parts.empty() ? json_.array() : array(parts, depth));
    if (has(kStringType)) ways.push_back(parts.empty() ? json_.string() : string(parts));
    if (has(kIntegerType)) {
      SchemaBounds bounds;
      for (const SchemaPart& part : parts) bounds.add(part, !has(kNumberType));
      if (has(kNumberType)) {
        ways.push_back(json_.number(bounds.min, bounds.max));
      } else {
        const auto value = [](const auto& bound) {
          return bound ? std::optional(bound->value) : std::nullopt;
        };
        ways.push_back(json_.integer(value(bounds.min), value(bounds.max)));
      }
    }
    if (has(kBooleanType)) ways.push_back(b_.words({"true", "false"}));
    if (has(kNullType)) ways.push_back(b_.literal("null"));
    return b_.alternatives(ways);
  }

  // The values that are in all the parts' lists; what else the parts ask for must be simple.
  Fragment enumeration(const Parts& parts) {
    std::vector<const Json*> values;
    bool is_first = true;
    for (const SchemaPart& part : parts) {
      for (const char* keyword : {"enum", "const"}) {
        const Json* list = part.find(keyword);
        if (!list) continue;
        if (*keyword == 'e' && !list->is_array()) part.fail("enum", "must be a list of values");
        std::vector<const Json*> listed{list};
        if (*keyword == 'e') {
          listed.clear();
          for (const Json& value : *list) listed.push_back(&value);
        }
        visit(part, listed.size());
        if (!std::exchange(is_first, false)) {
          std::set<std::string> known;
          for (const Json* value : listed) known.insert(spelled(*value, part));
          std::erase_if(values, [&](const Json* v) { return !known.contains(spelled(*v, part)); });
        } else {
          values = std::move(listed);
        }
      }
    }
    for (const SchemaPart& part : parts) {
      const unsigned types = allowed_types(part).value_or(kAnyType);
      std::erase_if(values, [&](const Json* value) { return !is_of_type(*value, types); });
    }
    for (const SchemaPart& part : parts) {
      const unsigned restricted = implied_types(part) | (part.find("format") ? kStringType : 0u);
      for (const Json* value : values)
        if (restricted != 0 && is_of_type(*value, restricted))
          part.fail("",
                    "enum and const cannot be combined with keywords that rule out some of "
                    "their values: leave these out of the list");
    }
    return json_.constants(values);
  }

  static std::string spelled(const Json& value, const SchemaPart& part) {
    if (depth_of(value) > GrammarBuilder::kMaxDepth)
      part.fail("", fmt::format("a value is nested deeper than {}", GrammarBuilder::kMaxDepth));
    return JsonText::spelled(value);
  }
  static int depth_of(const Json& value, int depth = 0) {
    if (depth > GrammarBuilder::kMaxDepth || !value.is_structured()) return depth;
    int deepest = depth;
    for (const Json& item : value) deepest = std::max(deepest, depth_of(item, depth + 1));
    return deepest;
  }

  Fragment string(const Parts& parts) {
    uint32_t min = 0;
    std::optional<uint32_t> max;
    const SchemaPart* shaped = nullptr;
    std::string pattern;
    for (const SchemaPart& part : parts) {
      min = std::max(min, part.count("minLength").value_or(0));
      if (const auto most = part.count("maxLength")) max = std::min(*most, max.value_or(*most));
      for (const char* keyword : {"pattern", "format"}) {
        const Json* value = part.find(keyword);
        if (!value) continue;
        if (!value->is_string()) part.fail(keyword, "must be a string");
        std::string wanted = value->get<std::string>();
        if (*keyword == 'f') {
          const auto known = formats().find(wanted);
          if (known == formats().end())
            part.fail(keyword, fmt::format("\"{}\" is not supported; date, time, date-time and "
                                           "uuid are",
                                           wanted.substr(0, 100)));
          wanted = known->second;
        }
        if (shaped && wanted != pattern)
          part.fail(keyword, "cannot be combined with another pattern or format");
        shaped = &part;
        pattern = std::move(wanted);
      }
    }
    if (max && min > *max) return b_.nothing();
    if (!shaped) return json_.string(min, max);
    if (min > 0 || max)
      shaped->fail("",
                   "a pattern or format cannot be combined with minLength and maxLength: write "
                   "the bounds into the pattern");
    return json_.quoted(
        pattern_content(pattern, fmt::format("the schema, at \"{}\"", shaped->where), b_, json_));
  }

  Fragment array(const Parts& parts, int depth) {
    uint32_t min = 0;
    std::optional<uint32_t> max;
    size_t prefix = 0;
    for (const SchemaPart& part : parts) {
      min = std::max(min, part.count("minItems").value_or(0));
      if (const auto most = part.count("maxItems")) max = std::min(*most, max.value_or(*most));
      const Json* first = first_items(part);
      if (!first) continue;
      prefix = std::max(prefix, first->size());
      if (further_items(part)) continue;
      const auto most = static_cast<uint32_t>(std::min<size_t>(first->size(), UINT32_MAX));
      max = std::min(most, max.value_or(most));
    }
    const auto item = [&](size_t i) {
      Parts of_all;
      for (const SchemaPart& part : parts) {
        const Json* first = first_items(part);
        if (first && i < first->size())
          of_all.push_back(part.below(part.find("prefixItems") ? "prefixItems" : "items",
                                      std::to_string(i), (*first)[i]));
        else if (const Json* further = further_items(part))
          of_all.push_back(part.below("items", *further));
      }
      return of_all.empty() ? json_.value() : value(of_all, depth + 1);
    };
    if (max && min > *max) return b_.nothing();
    const Fragment begin = b_.sequence({b_.literal("["), json_.space()});
    const Fragment close = b_.literal("]");
    const Fragment end = b_.sequence({json_.space(), close});
    std::vector<uint32_t> ways;
    if (min == 0) ways.push_back(close.start);
    uint32_t at = begin.end;
    for (uint32_t i = 0; (!max || i < *max) && !b_.full(); ++i) {
      const bool is_last = i >= prefix && i > 0;  // the same from here on
      Fragment next = item(i);
      if (i > 0) next = b_.sequence({json_.item_separator(), next});
      if (is_last) {
        const uint32_t least = min > i ? min - i : 0;
        next = b_.repeat(next, least, max ? std::optional(*max - i) : std::nullopt);
      }
      ways.push_back(next.start);
      b_.link(at, b_.choice(ways));
      at = next.end;
      ways.clear();
      if (is_last || i + 1 >= min) ways.push_back(end.start);
      if (is_last) break;
    }
    b_.link(at, ways.empty() ? b_.nothing().start : b_.choice(ways));
    return {begin.start, close.end};
  }

  // The list of schemas for an array's first items; null: there is none.
  static const Json* first_items(const SchemaPart& part) {
    const Json* first = part.find("prefixItems");
    if (first && !first->is_array()) part.fail("prefixItems", "must be a list of schemas");
    if (first) return first;
    const Json* items = part.find("items");  // before draft 2020-12
    return items && items->is_array() ? items : nullptr;
  }
  // The schema for the others.
  static const Json* further_items(const SchemaPart& part) {
    const Json* items = part.find("items");
    if (items && !items->is_array()) return items;
    if (items && part.find("prefixItems")) part.fail("items", "must be a schema");
    return items ? part.find("additionalItems") : nullptr;
  }

  Fragment object(const SchemaObject& object, int depth) {
    const auto value_of = [&](const Parts& parts) {
      return parts.empty() ? json_.value() : value(parts, depth + 1);
    };
    const Fragment begin = b_.sequence({b_.literal("{"), json_.space()});
    const Fragment close = b_.literal("}");
    const Fragment end = b_.sequence({json_.space(), close});
    // `first`: where the text goes on before the next property as long as there was none; `more`:
    // when there was one. Optional properties are passed by.
    uint32_t first = begin.end, more = b_.point();
    bool first_can_be = true, more_can_be = false;
    for (const SchemaObject::Property& property : object.properties()) {
      if (b_.full()) break;
      visit(property.at, 1 + property.parts.size());
      if (property.never) {
        if (property.required) return b_.nothing();
        continue;
      }
      const uint32_t rule = b_.as_rule(json_.property(property.name, value_of(property.parts)));
      const uint32_t next_first = b_.point(), next_more = b_.point();
      const auto way = [&](uint32_t from, bool can_be, uint32_t by, Fragment with) {
        if (!can_be) return;
        b_.link(with.end, next_more);
        b_.link(from, property.required ? with.start : b_.choice({with.start, by}));
      };
      way(first, first_can_be, next_first, b_.call(rule));
      way(more, more_can_be, next_more, b_.sequence({json_.item_separator(), b_.call(rule)}));
      first_can_be &= !property.required;
      more_can_be = true;
      first = next_first, more = next_more;
    }
    std::vector<uint32_t> ways_first{close.start}, ways_more{end.start};
    if (const auto& additional = object.additional()) {
      const uint32_t rule = b_.as_rule(json_.property(
          object.properties().empty() ? json_.string() : json_.other_name(object.names()),
          value_of(*additional)));
      const Fragment one = b_.call(rule);
      const Fragment another = b_.sequence({json_.item_separator(), b_.call(rule)});
      b_.link(one.end, more);
      b_.link(another.end, more);
      ways_first.insert(ways_first.begin(), one.start);
      ways_more.insert(ways_more.begin(), another.start);
    }
    b_.link(first, b_.choice(ways_first));
    b_.link(more, b_.choice(ways_more));
    return {begin.start, close.end};
  }

  const Json& schema_;
  GrammarBuilder& b_;
  JsonText& json_;
  int64_t visits_ = 0;
  std::set<const Json*> checked_;
  std::map<std::vector<Key>, uint32_t> rules_;
  std::vector<std::pair<uint32_t, Parts>> pending_;
};

}  // namespace

GrammarBuilder::Fragment schema_text(const nlohmann::ordered_json& document, const SchemaPart& part,
                                     GrammarBuilder& builder, JsonText& json) {
  return SchemaCompiler(document, builder, json).compile(part);
}

Result<std::shared_ptr<const Grammar>> Grammar::from_json_schema(
    const nlohmann::ordered_json& schema) {
  try {
    GrammarBuilder builder;
    JsonText json(builder);
    const uint32_t root = builder.rule("the schema");
    builder.define(root, schema_text(schema, {&schema, "#"}, builder, json));
    return std::make_shared<const Grammar>(std::move(builder).finish(root).value());
  } catch (ResultError& e) {
    return std::move(e.error);
  }
}

std::shared_ptr<const Grammar> Grammar::any_json() {
  static const auto grammar = from_json_schema({{"type", "object"}}).value();
  return grammar;
}

}  // namespace sllm
