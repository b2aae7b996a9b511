// Rows of a file to token ids with their targets.
#include "train/samples.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/rng.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "train/sample_rows.h"

namespace sllm {

Sample cut_sample(SampleSet& set, std::vector<TokenId> ids, std::vector<TokenId> labels,
                  int64_t max_length) {
  if (static_cast<int64_t>(ids.size()) > max_length) {
    ids.resize(static_cast<size_t>(max_length));
    labels.resize(ids.size());
    ++set.cut;
  }
  Sample sample{std::move(ids), {}};
  sample.targets.assign(sample.ids.size(), -1);
  for (size_t i = 0; i + 1 < labels.size(); ++i)
    if (labels[i + 1] >= 0) sample.targets[i] = labels[i + 1];
  return sample;
}

Status check_rows(std::span<const TokenId> ids, const Reader& reader) {
  for (const TokenId id : ids)
    if (id >= reader.vocabulary)
      return bad_input("the tokenizer makes {} (id {}) of it, but the embedding has {} rows",
                       reader.tokenizer->token_bytes(id), id, reader.vocabulary);
  return ok();
}

bool first_row_has(std::string_view text, const char* key) {
  const auto row = nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  return row.is_object() && row.contains(key);
}

Result<std::vector<TokenId>> read_ids(const nlohmann::json& row, const char* key, int64_t lowest,
                                      int64_t vocabulary) {
  const auto at = row.find(key);
  if (at == row.end() || !at->is_array()) return bad_input("expected an array \"{}\"", key);
  std::vector<TokenId> ids;
  ids.reserve(at->size());
  for (const auto& value : *at) {
    const int64_t id = value.is_number_integer() ? value.get<int64_t>() : INT64_MIN;
    if (id < lowest || id >= vocabulary)
      return bad_input("\"{}\" holds {}, expected token ids below {}", key, value.dump(),
                       vocabulary);
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

Status for_each_row(
    std::string_view text, const std::string& file,
    const std::function<Status(const nlohmann::json& row, const std::string& where)>& take) {
  for (int64_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row_text = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row_text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", file, line);
    const auto row = nlohmann::json::parse(row_text, nullptr, false);
    if (!row.is_object()) return bad_input("{}: expected a JSON object on one line", where);
    SLLM_OK(take(row, where));
  }
  return ok();
}

Result<SampleSet> with_something_learned(SampleSet set, const fs::path& path, const Reader& reader,
                                         const char* expected) {
  if (!set.samples.empty()) return set;
  if (set.too_long > 0)
    return with_hint(
        bad_input("{}: none of its {} rows has anything to learn; {} are longer than {} tokens",
                  path.string(), set.rows, set.too_long, reader.max_length),
        "Raise --max-length (max_length in the project's file)");
  return with_hint(
      bad_input("{}: none of its {} rows has anything to learn", path.string(), set.rows),
      fmt::format("Expected rows like {}", expected));
}

namespace {

constexpr uint64_t kSplitStream = 0x5711;  // apart from the shuffles' streams (batches.cc)

// Takes a row's sample in.
void take(SampleSet& set, std::vector<TokenId> ids, std::vector<TokenId> labels,
          int64_t max_length) {
  const int64_t cut_before = set.cut;
  Sample sample = cut_sample(set, std::move(ids), std::move(labels), max_length);
  if (sample.supervised() == 0)
    ++set.dropped, set.too_long += set.cut - cut_before;
  else
    set.samples.push_back(std::move(sample));
}

Status take_example(SampleSet& set, const Example& example, const Reader& reader) {
  if (!reader.tokenizer) return bad_input("{}: the model has no tokenizer", example.source);
  if (!example.messages.empty()) {
    RenderOptions options;
    options.tools = example.tools;
    SLLM_TRY(
        const EncodedConversation encoded,
        encode_conversation(*reader.chat_template, *reader.tokenizer, example.messages, options)
            .context(example.source));
    SLLM_OK(check_rows(encoded.ids, reader).context(example.source));
    std::vector<TokenId> labels = encoded.ids;
    for (size_t i = 0; i < labels.size(); ++i)
      if (!encoded.assistant[i]) labels[i] = -100;
    take(set, encoded.ids, std::move(labels), reader.max_length);
    return ok();
  }
  std::vector<TokenId> ids =
      reader.tokenizer->encode(example.text, {.add_special = true, .parse_special = false});
  if (!reader.tokenizer->eos_ids().empty()) ids.push_back(reader.tokenizer->eos_ids().front());
  SLLM_OK(check_rows(ids, reader).context(example.source));
  for (size_t begin = 0; begin < ids.size(); begin += static_cast<size_t>(reader.max_length)) {
    const size_t end = std::min(ids.size(), begin + static_cast<size_t>(reader.max_length));
    std::vector<TokenId> part(ids.begin() + static_cast<ptrdiff_t>(begin),
                              ids.begin() + static_cast<ptrdiff_t>(end));
    take(set, part, part, reader.max_length);
  }
  return ok();
}

Status read_pretokenised(SampleSet& set, std::string_view text, const std::string& file,
                         const Reader& reader) {
  return for_each_row(
      text, file, [&](const nlohmann::json& row, const std::string& where) -> Status {
        ++set.rows;
        SLLM_TRY(auto ids, read_ids(row, "input_ids", 0, reader.vocabulary).context(where));
        auto labels = ids;
        if (row.contains("labels")) {
          SLLM_TRY(labels, read_ids(row, "labels", -100, reader.vocabulary).context(where));
        }
        if (labels.size() != ids.size())
          return bad_input("{}: {} labels for {} input_ids", where, labels.size(), ids.size());
        take(set, std::move(ids), std::move(labels), reader.max_length);
        return ok();
      });
}

}  // namespace

int64_t Sample::supervised() const {
  return std::count_if(targets.begin(), targets.end(), [](TokenId t) { return t >= 0; });
}

int64_t SampleSet::tokens() const {
  int64_t n = 0;
  for (const Sample& s : samples) n += static_cast<int64_t>(s.ids.size());
  return n;
}

int64_t SampleSet::supervised() const {
  int64_t n = 0;
  for (const Sample& s : samples) n += s.supervised();
  return n;
}

int64_t SampleSet::tokens(uint32_t item) const {
  int64_t n = 0;
  for (int64_t i = 0; i < group; ++i)
    n += static_cast<int64_t>(samples[static_cast<size_t>(item * group + i)].ids.size());
  return n;
}

std::vector<uint32_t> SampleSet::samples_of(std::span<const uint32_t> items) const {
  std::vector<uint32_t> all;
  for (const uint32_t item : items)
    for (int64_t i = 0; i < group; ++i) all.push_back(static_cast<uint32_t>(item * group + i));
  return all;
}

std::string SampleSet::hash() const {
  Sha256 sha;
  for (const Sample& s : samples) {
    const uint64_t size = s.ids.size();
    sha.update(std::as_bytes(std::span(&size, 1)));
    sha.update(std::as_bytes(std::span(s.ids)));
    sha.update(std::as_bytes(std::span(s.targets)));
  }
  if (group > 1) sha.update("pairs");
  sha.update(std::as_bytes(std::span(wanted)));
  return sha.hex();
}

Result<SampleSet> read_samples(const fs::path& path, const Reader& reader) {
  SampleSet set;
  SLLM_TRY(const std::string text, read_file(path, uint64_t{4} << 30));
  if (first_row_has(text, "input_ids")) {
    SLLM_OK(read_pretokenised(set, text, path.string(), reader));
  } else {
    SLLM_TRY(const auto examples, read_examples(path));
    set.rows = static_cast<int64_t>(examples.size());
    for (size_t row = 0; row < examples.size(); ++row) {
      const size_t before = set.samples.size();
      SLLM_OK(take_example(set, examples[row], reader));
      for (size_t i = before; i < set.samples.size(); ++i)
        set.samples[i].row = static_cast<int64_t>(row);
    }
  }
  return with_something_learned(std::move(set), path, reader,
                                "{\"messages\": [{\"role\": \"user\", ...}, "
                                "{\"role\": \"assistant\", ...}]}");
}

// What is held out or not as one: an item; of answers that stand alone all to the same prompt, or
// the held-out loss would be one of prompts that were learned from.
static std::vector<size_t> units_of(const SampleSet& set) {
  std::vector<size_t> units(static_cast<size_t>(set.items()));
  std::iota(units.begin(), units.end(), size_t{0});
  if (set.wanted.empty()) return units;
  std::map<std::vector<TokenId>, size_t> prompts;
  for (size_t i = 0; i < units.size(); ++i) {
    const Sample& s = set.samples[i];
    const auto learned = std::ranges::find_if(s.targets, [](TokenId t) { return t >= 0; });
    const auto length = learned - s.targets.begin() + 1;
    units[i] = prompts.emplace(std::vector(s.ids.begin(), s.ids.begin() + length), prompts.size())
                   .first->second;
  }
  return units;
}

SampleSet split_off(SampleSet& set, double fraction, uint64_t seed) {
  const std::vector<size_t> units = units_of(set);
  std::vector<size_t> order(units.empty() ? 0 : *std::ranges::max_element(units) + 1);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(seed, kSplitStream);
  shuffle(order, rng);
  const auto wanted = static_cast<size_t>(fraction * static_cast<double>(order.size()) + 0.5);
  order.resize(std::clamp<size_t>(wanted, 1, std::max<size_t>(order.size(), 2) - 1));
  std::sort(order.begin(), order.end());
  SampleSet held_out, kept;
  for (size_t i = 0; i < set.samples.size(); ++i) {
    const bool out =
        std::binary_search(order.begin(), order.end(), units[i / static_cast<size_t>(set.group)]);
    SampleSet& side = out ? held_out : kept;
    side.samples.push_back(std::move(set.samples[i]));
    if (!set.wanted.empty()) side.wanted.push_back(set.wanted[i]);
  }
  set.samples = std::move(kept.samples);
  set.wanted = std::move(kept.wanted);
  held_out.group = set.group;
  held_out.rows = held_out.items();
  return held_out;
}

}  // namespace sllm
