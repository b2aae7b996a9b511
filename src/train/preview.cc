#include "train/preview.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/events.h"
#include "train/generate.h"

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t kMostTokens = 64;  // of one answer

fs::path preview_path(const fs::path& run) { return run / "answers.jsonl"; }

// One line, without what the template puts around messages; the end of a long text.
std::string shown(const Tokenizer& tokenizer, std::span<const TokenId> ids, size_t most) {
  std::string text = tokenizer.decode(ids, /*skip_special=*/true);
  std::ranges::replace(text, '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  if (text.size() <= most) return text;
  size_t begin = text.size() - most;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
  return "…" + text.substr(begin);
}

Json to_json(const PreviewAnswer& a) {
  return {{"step", a.step},
          {"sample", a.sample},
          {"prompt", a.prompt},
          {"expected", a.expected},
          {"answer", a.answer}};
}

}  // namespace

Result<Preview> Preview::open(const TuneOptions& options,
                              std::shared_ptr<const Tokenizer> tokenizer, int64_t last_step) {
  Preview preview(options, std::move(tokenizer));
  SLLM_TRY(preview.answers_, read_preview(options.run));
  std::erase_if(preview.answers_, [&](const PreviewAnswer& a) { return a.step > last_step; });
  return preview;
}

Status Preview::answer(Context& ctx, const Model& model, const BoundAdapter* adapter,
                       const SampleSet& held_out, int64_t step) {
  if (!tokenizer_ || options_->answers == 0) return ok();
  constexpr size_t kPromptBytes = 400, kAnswerBytes = 1000, kLineBytes = 60;
  std::vector<const Sample*> samples;
  const int64_t count = std::min(options_->answers, held_out.items());
  for (int64_t i = 0; i < count; ++i)
    samples.push_back(&held_out.samples[static_cast<size_t>(i * held_out.group)]);
  const auto answers = generate_answers(ctx, model, adapter, samples, {.max_tokens = kMostTokens});
  std::erase_if(answers_, [&](const PreviewAnswer& a) { return a.step >= step; });
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::span<const TokenId> ids = samples[i]->ids;
    const size_t begin = answer_begin(*samples[i]), end = answer_end(*samples[i]);
    PreviewAnswer a{step, static_cast<int64_t>(i) * held_out.group,
                    shown(*tokenizer_, ids.first(begin), kPromptBytes),
                    shown(*tokenizer_, ids.subspan(begin, end - begin), kAnswerBytes),
                    shown(*tokenizer_, answers[i].ids, kAnswerBytes)};
    log(LogLevel::kInfo, fmt::format("after step {}: {} -> {}", step,
                                     shown(*tokenizer_, ids.first(begin), kLineBytes), a.answer));
    answers_.push_back(std::move(a));
  }
  std::string lines;
  for (const PreviewAnswer& a : answers_)
    lines += to_json(a).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return write_file_atomically(preview_path(options_->run), lines);
}

Result<std::vector<PreviewAnswer>> read_preview(const fs::path& run) {
  std::vector<PreviewAnswer> answers;
  std::error_code none;
  if (!fs::exists(preview_path(run), none)) return answers;
  SLLM_TRY(const std::string text, read_file(preview_path(run), uint64_t{1} << 28));
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    begin = end + 1;
    try {
      answers.push_back({line.at("step"), line.at("sample"), line.at("prompt"), line.at("expected"),
                         line.at("answer")});
    } catch (const Json::exception&) {
      return bad_input("{}: holds a line that is no answer", preview_path(run).string());
    }
  }
  return answers;
}

}  // namespace sllm
