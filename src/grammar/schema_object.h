// What several schemas together say about an object's properties.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "grammar/schema_part.h"

namespace sllm {

class SchemaObject {
 public:
  // Throws ResultError (kBadInput) on malformed keywords, and where a property is required that
  // "additionalProperties": false rules out.
  explicit SchemaObject(const std::vector<SchemaPart>& parts);

  struct Property {
    std::string name;
    SchemaPart at;                  // where it is first named
    std::vector<SchemaPart> parts;  // that its value must fit; {}: any
    bool required = false;
    bool never = false;  // a part rules it out
  };
  // In the order in which they are named, those that are only required last.
  const std::vector<Property>& properties() const { return properties_; }
  std::vector<std::string> names() const;
  // What the values of other properties must fit; nullopt: there may be none.
  const std::optional<std::vector<SchemaPart>>& additional() const { return additional_; }

 private:
  std::vector<Property> properties_;
  std::optional<std::vector<SchemaPart>> additional_;
};

}  // namespace sllm
