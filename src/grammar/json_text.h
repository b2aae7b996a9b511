// The pieces of JSON texts as grammar fragments: what Grammar::from_json_schema says about blanks,
// strings and numbers is made here.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/builder.h"

namespace sllm {

class JsonText {
 public:
  using Fragment = GrammarBuilder::Fragment;
  using Json = nlohmann::ordered_json;

  explicit JsonText(GrammarBuilder& builder) : b_(builder) {}

  Fragment value();                                                     // any
  Fragment object();                                                    // any
  Fragment array();                                                     // any
  Fragment string(uint32_t min = 0, std::optional<uint32_t> max = {});  // bounds in characters
  // A string's characters from the set, each spelled in one way only: as itself or, where it must
  // be, as an escape.
  Fragment characters_of(const CodeSet& set);
  Fragment quoted(Fragment content);

  // One of the values; objects and arrays among them may have blanks as others.
  Fragment constants(const std::vector<const Json*>& values);

  Fragment space();  // between the parts of an object or array
  Fragment item_separator() { return b_.sequence({b_.literal(","), space()}); }
  // Property by name and value.
  Fragment property(std::string_view name, Fragment value);
  Fragment property(Fragment name, Fragment value);

  // A string that is none of `names`, spelled in one way only.
  Fragment other_name(const std::vector<std::string>& names);

  // min > max: nothing. Without bounds at most 16 digits.
  Fragment integer(std::optional<int64_t> min, std::optional<int64_t> max);
  struct Bound {
    int64_t value;
    bool exclusive;
  };
  // Bounds within 2^53; where there are some, there is no exponent.
  Fragment number(std::optional<Bound> min, std::optional<Bound> max);

  static std::string spelled(const Json& scalar);

 private:
  using Shared = std::optional<uint32_t>;  // a rule, made when it is first asked for
  template <class Make>
  Fragment shared(Shared& rule, Make&& make) {
    if (!rule) {
      rule = b_.rule("a JSON value");
      b_.define(*rule, make());
    }
    return b_.call(*rule);
  }
  Fragment character();
  Fragment constant(const Json& value, int depth);
  Fragment digits(std::string_view low, std::string_view high);
  Fragment natural(uint64_t min, uint64_t max);
  Fragment magnitude(Bound min, Bound max);
  enum class Digits { kAny, kZero, kNotZero };
  Fragment fraction(Digits kind);  // the point and what is behind it

  GrammarBuilder& b_;
  Shared space_, character_, string_, value_, object_, array_, number_;
};

}  // namespace sllm
