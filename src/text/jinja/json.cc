// tojson as transformers sets it up: json.dumps without escaping HTML or (by default) Unicode.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/unicode.h"

namespace sllm::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Interpreter& interpreter, Arguments& options) : interpreter_(interpreter) {
    ascii_ = argument(options, 0, "ensure_ascii", Value(false)).truthy();
    sort_ = argument(options, 3, "sort_keys", Value(false)).truthy();
    const Value indent = argument(options, 1, "indent", Value());
    if (const Text* text = indent.as_text())
      indent_ = *text;
    else if (!indent.is_none())
      indent_ = Text(
          std::string(static_cast<size_t>(std::clamp<int64_t>(as_index(indent, "indent"), 0, 64)),
                      ' '),
          kTemplate);
    if (indent_) item_ = Text(",", kTemplate);
    if (const Value s = argument(options, 2, "separators", Value()); !s.is_none()) {
      const std::vector<Value> pair = iterate(s);
      if (pair.size() != 2) throw TemplateError("tojson: separators are a pair");
      item_ = as_string(pair[0], "separator");
      key_ = as_string(pair[1], "separator");
    }
  }

  Text write(const Value& value) {
    put(value, 0);
    return std::move(out_);
  }

 private:
  void put(std::string_view text) { out_.append(text, kTemplate); }

  void put(const Value& v, size_t level) {
    interpreter_.charge(1);
    if (const Text* text = v.as_text()) return put_string(*text);
    if (v.is_none()) return put("null");
    if (v.is_bool()) return put(v.truthy() ? "true" : "false");
    if (v.is_int()) return put(std::to_string(*v.as_integer()));
    if (v.is_float()) return put_float(*v.as_number());
    if (const Dict* d = v.as_dict()) return put_dict(*d, level);
    const Sequence* s = v.as_sequence();
    if (!s || (s->type != Sequence::Type::kList && s->type != Sequence::Type::kTuple))
      throw TemplateError(fmt::format("Object of type {} is not JSON serializable", v.type_name()));
    if (s->items.empty()) return put("[]");
    put("[");
    for (size_t i = 0; i < s->items.size(); ++i) {
      if (i) out_.append(item_);
      new_line(level + 1);
      put(s->items[i], level + 1);
    }
    new_line(level);
    put("]");
  }

  void put_dict(const Dict& d, size_t level) {
    if (d.items.empty()) return put("{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : d.items) items.push_back(&item);
    if (sort_)
      std::ranges::stable_sort(items, [](auto* a, auto* b) { return less(a->first, b->first); });
    put("{");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_.append(item_);
      new_line(level + 1);
      put_key(items[i]->first);
      out_.append(key_);
      put(items[i]->second, level + 1);
    }
    new_line(level);
    put("}");
  }

  void put_key(const Value& key) {
    if (const Text* text = key.as_text()) return put_string(*text);
    if (key.as_sequence() || key.as_dict() || key.identity() || key.is_undefined())
      throw TemplateError(
          fmt::format("keys must be str, int, float, bool or None, not {}", key.type_name()));
    put("\"");
    put(key, 0);
    put("\"");
  }

  void put_float(double value) {
    put(std::isnan(value)   ? "NaN"
        : std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity")
                            : float_repr(value));
  }

  void new_line(size_t level) {
    if (!indent_) return;
    put("\n");
    interpreter_.charge_text(level * indent_->size());
    for (size_t i = 0; i < level; ++i) out_.append(*indent_);
  }

  void put_string(const Text& text) {
    interpreter_.charge_text(text.size());
    const std::string_view bytes = text.view();
    out_.append("\"", text.origin_near(0));
    size_t done = 0;
    for (size_t i = 0; i < bytes.size();) {
      const unicode::Char c = unicode::decode(bytes.data() + i);
      const std::string escaped = escape(c.code);
      if (!escaped.empty()) {
        out_.append(text, done, i);
        out_.append(escaped, text.origin_at(i));
        done = i + c.length;
      }
      i += c.length;
    }
    out_.append(text, done, bytes.size());
    out_.append("\"", text.origin_near(bytes.size()));
  }

  std::string escape(char32_t code) const {
    switch (code) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    const auto unit = [](uint32_t u) { return fmt::format("\\u{:04x}", u); };
    if (code < 0x20 || (ascii_ && code > 0x7E && code < 0x10000)) return unit(code);
    if (!ascii_ || code <= 0x7E) return "";
    const uint32_t rest = code - 0x10000;
    return unit(0xD800 + (rest >> 10)) + unit(0xDC00 + (rest & 0x3FF));
  }

  Interpreter& interpreter_;
  bool ascii_ = false, sort_ = false;
  std::optional<Text> indent_;
  Text item_{", ", kTemplate}, key_{": ", kTemplate};
  Text out_;
};

}  // namespace

Text to_json(Interpreter& interpreter, const Value& value, Arguments& options) {
  return JsonWriter(interpreter, options).write(value);
}

}  // namespace sllm::jinja
