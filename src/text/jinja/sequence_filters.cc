// join, sort, map, selectattr, ... (jinja2/filters.py).
#include "text/jinja/sequence_filters.h"

#include <fmt/format.h>

#include <algorithm>

namespace sllm::jinja {
namespace {

using I = Interpreter&;

// What `attribute="a.b.0"` reads: names and, where a part is digits, positions.
Value read_path(I i, Value value, const Value& path, const Value& otherwise = Value()) {
  if (path.is_none()) return value;
  std::vector<Value> parts;
  if (const Text* text = path.as_text()) {
    for (size_t from = 0; from <= text->size();) {
      const size_t to = std::min(text->view().find('.', from), text->size());
      const std::string part(text->view().substr(from, to - from));
      const bool digits = !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
      parts.push_back(digits ? Value(std::stoi(part)) : Value(text->slice(from, to)));
      from = to + 1;
    }
  } else {
    parts.push_back(path);
  }
  for (const Value& part : parts) {
    value = i.get_item(value, part);
    if (!otherwise.is_none() && value.is_undefined()) value = otherwise;
  }
  return value;
}

Value fold_case(const Value& v, bool case_sensitive) {
  return v.as_text() && !case_sensitive ? Value(to_lower(*v.as_text())) : v;
}

std::vector<Value> items_of(I i, const Value& v) {
  std::vector<Value> items = iterate(v);
  i.charge(items.size());
  return items;
}

// The rest of the arguments, from `first` on, for a filter or test that is named by an argument.
Arguments rest_of(const Arguments& a, size_t first) {
  Arguments rest;
  for (size_t k = first; k < a.positional.size(); ++k) rest.positional.push_back(a.positional[k]);
  rest.named = a.named;
  return rest;
}

Value join(I i, const Value& v, Arguments& a) {
  const Text by = argument(a, 0, "d", Value(Text())).str();
  const Value attribute = argument(a, 1, "attribute", Value());
  Text out;
  bool first = true;
  for (const Value& item : items_of(i, v)) {
    if (!first) out.append(by);
    first = false;
    const Text text = read_path(i, item, attribute).str();
    i.charge_text(text.size() + by.size());
    out.append(text);
  }
  return out;
}

Value first(I i, const Value& v, Arguments&) {
  std::vector<Value> items = items_of(i, v);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(I i, const Value& v, Arguments&) {
  if (v.as_sequence() && v.as_sequence()->type == Sequence::Type::kGenerator)
    throw TemplateError("'generator' object is not reversible");
  std::vector<Value> items = items_of(i, v);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(I i, const Value& v, Arguments&) {
  std::vector<Value> items = items_of(i, v);
  std::ranges::reverse(items);
  if (!v.as_text()) return Sequence::make(std::move(items), Sequence::Type::kGenerator);
  Text out;
  for (const Value& c : items) out.append(*c.as_text());
  return out;
}

Value items_filter(I i, const Value& v, Arguments&) {
  if (!v.as_dict() && !v.is_undefined())
    throw TemplateError("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  if (const Dict* d = v.as_dict())
    for (const auto& [key, value] : d->items)
      pairs.push_back(Sequence::make({key, value}, Sequence::Type::kTuple));
  i.charge(pairs.size());
  return Sequence::make(std::move(pairs), Sequence::Type::kGenerator);
}

// Stable sort by a key that is computed once for each item.
void sort_by(I i, std::vector<Value>& items, bool descending,
             const std::function<Value(const Value&)>& key) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    keyed.emplace_back(key(item), item);
    i.charge(15 + keyed.back().first.weight());
  }
  // Python keeps equal items in order for reverse=True too.
  std::ranges::stable_sort(keyed, [descending](const auto& a, const auto& b) {
    return descending ? less(b.first, a.first) : less(a.first, b.first);
  });
  for (size_t k = 0; k < items.size(); ++k) items[k] = std::move(keyed[k].second);
}

Value sort(I i, const Value& v, Arguments& a) {
  const bool case_sensitive = argument(a, 1, "case_sensitive", Value(false)).truthy();
  const Value attribute = argument(a, 2, "attribute", Value());
  std::vector<Value> items = items_of(i, v);
  sort_by(i, items, argument(a, 0, "reverse", Value(false)).truthy(), [&](const Value& item) {
    if (!attribute.as_text()) return fold_case(read_path(i, item, attribute), case_sensitive);
    std::vector<Value> keys;  // "a,b" sorts by a, then by b
    const Text& paths = *attribute.as_text();
    for (size_t from = 0; from <= paths.size();) {
      const size_t to = std::min(paths.view().find(',', from), paths.size());
      keys.push_back(fold_case(read_path(i, item, Value(paths.slice(from, to))), case_sensitive));
      from = to + 1;
    }
    return Sequence::make(std::move(keys));
  });
  return Sequence::make(std::move(items));
}

Value dictsort(I i, const Value& v, Arguments& a) {
  const bool case_sensitive = argument(a, 0, "case_sensitive", Value(false)).truthy();
  const std::string by = argument(a, 1, "by", Value::text("key")).str().bytes();
  if (by != "key" && by != "value")
    throw TemplateError("You can only sort by either \"key\" or \"value\"");
  if (!v.as_dict()) throw TemplateError("dictsort needs a mapping");
  std::vector<Value> pairs = iterate(items_filter(i, v, a));
  sort_by(i, pairs, argument(a, 2, "reverse", Value(false)).truthy(), [&](const Value& pair) {
    return fold_case(pair.as_sequence()->items[by == "value"], case_sensitive);
  });
  return Sequence::make(std::move(pairs));
}

Value unique(I i, const Value& v, Arguments& a) {
  const bool case_sensitive = argument(a, 0, "case_sensitive", Value(false)).truthy();
  const Value attribute = argument(a, 1, "attribute", Value());
  std::vector<Value> seen, kept;
  for (const Value& item : items_of(i, v)) {
    const Value key = fold_case(read_path(i, item, attribute), case_sensitive);
    i.charge(seen.size() * (3 + key.weight()) / 16);
    if (std::ranges::any_of(seen, [&](const Value& s) { return equal(s, key); })) continue;
    seen.push_back(key);
    kept.push_back(item);
  }
  return Sequence::make(std::move(kept), Sequence::Type::kGenerator);
}

Value extreme(I i, const Value& v, Arguments& a, bool largest) {
  const bool case_sensitive = argument(a, 0, "case_sensitive", Value(false)).truthy();
  const Value attribute = argument(a, 1, "attribute", Value());
  const std::vector<Value> items = items_of(i, v);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const auto key = [&](const Value& item) {
    return fold_case(read_path(i, item, attribute), case_sensitive);
  };
  const Value* best = &items[0];
  for (const Value& item : items)
    if (largest ? less(key(*best), key(item)) : less(key(item), key(*best))) best = &item;
  return *best;
}

Value sum(I i, const Value& v, Arguments& a) {
  const Value attribute = argument(a, 0, "attribute", Value());
  Value start = argument(a, 1, "start", Value(0));
  if (start.as_text()) throw TemplateError("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : items_of(i, v))
    start = i.binary("+", start, read_path(i, item, attribute));
  return start;
}

Value map(I i, const Value& v, Arguments& a) {
  std::vector<Value> out;
  const Value attribute = argument(a, SIZE_MAX, "attribute", Value());
  if (a.positional.empty() && attribute.is_none())
    throw TemplateError("map requires a filter argument");
  for (const Value& item : items_of(i, v))
    out.push_back(
        a.positional.empty()
            ? read_path(i, item, attribute, argument(a, SIZE_MAX, "default", Value()))
            : i.apply_filter(as_string(a.positional[0], "filter").view(), item, rest_of(a, 1)));
  return Sequence::make(std::move(out), Sequence::Type::kGenerator);
}

// select, reject (by the item) and selectattr, rejectattr (by an attribute of it).
Value choose(I i, const Value& v, Arguments& a, bool by_attribute, bool wanted) {
  const size_t first = by_attribute ? 1 : 0;
  if (a.positional.size() < first) throw TemplateError("Missing parameter for attribute name");
  std::vector<Value> kept;
  for (const Value& item : items_of(i, v)) {
    const Value subject = by_attribute ? read_path(i, item, a.positional[0]) : item;
    const bool holds = a.positional.size() > first
                           ? i.apply_test(as_string(a.positional[first], "test").view(), subject,
                                          rest_of(a, first + 1))
                           : subject.truthy();
    if (holds == wanted) kept.push_back(item);
  }
  return Sequence::make(std::move(kept), Sequence::Type::kGenerator);
}

Value batch(I i, const Value& v, Arguments& a) {
  const int64_t size = as_index(argument(a, 0, "linecount", Value()), "linecount");
  const Value fill = argument(a, 1, "fill_with", Value());
  std::vector<Value> rows, row;
  const std::vector<Value> items = items_of(i, v);
  for (const Value& item : items) {
    if (static_cast<int64_t>(row.size()) == size)
      rows.push_back(Sequence::make(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty() && !fill.is_none() && size > static_cast<int64_t>(row.size())) {
    i.charge(static_cast<uint64_t>(size));
    row.resize(static_cast<size_t>(size), fill);
  }
  if (!row.empty()) rows.push_back(Sequence::make(std::move(row)));
  return Sequence::make(std::move(rows), Sequence::Type::kGenerator);
}

Value slice(I i, const Value& v, Arguments& a) {
  const int64_t slices = as_index(argument(a, 0, "slices", Value()), "slices");
  const Value fill = argument(a, 1, "fill_with", Value());
  if (slices < 1 || slices > 100'000) throw TemplateError("slice: the number is out of range");
  const std::vector<Value> items = items_of(i, v);
  i.charge(static_cast<uint64_t>(slices));
  const size_t n = static_cast<size_t>(slices), each = items.size() / n, more = items.size() % n;
  std::vector<Value> columns;
  for (size_t k = 0, from = 0; k < n; ++k) {
    const size_t to = from + each + (k < more);
    std::vector<Value> column(items.begin() + static_cast<ptrdiff_t>(from),
                              items.begin() + static_cast<ptrdiff_t>(to));
    if (!fill.is_none() && k >= more) column.push_back(fill);
    columns.push_back(Sequence::make(std::move(column)));
    from = to;
  }
  return Sequence::make(std::move(columns), Sequence::Type::kGenerator);
}

Value groupby(I i, const Value& v, Arguments& a) {
  const Value attribute = argument(a, 0, "attribute", Value());
  const Value otherwise = argument(a, 1, "default", Value());
  const bool case_sensitive = argument(a, 2, "case_sensitive", Value(false)).truthy();
  const auto key = [&](const Value& item) {
    return fold_case(read_path(i, item, attribute, otherwise), case_sensitive);
  };
  std::vector<Value> items = items_of(i, v), groups;
  sort_by(i, items, false, key);
  for (size_t from = 0; from < items.size();) {
    size_t to = from + 1;
    while (to < items.size() && equal(key(items[to]), key(items[from]))) ++to;
    std::vector<Value> group(items.begin() + static_cast<ptrdiff_t>(from),
                             items.begin() + static_cast<ptrdiff_t>(to));
    groups.push_back(Sequence::make(
        {read_path(i, group[0], attribute, otherwise), Sequence::make(std::move(group))},
        Sequence::Type::kTuple, "group"));
    from = to;
  }
  return Sequence::make(std::move(groups));
}

constexpr Builtin<Filter> kFilters[] = {
    {"join", join, "d? attribute?"},
    {"first", first},
    {"last", last},
    {"reverse", reverse},
    {"list", [](I i, const Value& v, Arguments&) { return Sequence::make(items_of(i, v)); }},
    {"items", items_filter},
    {"sort", sort, "reverse? case_sensitive? attribute?"},
    {"dictsort", dictsort, "case_sensitive? by? reverse?"},
    {"unique", unique, "case_sensitive? attribute?"},
    {"min", [](I i, const Value& v, Arguments& a) { return extreme(i, v, a, false); },
     "case_sensitive? attribute?"},
    {"max", [](I i, const Value& v, Arguments& a) { return extreme(i, v, a, true); },
     "case_sensitive? attribute?"},
    {"sum", sum, "attribute? start?"},
    {"map", map, nullptr},
    {"select", [](I i, const Value& v, Arguments& a) { return choose(i, v, a, false, true); },
     nullptr},
    {"reject", [](I i, const Value& v, Arguments& a) { return choose(i, v, a, false, false); },
     nullptr},
    {"selectattr", [](I i, const Value& v, Arguments& a) { return choose(i, v, a, true, true); },
     nullptr},
    {"rejectattr", [](I i, const Value& v, Arguments& a) { return choose(i, v, a, true, false); },
     nullptr},
    {"batch", batch, "linecount fill_with?"},
    {"slice", slice, "slices fill_with?"},
    {"groupby", groupby, "attribute default? case_sensitive?"},
};

}  // namespace

const Builtin<Filter>* find_sequence_filter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, &Builtin<Filter>::name);
  return found == std::end(kFilters) ? nullptr : found;
}

}  // namespace sllm::jinja
