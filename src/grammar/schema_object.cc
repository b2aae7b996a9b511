#include "grammar/schema_object.h"

#include <algorithm>
#include <map>

namespace sllm {

using Json = SchemaPart::Json;

SchemaObject::SchemaObject(const std::vector<SchemaPart>& parts) {
  std::map<std::string, size_t, std::less<>> number;
  const auto add = [&](const std::string& name, SchemaPart at) -> Property& {
    const auto [known, added] = number.try_emplace(name, properties_.size());
    if (added) properties_.push_back({name, std::move(at), {}});
    return properties_[known->second];
  };
  // Which parts name the property: the others' additionalProperties are about it.
  std::vector<std::vector<size_t>> named_by;
  bool closed = false, told = false;
  for (size_t p = 0; p < parts.size(); ++p) {
    const SchemaPart& part = parts[p];
    const Json* properties = part.find("properties");
    if (!properties) continue;
    if (!properties->is_object()) part.fail("properties", "must be an object");
    for (const auto& [name, schema] : properties->items()) {
      const SchemaPart at = part.below("properties", name, schema);
      Property& property = add(name, at);
      named_by.resize(properties_.size());
      named_by[number[name]].push_back(p);
      property.parts.push_back(at);
    }
    told = true;
  }
  for (const SchemaPart& part : parts) {
    const Json* required = part.find("required");
    if (!required) continue;
    if (!required->is_array()) part.fail("required", "must be a list of names");
    for (const Json& name : *required) {
      if (!name.is_string()) part.fail("required", "must be a list of names");
      add(name.get<std::string>(), part).required = true;
    }
  }
  named_by.resize(properties_.size());

  std::vector<SchemaPart> further;
  bool open = false;
  for (size_t p = 0; p < parts.size(); ++p) {
    const Json* additional = parts[p].find("additionalProperties");
    if (!additional) continue;
    const SchemaPart at = parts[p].below("additionalProperties", *additional);
    const bool none = *additional == false;
    closed |= none;
    open |= !none;
    if (!additional->is_boolean()) further.push_back(at);
    for (size_t i = 0; i < properties_.size(); ++i) {
      Property& property = properties_[i];
      if (std::ranges::count(named_by[i], p) > 0) continue;
      if (none && property.required)
        parts[p].fail("required",
                      fmt::format("\"{}\" is not among the properties, and there may be "
                                  "no others",
                                  property.name.substr(0, 100)));
      property.never |= none;
      if (!additional->is_boolean()) property.parts.push_back(at);
    }
  }
  if (!closed && (open || !told)) additional_ = std::move(further);
}

std::vector<std::string> SchemaObject::names() const {
  std::vector<std::string> out;
  for (const Property& property : properties_) out.push_back(property.name);
  return out;
}

}  // namespace sllm
