// Asking, and what becomes of the answers.
#include "data/distill.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <set>

#include "base/company.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "data/distill_journal.h"
#include "data/minhash.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

std::string key_of(const DistillPrompt& prompt) {
  std::string key;
  for (const Message& m : prompt.messages)
    key += message_to_json(m).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return key;
}

Json identity_of(const std::vector<DistillPrompt>& prompts, const Teacher& teacher,
                 const DistillOptions& o) {
  Sha256 hash;
  for (const DistillPrompt& p : prompts) hash.update(key_of(p) + "\x1e");
  Json identity = {{"prompts", hash.hex()},
                   {"teacher", teacher.name()},
                   {"teacher_file", teacher.fingerprint()},
                   {"samples", o.samples},
                   {"temperature", o.temperature},
                   {"top_p", o.top_p},
                   {"max_tokens", o.max_tokens},
                   {"seed", o.seed}};
  if (o.top_logprobs > 0) identity["top_logprobs"] = o.top_logprobs;
  return identity;
}

// Of the seed, the prompt's number and the sample's, so that no two answers share their draws.
uint64_t seed_of(uint64_t seed, size_t row, int64_t sample) {
  return Rng(seed, row, static_cast<uint64_t>(sample)).next_u32() >> 1;
}

bool concerns_one_prompt(const Error& error) {
  return error.code == ErrorCode::kBadInput || error.code == ErrorCode::kUsage;
}

// Asks what the journal does not hold yet.
class Asking {
 public:
  Asking(const std::vector<DistillPrompt>& prompts, Teacher& teacher, const DistillOptions& options,
         const ProgressSink& progress, DistillJournal& journal)
      : prompts_(prompts),
        teacher_(teacher),
        options_(options),
        progress_(progress),
        journal_(journal) {}

  // `rows`: of the prompts that are asked, each different.
  Status ask(const std::vector<size_t>& rows) {
    total_ = rows.size();
    for (const size_t row : rows)
      if (!journal_.rows().contains(row)) todo_.push_back(row);
    finished_ = total_ - todo_.size();
    const auto samples = static_cast<size_t>(options_.samples);
    answers_.resize(todo_.size());
    in_company(0, todo_.size() * samples, options_.parallel,
               [&](size_t i) { return one(i / samples, static_cast<int64_t>(i % samples)); });
    const auto go_on = [&](Error error) {
      if (error.hint.empty())
        error.hint = fmt::format("The same command goes on: {} of {} prompts are answered",
                                 finished_, total_);
      return error;
    };
    if (error_) return go_on(std::move(*error_));
    if (const int signal = stop_requested())
      if (finished_ < total_)
        return go_on(make_error(static_cast<ErrorCode>(128 + signal),
                                "stopped after {} of {} prompts", finished_, total_));
    return ok();
  }

 private:
  bool one(size_t at, int64_t sample) {
    const size_t row = todo_[at];
    const auto answer = teacher_.answer(
        {prompts_[row].messages, options_.temperature, options_.top_p, options_.max_tokens,
         seed_of(options_.seed, row, sample), options_.top_logprobs});
    const std::lock_guard lock(mutex_);
    if (!answer.ok() && !concerns_one_prompt(answer.error())) {
      if (!error_) error_ = Error(answer.error()).context(prompts_[row].source);
      return false;
    }
    auto& all = answers_[at];
    JournalAnswer& said = all[sample];
    if (answer.ok())
      said.answer = *answer, said.answer.text = unicode::sanitize_utf8(answer->text);
    else
      said.refused = unicode::sanitize_utf8(answer.error().message);
    if (std::ssize(all) < options_.samples) return true;
    std::vector<JournalAnswer> list;
    for (auto& [number, one] : all) list.push_back(std::move(one));
    all.clear();
    if (auto written = journal_.append(row, std::move(list)); !written.ok()) {
      if (!error_) error_ = written.error();
      return false;
    }
    ++finished_;
    if (progress_) progress_({"distill", "prompts", finished_, total_, {}});
    return true;
  }

  const std::vector<DistillPrompt>& prompts_;
  Teacher& teacher_;
  const DistillOptions& options_;
  const ProgressSink& progress_;
  DistillJournal& journal_;
  std::mutex mutex_;
  std::vector<size_t> todo_;
  std::vector<std::map<int64_t, JournalAnswer>> answers_;  // of todo_, by sample
  std::optional<Error> error_;
  size_t finished_ = 0, total_ = 0;
};

// From answers to rows.
class Choosing {
 public:
  Choosing(const Teacher& teacher, const DistillOptions& options, DistillSummary& summary)
      : teacher_(teacher),
        options_(options),
        summary_(summary),
        table_(std::min(options.near_duplicate, 0.999)) {}

  void add(const DistillPrompt& prompt, size_t row, const std::vector<JournalAnswer>& answers) {
    accepted_.clear();
    for (size_t i = 0; i < answers.size(); ++i) {
      ++summary_.answers;
      summary_.tokens += answers[i].answer.tokens;
      const std::string reason = reason_against(answers[i], prompt);
      if (reason.empty())
        accepted_.push_back({static_cast<int64_t>(i), answers[i].answer, {}});
      else
        reject(prompt, static_cast<int64_t>(i), reason, answers[i]);
    }
    if (accepted_.empty()) {
      ++summary_.unanswered;
      return;
    }
    score(prompt);
    if (!options_.keep_all) {
      const auto best = std::ranges::max_element(accepted_, [](const auto& a, const auto& b) {
        return a.score.value_or(0) < b.score.value_or(0);  // the first of equals stays
      });
      const size_t count = accepted_.size();
      keep(prompt, row, *best, count);
    } else {
      for (const Accepted& a : accepted_) keep(prompt, row, a, accepted_.size());
    }
  }
  const std::string& rows() const { return rows_; }
  const std::string& rejected() const { return rejected_; }
  const std::string& first_refusal() const { return first_refusal_; }

 private:
  struct Accepted {
    int64_t sample;
    TeacherAnswer answer;
    std::optional<double> score;
  };

  std::string reason_against(const JournalAnswer& a, const DistillPrompt& prompt) const {
    if (!a.refused.empty()) return "not answered";
    if (a.answer.text.find_first_not_of(" \t\r\n") == std::string::npos) return "empty";
    if (!a.answer.ended && !options_.keep_cut) return "cut at the most tokens";
    for (const AnswerRule& rule : options_.rules)
      if (!rule.holds(a.answer.text, prompt.reference)) return rule.name;
    return "";
  }

  void reject(const DistillPrompt& prompt, int64_t sample, const std::string& reason,
              const JournalAnswer& a) {
    ++summary_.rejected[reason];
    if (first_refusal_.empty()) first_refusal_ = a.refused;
    note(prompt, sample, reason, a.refused.empty() ? a.answer.text : a.refused);
  }
  void note(const DistillPrompt& prompt, int64_t sample, const std::string& reason,
            const std::string& text) {
    rejected_ +=
        Json{{"source", prompt.source}, {"sample", sample}, {"reason", reason}, {"answer", text}}
            .dump(-1, ' ', false, Json::error_handler_t::replace) +
        "\n";
  }

  void score(const DistillPrompt& prompt) {
    if (options_.score && !prompt.reference.empty()) {
      for (Accepted& a : accepted_) a.score = options_.score(a.answer.text, prompt.reference);
    } else if (accepted_.size() > 1) {
      std::vector<ShingleSet> sets;
      for (const Accepted& a : accepted_) sets.push_back(shingles(a.answer.text));
      for (size_t i = 0; i < sets.size(); ++i) {
        double sum = 0;
        for (size_t k = 0; k < sets.size(); ++k)
          if (k != i) sum += jaccard(sets[i], sets[k]);
        accepted_[i].score = sum / static_cast<double>(sets.size() - 1);
      }
    }
  }

  // The source of an earlier row that is the same or nearly, or "". Of one prompt's rows the
  // answers alone are compared: the question would make all of them alike.
  std::string twin(const Example& example, const std::string& source) {
    const std::string answer(example.answer());
    const std::string text = std::string(example.question()) + "\n" + answer;
    if (!texts_.emplace(text).second) return "an earlier row";
    if (options_.near_duplicate >= 1) return "";
    Row row{shingles(text), shingles(answer), source};
    const MinHash hash = min_hash(row.text);
    for (const uint32_t id : table_.candidates(hash)) {
      const Row& other = kept_[id];
      const double alike = other.source == source ? jaccard(row.answer, other.answer)
                                                  : jaccard(row.text, other.text);
      if (alike >= options_.near_duplicate) return other.source;
    }
    table_.insert(hash, static_cast<uint32_t>(kept_.size()));
    kept_.push_back(std::move(row));
    return "";
  }

  void keep(const DistillPrompt& prompt, size_t row, const Accepted& a, size_t accepted) {
    Example example;
    example.messages = prompt.messages;
    std::string system;  // that the row leaves out
    if (!options_.keep_system && example.messages.front().role == "system") {
      system = std::move(example.messages.front().content);
      example.messages.erase(example.messages.begin());
    }
    example.messages.push_back({"assistant", a.answer.text, {}});
    if (const std::string other = twin(example, prompt.source); !other.empty()) {
      ++summary_.near_duplicates;
      note(prompt, a.sample, "near duplicate of " + other, a.answer.text);
      return;
    }
    example.extra = prompt.extra.is_object() ? prompt.extra : Json::object();
    Json from = {{"teacher", teacher_.name()},
                 {"kind", teacher_.kind()},
                 {"temperature", options_.temperature},
                 {"top_p", options_.top_p},
                 {"max_tokens", options_.max_tokens},
                 {"seed", seed_of(options_.seed, row, a.sample)},
                 {"sample", a.sample},
                 {"samples", options_.samples},
                 {"accepted", accepted},
                 {"ended", a.answer.ended}};
    Json rules = Json::array();
    for (const AnswerRule& rule : options_.rules) rules.push_back(rule.name);
    from["rules"] = std::move(rules);
    if (a.score) from["score"] = *a.score;
    if (!system.empty()) from["system"] = system;
    example.extra["distilled"] = std::move(from);
    example.extra.erase("logprobs");  // of the answer that the prompt's row had
    if (!a.answer.logprobs.empty()) example.extra["logprobs"] = sllm::to_json(a.answer.logprobs);
    rows_ += to_jsonl(example);
    ++summary_.rows;
  }

  const Teacher& teacher_;
  const DistillOptions& options_;
  DistillSummary& summary_;
  std::vector<Accepted> accepted_;
  std::string rows_, rejected_, first_refusal_;
  MinHashTable table_;
  struct Row {
    ShingleSet text, answer;
    std::string source;
  };
  std::vector<Row> kept_;
  std::set<std::string> texts_;
};

Status check_references(const std::vector<DistillPrompt>& prompts, const DistillOptions& options) {
  for (const AnswerRule& rule : options.rules)
    if (rule.needs_reference)
      for (const DistillPrompt& prompt : prompts)
        if (prompt.reference.empty())
          return with_hint(usage_error("the rule {} compares with a reference, and {} has none",
                                       rule.name, prompt.source),
                           "Give each row an answer or a column \"reference\"");
  return ok();
}

}  // namespace

Status validate(const DistillOptions& o) {
  const auto require = [](bool holds, const char* setting, const char* expected) -> Status {
    if (holds) return ok();
    return usage_error("{} must be {}", setting, expected);
  };
  SLLM_OK(require(o.temperature >= 0 && o.temperature <= 2, "temperature", "from 0 to 2"));
  SLLM_OK(require(o.top_p > 0 && o.top_p <= 1, "top-p", "above 0 and at most 1"));
  SLLM_OK(require(o.samples >= 1 && o.samples <= 1024, "samples", "from 1 to 1024"));
  SLLM_OK(require(o.samples == 1 || o.temperature > 0, "temperature",
                  "above 0 for several samples, which else are all the same"));
  SLLM_OK(require(o.max_tokens >= 1, "max tokens", "at least 1"));
  SLLM_OK(require(o.parallel >= 1 && o.parallel <= 1024, "parallel", "from 1 to 1024"));
  SLLM_OK(require(o.top_logprobs >= 0 && o.top_logprobs <= 20, "logprobs", "from 0 to 20"));
  return require(o.near_duplicate >= 0.3 && o.near_duplicate <= 1, "near", "from 0.3 to 1");
}

Json DistillSummary::to_json() const {
  return {{"prompts", prompts},
          {"same_prompts", same_prompts},
          {"resumed", resumed},
          {"answers", answers},
          {"rejected", rejected},
          {"unanswered", unanswered},
          {"near_duplicates", near_duplicates},
          {"rows", rows},
          {"tokens", tokens},
          {"seconds", seconds}};
}

Result<DistillSummary> distill(const fs::path& prompts_file, const fs::path& out, Teacher& teacher,
                               const DistillOptions& options, const ProgressSink& progress) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  SLLM_OK(validate(options));
  SLLM_TRY(const auto prompts, read_prompts(prompts_file, options.system));
  SLLM_OK(check_references(prompts, options));
  const fs::path part = part_path(out);
  std::error_code error;
  for (const fs::path& taken : {prompts_file, out, part})
    if (!options.rejected.empty() &&
        fs::weakly_canonical(options.rejected, error) == fs::weakly_canonical(taken, error))
      return usage_error("--rejected {} would replace {}", options.rejected.string(),
                         taken.string());
  if (fs::exists(out, error) && !fs::exists(part, error))
    return with_hint(usage_error("{}: is there already", out.string()),
                     "Name another file, or remove it");
  DistillSummary summary;
  summary.prompts = prompts.size();
  std::vector<size_t> rows;
  std::set<std::string> seen;
  for (size_t i = 0; i < prompts.size(); ++i)
    if (seen.insert(key_of(prompts[i])).second) rows.push_back(i);
  summary.same_prompts = prompts.size() - rows.size();
  SLLM_TRY(DistillJournal journal,
           DistillJournal::open(part, identity_of(prompts, teacher, options)));
  summary.resumed = journal.rows().size();
  if (auto asked = Asking(prompts, teacher, options, progress, journal).ask(rows); !asked.ok()) {
    if (journal.rows().empty()) journal.remove();  // as if nothing had been
    return std::move(asked).error();
  }

  Choosing choosing(teacher, options, summary);
  for (const size_t row : rows) choosing.add(prompts[row], row, journal.rows().at(row));
  summary.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!options.rejected.empty())
    SLLM_OK(write_file_atomically(options.rejected, choosing.rejected()));
  if (summary.rows == 0) {
    std::string reasons;
    for (const auto& [reason, n] : summary.rejected)
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", n, reason);
    if (const std::string why = choosing.first_refusal(); !why.empty())
      reasons += fmt::format(" (the first: {})", why);
    return with_hint(bad_input("{}: none of {} answers was accepted: {}", out.string(),
                               summary.answers, reasons),
                     "The answers are kept: the same command with other rules asks for nothing "
                     "again but what was not answered");
  }
  SLLM_OK(write_file_atomically(out, choosing.rows()));
  journal.remove();
  return summary;
}

}  // namespace sllm
