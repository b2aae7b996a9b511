// The values of a template, with Python's behaviour: truth, equality, order, str() and repr().
// Containers do not change once made (the sandbox forbids it), namespaces do.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/text.h"

namespace sllm::jinja {

// What evaluation throws; it never leaves this folder's render() and parse().
struct TemplateError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Value;
struct Sequence;
struct Dict;
struct Namespace;
struct Callable;
struct LoopState;
struct Undefined {
  std::shared_ptr<const std::string> why;  // "'x' is undefined"
};
struct None {};

class Value {
 public:
  using TextPtr = std::shared_ptr<const Text>;
  using SequencePtr = std::shared_ptr<Sequence>;
  using DictPtr = std::shared_ptr<Dict>;
  using NamespacePtr = std::shared_ptr<Namespace>;
  using CallablePtr = std::shared_ptr<const Callable>;
  using LoopPtr = std::shared_ptr<LoopState>;

  Value() : data_(None{}) {}
  Value(bool b) : data_(b) {}
  Value(int64_t i) : data_(i) {}
  Value(int i) : data_(int64_t{i}) {}
  Value(size_t n) : data_(static_cast<int64_t>(n)) {}
  Value(double d) : data_(d) {}
  Value(const char*) = delete;
  Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  Value(TextPtr text) : data_(std::move(text)) {}
  Value(SequencePtr s) : data_(std::move(s)) {}
  Value(DictPtr d) : data_(std::move(d)) {}
  Value(NamespacePtr n) : data_(std::move(n)) {}
  Value(CallablePtr c) : data_(std::move(c)) {}
  Value(LoopPtr l) : data_(std::move(l)) {}
  static Value undefined(std::string why);
  static Value text(std::string_view bytes, Origin origin = kTemplate) {
    return Value(Text(bytes, origin));
  }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }  // not bool
  bool is_float() const { return std::holds_alternative<double>(data_); }
  const Text* as_text() const;
  Sequence* as_sequence() const;
  Dict* as_dict() const;
  Namespace* as_namespace() const;
  const Callable* as_callable() const;
  const LoopPtr* as_loop() const { return std::get_if<LoopPtr>(&data_); }
  // bool, int: the number; otherwise nullopt.
  std::optional<int64_t> as_integer() const;
  std::optional<double> as_number() const;  // float too
  const SequencePtr& sequence_ptr() const { return std::get<SequencePtr>(data_); }
  const DictPtr& dict_ptr() const { return std::get<DictPtr>(data_); }
  const std::string& undefined_reason() const;

  // Python's type name: "str", "list", "dict", "int", "NoneType", ...
  std::string_view type_name() const;
  bool truthy() const;
  Text str() const;
  Text repr() const;
  size_t depth() const;  // of nested containers
  // Nodes and 16ths of bytes that walking all of it visits; what is shared counts each time.
  size_t weight() const;
  const void* identity() const;

 private:
  std::variant<None, Undefined, bool, int64_t, double, TextPtr, SequencePtr, DictPtr, NamespacePtr,
               CallablePtr, LoopPtr>
      data_;
};

// Lists and what behaves like them. A generator's items can be taken once.
struct Sequence {
  enum class Type { kList, kTuple, kGenerator, kDictView, kRange };
  Type type = Type::kList;
  std::vector<Value> items;
  size_t depth = 1, weight = 1;
  // How it prints, where not by its type alone: "dict_keys", "range(0, 3)"; "group" for a pair of
  // groupby, which has names too.
  std::string label = "";
  static Value make(std::vector<Value> items, Type type = Type::kList, std::string label = "");
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  size_t depth = 1, weight = 1;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);
};

struct Namespace {
  Dict attributes;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Interpreter;
struct Callable {
  std::string name;
  const char* type = "function";
  std::function<Value(Interpreter&, Arguments&)> call;
  // Attributes beside the call, as a macro's name; may be empty.
  std::function<std::optional<Value>(std::string_view)> attribute;
};

// What the name `loop` stands for inside a for loop.
struct LoopState {
  std::vector<Value> items;
  size_t at = 0;     // loop.index0
  size_t level = 0;  // loop.depth0
  Value recurse;     // what loop(...) calls; none when the loop is not recursive
  std::optional<Value> last_changed;
};

inline constexpr size_t kMaxNesting = 100;
inline constexpr size_t kMaxWeight = size_t{1} << 22;  // of what is written or compared

bool equal(const Value& a, const Value& b);
// Python's `a < b`; throws where it raises TypeError.
bool less(const Value& a, const Value& b);
// `item in container`.
bool contains(const Value& container, const Value& item);
// What iter(value) yields; throws for values that cannot be iterated. Empties a generator.
std::vector<Value> iterate(const Value& value);
bool is_iterable(const Value& value);
// len(value), nullopt where Python raises.
std::optional<size_t> length_of(const Value& value);
std::string float_repr(double value);
// A JSON value whose every byte of text says `origin`. Throws when nested deeper than kMaxNesting.
Value from_json(const nlohmann::ordered_json& json, Origin origin, size_t depth = 0);

}  // namespace sllm::jinja
