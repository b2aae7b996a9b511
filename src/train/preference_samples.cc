// Rows of preferences to token ids with their targets.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "data/preference.h"
#include "train/sample_rows.h"

namespace sllm {
namespace {

constexpr TokenId kNotLearned = -100;

// One row: its answers, the chosen one first, or a single one with its label.
struct Answers {
  std::vector<Sample> samples;
  std::optional<bool> label;
  bool cut = false;
};

class PreferenceSet {
 public:
  PreferenceSet(const Reader& reader, bool labelled) : reader_(reader), labelled_(labelled) {
    set_.group = labelled ? 1 : 2;
  }

  Status take_ids(const nlohmann::json& row) {
    const bool pair = row.contains("chosen_ids");
    SLLM_TRY(const auto prompt, read_ids(row, "prompt_ids", 0, reader_.vocabulary));
    if (prompt.empty()) return bad_input("\"prompt_ids\" is empty, expected at least one token");
    Answers answers;
    const auto keys =
        pair ? std::vector{"chosen_ids", "rejected_ids"} : std::vector{"completion_ids"};
    for (const char* key : keys) {
      SLLM_TRY(const auto answer, read_ids(row, key, 0, reader_.vocabulary));
      std::vector<TokenId> ids = prompt, labels(prompt.size(), kNotLearned);
      ids.insert(ids.end(), answer.begin(), answer.end());
      labels.insert(labels.end(), answer.begin(), answer.end());
      put(answers, std::move(ids), std::move(labels));
    }
    if (!pair) {
      const auto label = row.find("label");
      if (label == row.end() || !label->is_boolean())
        return bad_input("expected \"label\": true or false");
      answers.label = label->get<bool>();
    }
    return take(std::move(answers));
  }

  Status take_text(const Preference& p) {
    if (!reader_.tokenizer) return bad_input("the model has no tokenizer");
    RenderOptions options;
    options.tools = p.tools;
    SLLM_TRY(const EncodedConversation chosen, encode(p.prompt, p.chosen, options));
    EncodedConversation rejected;
    if (!p.label) {
      SLLM_TRY(rejected, encode(p.prompt, p.rejected, options));
    }
    options.add_generation_prompt = true;
    SLLM_TRY(const EncodedConversation prompt, encode(p.prompt, {}, options));
    size_t begin = alike(prompt.ids, chosen.ids);
    if (!p.label) begin = std::min(begin, alike(prompt.ids, rejected.ids));
    if (begin == 0) return bad_input("the template renders the prompt otherwise before an answer");
    Answers answers;
    answers.label = p.label;
    put(answers, chosen, begin);
    if (!p.label) put(answers, rejected, begin);
    return take(std::move(answers));
  }

  void count_row() { ++set_.rows; }
  // Chosen answers first, so that neighbours do not answer the same prompt.
  SampleSet finish() {
    std::ranges::move(unwanted_, std::back_inserter(set_.samples));
    set_.wanted.resize(labelled_ ? set_.samples.size() : 0, 0);
    return std::move(set_);
  }

 private:
  Result<EncodedConversation> encode(Conversation messages, const Conversation& answer,
                                     const RenderOptions& options) const {
    messages.insert(messages.end(), answer.begin(), answer.end());
    SLLM_TRY(EncodedConversation encoded,
             encode_conversation(*reader_.chat_template, *reader_.tokenizer, messages, options));
    SLLM_OK(check_rows(encoded.ids, reader_));
    return encoded;
  }

  static size_t alike(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
    const auto n = static_cast<ptrdiff_t>(std::min(a.size(), b.size()));
    return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first -
                               a.begin());
  }

  void put(Answers& answers, const EncodedConversation& encoded, size_t begin) {
    std::vector<TokenId> labels = encoded.ids;
    for (size_t i = 0; i < labels.size(); ++i)
      if (i < begin || !encoded.assistant[i]) labels[i] = kNotLearned;
    put(answers, encoded.ids, std::move(labels));
  }
  void put(Answers& answers, std::vector<TokenId> ids, std::vector<TokenId> labels) {
    const int64_t cut_before = set_.cut;
    answers.samples.push_back(
        cut_sample(set_, std::move(ids), std::move(labels), reader_.max_length));
    answers.cut |= set_.cut > cut_before;
  }

  Status take(Answers answers) {
    if (answers.label && !labelled_)
      return with_hint(bad_input("a row with a label, expected a pair: chosen and rejected"),
                       "Labelled answers are tuned on with --objective kto");
    const bool nothing =
        std::ranges::any_of(answers.samples, [](const Sample& s) { return s.supervised() == 0; });
    if (nothing) {
      ++set_.dropped, set_.too_long += answers.cut;
    } else if (!labelled_) {
      std::ranges::move(answers.samples, std::back_inserter(set_.samples));
    } else if (answers.label) {
      set_.samples.push_back(std::move(answers.samples[0]));
      set_.wanted.push_back(*answers.label);
    } else {
      set_.samples.push_back(std::move(answers.samples[0]));
      set_.wanted.push_back(1);
      unwanted_.push_back(std::move(answers.samples[1]));
    }
    return ok();
  }

  const Reader& reader_;
  bool labelled_;
  SampleSet set_;
  std::vector<Sample> unwanted_;  // rejected answers of pairs
};

}  // namespace

Result<SampleSet> read_preference_samples(const fs::path& path, const Reader& reader,
                                          bool labelled) {
  PreferenceSet set(reader, labelled);
  SLLM_TRY(const std::string text, read_file(path, uint64_t{4} << 30));
  if (first_row_has(text, "prompt_ids")) {
    SLLM_OK(
        for_each_row(text, path.string(), [&](const nlohmann::json& row, const std::string& at) {
          set.count_row();
          return set.take_ids(row).context(at);
        }));
  } else {
    SLLM_TRY(const auto rows, read_preferences(path));
    for (const Preference& row : rows) {
      set.count_row();
      SLLM_OK(set.take_text(row).context(row.source));
    }
  }
  return with_something_learned(
      set.finish(), path, reader,
      labelled ? "{\"prompt\": \"...\", \"completion\": \"...\", \"label\": true}"
               : "{\"prompt\": \"...\", \"chosen\": \"...\", \"rejected\": \"...\"}");
}

}  // namespace sllm
