// Python's semantics for the values of a template.
#include "text/jinja/value.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/unicode.h"

namespace sllm::jinja {

Value Value::undefined(std::string why) {
  Value v;
  v.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return v;
}

namespace {
template <class T>
auto* get_raw(const auto& data) {
  const auto* p = std::get_if<T>(&data);
  return p ? p->get() : nullptr;
}
}  // namespace

const Text* Value::as_text() const { return get_raw<TextPtr>(data_); }
Sequence* Value::as_sequence() const { return get_raw<SequencePtr>(data_); }
Dict* Value::as_dict() const { return get_raw<DictPtr>(data_); }
Namespace* Value::as_namespace() const { return get_raw<NamespacePtr>(data_); }
const Callable* Value::as_callable() const { return get_raw<CallablePtr>(data_); }

std::optional<int64_t> Value::as_integer() const {
  if (const auto* b = std::get_if<bool>(&data_)) return *b;
  if (const auto* i = std::get_if<int64_t>(&data_)) return *i;
  return std::nullopt;
}
std::optional<double> Value::as_number() const {
  if (const auto* d = std::get_if<double>(&data_)) return *d;
  if (const auto i = as_integer()) return static_cast<double>(*i);
  return std::nullopt;
}
const std::string& Value::undefined_reason() const { return *std::get<Undefined>(data_).why; }

const void* Value::identity() const {
  if (const void* p = as_text()) return p;
  if (const void* p = as_sequence()) return p;
  if (const void* p = as_dict()) return p;
  if (const void* p = as_namespace()) return p;
  if (as_loop()) return as_loop()->get();
  return as_callable();
}

std::string_view Value::type_name() const {
  if (is_none()) return "NoneType";
  if (is_undefined()) return "Undefined";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (as_text()) return "str";
  if (as_dict()) return "dict";
  if (as_namespace()) return "Namespace";
  if (const Callable* c = as_callable()) return c->type;
  if (as_loop()) return "LoopContext";
  switch (as_sequence()->type) {
    case Sequence::Type::kList:
      return "list";
    case Sequence::Type::kTuple:
      return "tuple";
    case Sequence::Type::kGenerator:
      return "generator";
    case Sequence::Type::kDictView:
      return as_sequence()->label;
    case Sequence::Type::kRange:
      return "range";
  }
  return "object";
}

bool Value::truthy() const {
  if (is_none() || is_undefined()) return false;
  if (const auto n = as_number()) return *n != 0;
  if (const Text* t = as_text()) return !t->empty();
  if (const Sequence* s = as_sequence())
    return s->type == Sequence::Type::kGenerator || !s->items.empty();
  if (const Dict* d = as_dict()) return !d->items.empty();
  return true;
}

size_t Value::depth() const {
  if (const Sequence* s = as_sequence()) return s->depth;
  if (const Dict* d = as_dict()) return d->depth;
  return 0;
}

size_t Value::weight() const {
  if (const Text* t = as_text()) return 1 + t->size() / 16;
  if (const Sequence* s = as_sequence()) return s->weight;
  if (const Dict* d = as_dict()) return d->weight;
  return 1;
}

// Shortest digits that read back, in Python's layout: exponent form outside of 1e-4 .. 1e16.
std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double magnitude = std::fabs(value);
  const bool exponent = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e16);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  std::string text(buffer, end);
  if (!exponent && text.find('.') == std::string::npos) text += ".0";
  return text;
}

namespace {

void append_quoted(Text& out, const Text& text) {
  const std::string_view bytes = text.view();
  const char quote =
      bytes.find('\'') != std::string_view::npos && bytes.find('"') == std::string_view::npos
          ? '"'
          : '\'';
  out.append({&quote, 1}, text.origin_near(0));
  for (size_t i = 0; i < bytes.size();) {
    const unicode::Char c = unicode::decode(bytes.data() + i);
    const Origin origin = text.origin_at(i);
    const auto code = static_cast<uint32_t>(c.code);
    const std::string_view simple = code == '\n'   ? "\\n"
                                    : code == '\r' ? "\\r"
                                    : code == '\t' ? "\\t"
                                    : code == '\\' ? "\\\\"
                                                   : "";
    const bool printable =
        code == ' ' || (!(U_GET_GC_MASK(static_cast<UChar32>(code)) & (U_GC_C_MASK | U_GC_Z_MASK)));
    if (!simple.empty())
      out.append(simple, origin);
    else if (code == static_cast<uint32_t>(quote))
      out.append(std::string("\\") + quote, origin);
    else if (printable)
      out.append(bytes.substr(i, c.length), origin);
    else
      out.append(code <= 0xFF     ? fmt::format("\\x{:02x}", code)
                 : code <= 0xFFFF ? fmt::format("\\u{:04x}", code)
                                  : fmt::format("\\U{:08x}", code),
                 origin);
    i += c.length;
  }
  out.append({&quote, 1}, text.origin_near(bytes.size()));
}

void append_items(Text& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out.append(", ", kTemplate);
    out.append(items[i].repr());
  }
}

}  // namespace

Text Value::repr() const {
  if (weight() > kMaxWeight) throw TemplateError("a value is too large to be written as text");
  Text out;
  const auto put = [&out](std::string_view s) { out.append(s, kTemplate); };
  if (const Text* t = as_text()) {
    if (t->markup()) put("Markup(");
    append_quoted(out, *t);
    if (t->markup()) put(")");
  } else if (const Sequence* s = as_sequence()) {
    const bool tuple = s->type == Sequence::Type::kTuple;
    if (s->type == Sequence::Type::kGenerator) return Text("<generator object>", kTemplate);
    if (s->type == Sequence::Type::kRange && s->label.empty())
      throw TemplateError("a slice of a range cannot be written as text");
    if (s->type == Sequence::Type::kRange) return Text(s->label, kTemplate);
    const bool view = s->type == Sequence::Type::kDictView;
    if (view) put(s->label + "(");
    put(tuple ? "(" : "[");
    append_items(out, s->items);
    put(tuple ? (s->items.size() == 1 ? ",)" : ")") : "]");
    if (view) put(")");
  } else if (const Dict* d = as_dict()) {
    put("{");
    for (size_t i = 0; i < d->items.size(); ++i) {
      if (i) put(", ");
      out.append(d->items[i].first.repr());
      put(": ");
      out.append(d->items[i].second.repr());
    }
    put("}");
  } else if (is_undefined()) {
    put("Undefined");
  } else if (is_none()) {
    put("None");
  } else if (is_bool()) {
    put(truthy() ? "True" : "False");
  } else if (const auto i = as_integer()) {
    put(std::to_string(*i));
  } else if (const auto n = as_number()) {
    put(float_repr(*n));
  } else if (as_namespace()) {  // it may hold itself
    throw TemplateError("a namespace cannot be written as text");
  } else if (const LoopPtr* loop = as_loop()) {
    put(fmt::format("<LoopContext {}/{}>", (*loop)->at + 1, (*loop)->items.size()));
  } else if (const Callable* c = as_callable()) {
    put(fmt::format("<{} '{}'>", c->type, c->name));
  }
  return out;
}

Text Value::str() const {
  if (const Text* t = as_text()) return *t;
  if (is_undefined()) return {};
  return repr();
}

// Shared parts count each time, so that sums can double with every level: they stay at the top.
static size_t add_weight(size_t a, size_t b) { return std::min(a + b, 2 * kMaxWeight); }

Value Sequence::make(std::vector<Value> items, Type type, std::string label) {
  size_t depth = 0, weight = 1;
  for (const Value& v : items) {
    depth = std::max(depth, v.depth());
    weight = add_weight(weight, v.weight());
  }
  if (depth + 1 > kMaxNesting) throw TemplateError("values are nested too deeply");
  return Value(std::make_shared<Sequence>(
      Sequence{type, std::move(items), depth + 1, weight, std::move(label)}));
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [k, v] : items)
    if (equal(k, key)) return &v;
  return nullptr;
}
const Value* Dict::find(std::string_view key) const {
  for (const auto& [k, v] : items)
    if (const Text* t = k.as_text(); t && t->view() == key) return &v;
  return nullptr;
}
void Dict::set(Value key, Value value) {
  if (key.as_dict() || (key.as_sequence() && key.as_sequence()->type == Sequence::Type::kList))
    throw TemplateError(fmt::format("unhashable type: '{}'", key.type_name()));
  depth = std::max({depth, value.depth() + 1, key.depth() + 1});
  weight = add_weight(weight, add_weight(key.weight(), value.weight()));
  if (depth > kMaxNesting) throw TemplateError("values are nested too deeply");
  for (auto& [k, v] : items)
    if (equal(k, key)) {
      v = std::move(value);
      return;
    }
  items.emplace_back(std::move(key), std::move(value));
}

bool equal(const Value& a, const Value& b) {
  if (const auto x = a.as_integer(), y = b.as_integer(); x && y) return *x == *y;
  if (const auto x = a.as_number(), y = b.as_number(); x && y) return *x == *y;
  if (const Text* x = a.as_text(), *y = b.as_text(); x && y) return x->view() == y->view();
  if (std::min(a.weight(), b.weight()) > kMaxWeight)
    throw TemplateError("values are too large to be compared");
  if (const Sequence* x = a.as_sequence(), *y = b.as_sequence(); x && y)
    return x == y || (x->type == y->type && x->type != Sequence::Type::kGenerator &&
                      std::ranges::equal(x->items, y->items, equal));
  if (const Dict* x = a.as_dict(), *y = b.as_dict(); x && y) {
    return x->items.size() == y->items.size() && std::ranges::all_of(x->items, [y](const auto& kv) {
             const Value* other = y->find(kv.first);
             return other && equal(kv.second, *other);
           });
  }
  if (a.is_none() && b.is_none()) return true;
  if (a.is_undefined() && b.is_undefined()) return true;
  return a.identity() && a.identity() == b.identity();
}

bool less(const Value& a, const Value& b) {
  if (const auto x = a.as_integer(), y = b.as_integer(); x && y) return *x < *y;
  if (const auto x = a.as_number(), y = b.as_number(); x && y) return *x < *y;
  if (const Text* x = a.as_text(), *y = b.as_text(); x && y) return x->view() < y->view();
  if (const Sequence* x = a.as_sequence(), *y = b.as_sequence(); x && y && x->type == y->type) {
    const auto [i, j] = std::ranges::mismatch(x->items, y->items, equal);
    if (j == y->items.end()) return false;
    return i == x->items.end() || less(*i, *j);
  }
  if (a.is_undefined()) throw TemplateError(a.undefined_reason());
  if (b.is_undefined()) throw TemplateError(b.undefined_reason());
  throw TemplateError(fmt::format("'<' not supported between instances of '{}' and '{}'",
                                  a.type_name(), b.type_name()));
}

bool contains(const Value& container, const Value& item) {
  if (const Text* t = container.as_text()) {
    const Text* what = item.as_text();
    if (!what)
      throw TemplateError(
          fmt::format("'in <string>' requires string as left operand, not {}", item.type_name()));
    return find_in(t->view(), what->view()) != std::string_view::npos;
  }
  if (const Dict* d = container.as_dict()) return d->find(item) != nullptr;
  return std::ranges::any_of(iterate(container), [&](const Value& v) { return equal(v, item); });
}

bool is_iterable(const Value& value) {
  return value.as_text() || value.as_sequence() || value.as_dict() || value.is_undefined();
}

std::vector<Value> iterate(const Value& value) {
  if (Sequence* s = value.as_sequence())
    return s->type == Sequence::Type::kGenerator ? std::exchange(s->items, {}) : s->items;
  std::vector<Value> items;
  if (const Text* t = value.as_text()) {
    for (size_t i = 0; i < t->size();) {
      const size_t next = i + unicode::decode(t->bytes().data() + i).length;
      items.emplace_back(t->slice(i, next));
      i = next;
    }
  } else if (const Dict* d = value.as_dict()) {
    for (const auto& [key, v] : d->items) items.push_back(key);
  } else if (!value.is_undefined()) {
    throw TemplateError(fmt::format("'{}' object is not iterable", value.type_name()));
  }
  return items;
}

std::optional<size_t> length_of(const Value& value) {
  if (const Text* t = value.as_text()) return count_chars(t->view());
  if (const Dict* d = value.as_dict()) return d->items.size();
  if (const Sequence* s = value.as_sequence(); s && s->type != Sequence::Type::kGenerator)
    return s->items.size();
  if (value.is_undefined()) return 0;
  return std::nullopt;
}

Value from_json(const nlohmann::ordered_json& json, Origin origin, size_t depth) {
  if (depth > kMaxNesting) throw TemplateError("values are nested too deeply");
  switch (json.type()) {
    case nlohmann::json::value_t::boolean:
      return json.get<bool>();
    case nlohmann::json::value_t::number_integer:
      return json.get<int64_t>();
    case nlohmann::json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) return json.get<double>();
      return json.get<int64_t>();
    case nlohmann::json::value_t::number_float:
      return json.get<double>();
    case nlohmann::json::value_t::string:
      return Value::text(unicode::sanitize_utf8(json.get_ref<const std::string&>()), origin);
    case nlohmann::json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(from_json(item, origin, depth + 1));
      return Sequence::make(std::move(items));
    }
    case nlohmann::json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : json.items()) {
        Value value = from_json(item, origin, depth + 1);
        dict->depth = std::max(dict->depth, value.depth() + 1);
        dict->weight = add_weight(dict->weight, add_weight(1 + key.size() / 16, value.weight()));
        // Keys of a parsed object differ already; set() would look for each one.
        dict->items.emplace_back(Value::text(unicode::sanitize_utf8(key), origin),
                                 std::move(value));
      }
      return Value(std::move(dict));
    }
    default:
      return Value();
  }
}

}  // namespace sllm::jinja
