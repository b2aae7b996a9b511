// import_data: read, clean, drop duplicates, split and write, with a reason for every dropped row.
#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "base/sha256.h"
#include "data/clean.h"
#include "data/dataset.h"
#include "data/document.h"
#include "data/minhash.h"
#include "data/read.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

// The two sides by which examples are compared. The system message is left out: it is often the
// same everywhere and would make all rows alike.
struct Sides {
  std::string question, answer;
};

Sides sides_of(const Example& e) {
  Sides s;
  if (e.messages.empty()) s.question = e.text;
  for (const Message& m : e.messages) {
    if (m.role == "system") continue;
    (m.role == "assistant" ? s.answer : s.question) += m.content + "\n";
    if (m.extra.is_object() && m.extra.contains("tool_calls"))
      s.answer += m.extra["tool_calls"].dump() + "\n";
  }
  return s;
}

class Importer {
 public:
  Importer(const ImportOptions& options, const ProgressSink& progress)
      : options_(options), progress_(progress) {}

  Status read(const std::vector<fs::path>& inputs) {
    for (const fs::path& path : inputs) {
      const size_t dropped_before = dropped_.size();
      SLLM_TRY(std::vector<Example> rows, read_examples(path, options_.read, &dropped_));
      summary_.read += rows.size() + dropped_.size() - dropped_before;
      std::ranges::move(rows, std::back_inserter(examples_));
      report("reading", summary_.read, 0);
      if (const int signal = stop_requested())
        return make_error(static_cast<ErrorCode>(128 + signal), "stopped while reading");
    }
    return ok();
  }

  void clean() {
    keep_if([&](Example& e) {
      const std::string reason = clean_example(e, options_);
      return reason.empty() ? DroppedRow{} : DroppedRow{e.source, reason, {}};
    });
  }

  void drop_exact_duplicates() {
    std::unordered_map<std::string, std::string> first;  // hash of key -> source
    keep_if([&](Example& e) {
      const auto [it, added] = first.try_emplace(sha256_hex(e.key()), e.source);
      return added ? DroppedRow{} : DroppedRow{e.source, "exact duplicate", "of " + it->second};
    });
  }

  Status drop_held_out() {
    std::vector<std::string> held, ours;
    for (const fs::path& path : options_.held_out) {
      SLLM_TRY(const std::vector<Example> rows, read_examples(path, options_.read));
      for (const Example& e : rows) held.push_back(clean_text(e.question()));
    }
    if (held.empty()) return ok();
    for (const Example& e : examples_) ours.emplace_back(e.question());
    std::unordered_map<size_t, std::string> near;
    for (const NearPair& pair : near_duplicates(ours, held, options_.near_duplicate))
      near.try_emplace(pair.a, held[pair.b]);
    size_t i = 0;
    keep_if([&](Example& e) {
      const auto it = near.find(i++);
      return it == near.end() ? DroppedRow{}
                              : DroppedRow{e.source, "near a held-out question", it->second};
    });
    return ok();
  }

  // Drops rows whose two sides are each nearly those of an earlier row, and notes which rows'
  // questions are alike, so that they end in one split.
  Status drop_near_duplicates() {
    std::vector<Example> kept;
    std::vector<ShingleSet> questions, answers;
    MinHashTable table(options_.near_duplicate);
    size_t done = 0;
    for (Example& e : examples_) {
      report("comparing", ++done, examples_.size());
      if (const int signal = stop_requested())
        return make_error(static_cast<ErrorCode>(128 + signal), "stopped while comparing");
      const Sides sides = sides_of(e);
      ShingleSet question = shingles(sides.question), answer = shingles(sides.answer);
      const MinHash hash = min_hash(question);
      std::vector<uint32_t> alike;
      const Example* duplicate = nullptr;
      for (const uint32_t id : table.candidates(hash)) {
        if (jaccard(questions[id], question) < options_.near_duplicate) continue;
        alike.push_back(id);
        if (options_.near_duplicate < 1 && jaccard(answers[id], answer) >= options_.near_duplicate)
          duplicate = &kept[id];
      }
      if (duplicate) {
        drop({e.source, "near duplicate", "of " + duplicate->source});
        continue;
      }
      const auto id = static_cast<uint32_t>(kept.size());
      table.insert(hash, id);
      group_.push_back(id);
      for (const uint32_t other : alike) join(other, id);
      questions.push_back(std::move(question));
      answers.push_back(std::move(answer));
      kept.push_back(std::move(e));
    }
    examples_ = std::move(kept);
    return ok();
  }

  // Whole groups go to test, then to eval, in the order of their smallest hash, until each has its
  // share; the rest is for training.
  std::array<std::vector<Example>, 3> split() {
    struct Group {
      std::string hash;
      std::vector<size_t> rows;
    };
    std::map<uint32_t, Group> groups;
    for (size_t i = 0; i < examples_.size(); ++i) {
      Group& g = groups[root(static_cast<uint32_t>(i))];
      std::string hash = sha256_hex(fmt::format("{}\n{}", options_.seed, examples_[i].key()));
      if (g.rows.empty() || hash < g.hash) g.hash = std::move(hash);
      g.rows.push_back(i);
    }
    std::vector<const Group*> order;
    for (const auto& [id, g] : groups) {
      order.push_back(&g);
      summary_.near_duplicate_groups += g.rows.size() > 1;
    }
    std::ranges::sort(order, {}, [](const Group* g) { return g->hash; });
    const double n = static_cast<double>(examples_.size());
    const std::array<size_t, 3> wanted = {
        SIZE_MAX, static_cast<size_t>(std::lround(n * options_.eval_fraction)),
        static_cast<size_t>(std::lround(n * options_.test_fraction))};
    std::vector<uint8_t> part(examples_.size(), 0);
    std::array<size_t, 3> taken = {};
    for (const Group* g : order)
      for (const int p : {2, 1, 0})
        if (taken[p] + g->rows.size() <= wanted[p]) {
          for (const size_t row : g->rows) part[row] = static_cast<uint8_t>(p);
          taken[p] += g->rows.size();
          break;
        }
    std::array<std::vector<Example>, 3> splits;
    for (size_t i = 0; i < examples_.size(); ++i)
      splits[part[i]].push_back(std::move(examples_[i]));
    return splits;
  }

  Status check_usable() const {
    if (!examples_.empty()) return ok();
    std::string counts;
    for (const auto& [reason, n] : summary_.dropped)
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", n, reason);
    return bad_input("none of {} rows is usable{}", summary_.read,
                     counts.empty() ? "" : ": " + counts);
  }

  void count_kept() {
    for (const DroppedRow& row : dropped_)
      if (row.reason == "malformed") ++summary_.dropped[row.reason];
    summary_.kept = examples_.size();
    for (const Example& e : examples_) ++summary_.languages[language_of(e.key())];
  }

  ImportSummary& summary() { return summary_; }
  std::string dropped_rows() const {
    std::string out;
    for (const DroppedRow& row : dropped_) {
      Json line = {{"source", row.source}, {"reason", row.reason}};
      if (!row.detail.empty()) line["detail"] = row.detail;
      out += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    return out;
  }

 private:
  void report(std::string_view label, uint64_t done, uint64_t total) {
    if (progress_ && (done % 256 == 0 || done == total))
      progress_({label, "rows", done, total, {}});
  }
  void drop(DroppedRow row) {
    ++summary_.dropped[row.reason];
    dropped_.push_back(std::move(row));
  }
  // `why` returns a DroppedRow with a reason for what has to go.
  void keep_if(const auto& why) {
    std::vector<Example> kept;
    for (Example& e : examples_) {
      DroppedRow row = why(e);
      if (row.reason.empty())
        kept.push_back(std::move(e));
      else
        drop(std::move(row));
    }
    examples_ = std::move(kept);
  }
  uint32_t root(uint32_t i) {
    while (group_[i] != i) i = group_[i] = group_[group_[i]];
    return i;
  }
  void join(uint32_t a, uint32_t b) {
    a = root(a), b = root(b);
    group_[std::max(a, b)] = std::min(a, b);
  }

  const ImportOptions& options_;
  const ProgressSink& progress_;
  std::vector<Example> examples_;
  std::vector<DroppedRow> dropped_;
  std::vector<uint32_t> group_;  // union-find over examples_
  ImportSummary summary_;
};

}  // namespace

Json ImportSummary::to_json() const {
  return {{"read", read},
          {"kept", kept},
          {"train", train},
          {"eval", eval},
          {"test", test},
          {"dropped", dropped},
          {"near_duplicate_groups", near_duplicate_groups},
          {"languages", languages},
          {"fingerprint", fingerprint}};
}

Result<ImportSummary> import_data(const std::vector<fs::path>& inputs, const fs::path& out,
                                  const ImportOptions& options, const ProgressSink& progress) {
  if (options.eval_fraction < 0 || options.test_fraction < 0 ||
      options.eval_fraction + options.test_fraction >= 1)
    return usage_error("the eval and test fractions are {} and {}, expected a sum below 1",
                       options.eval_fraction, options.test_fraction);
  SLLM_TRY(const std::vector<fs::path> files, data_files(inputs));
  const FolderNames written = {
      {"train.jsonl", "eval.jsonl", "test.jsonl", "dropped.jsonl", "summary.json"}, {}};
  std::vector<fs::path> read = files;
  read.insert(read.end(), options.held_out.begin(), options.held_out.end());
  SLLM_OK(check_replaceable(out, written, read));
  SLLM_TRY(AtomicDir folder, AtomicDir::create(out, written));
  Importer importer(options, progress);
  SLLM_OK(importer.read(files));
  importer.clean();
  importer.drop_exact_duplicates();
  SLLM_OK(importer.drop_held_out());
  SLLM_OK(importer.drop_near_duplicates());
  SLLM_OK(importer.check_usable());
  importer.count_kept();
  ImportSummary& summary = importer.summary();
  const auto splits = importer.split();
  summary.train = splits[0].size(), summary.eval = splits[1].size(),
  summary.test = splits[2].size();
  Sha256 fingerprint;
  constexpr const char* kNames[] = {"train.jsonl", "eval.jsonl", "test.jsonl"};
  for (size_t i = 0; i < 3; ++i) {
    std::string text;
    for (const Example& e : splits[i]) text += to_jsonl(e);
    fingerprint.update(fmt::format("{} {}\n", kNames[i], text.size()));
    fingerprint.update(text);
    SLLM_OK(write_file_atomically(folder.path() / kNames[i], text));
  }
  summary.fingerprint = fingerprint.hex();
  SLLM_OK(write_file_atomically(folder.path() / "dropped.jsonl", importer.dropped_rows()));
  SLLM_OK(write_file_atomically(folder.path() / "summary.json", summary.to_json().dump(2) + "\n"));
  SLLM_OK(folder.commit());
  return summary;
}

std::vector<NearPair> near_duplicates(const std::vector<std::string>& a,
                                      const std::vector<std::string>& b, double threshold) {
  MinHashTable table(threshold);
  std::vector<ShingleSet> sets;
  for (size_t i = 0; i < b.size(); ++i) {
    sets.push_back(shingles(b[i]));
    table.insert(min_hash(sets.back()), static_cast<uint32_t>(i));
  }
  std::vector<NearPair> pairs;
  for (size_t i = 0; i < a.size(); ++i) {
    const ShingleSet set = shingles(a[i]);
    for (const uint32_t j : table.candidates(min_hash(set)))
      if (const double s = jaccard(set, sets[j]); s >= threshold) pairs.push_back({i, j, s});
  }
  return pairs;
}

}  // namespace sllm
