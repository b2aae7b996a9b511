// Task -> requests -> engine -> scores (lm-evaluation-harness models/huggingface.py, evaluator.py).
#include "eval/harness.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "base/company.h"
#include "eval/python_text.h"

namespace sllm::eval {
namespace {

TokenId prefix_token(const Tokenizer& tokenizer) {
  if (tokenizer.bos_id() >= 0) return tokenizer.bos_id();
  return tokenizer.eos_ids().empty() ? -1 : tokenizer.eos_ids().front();
}

// tok_encode: special tokens are added unless the text begins with the first one already.
std::vector<TokenId> encode_text(const Tokenizer& tokenizer, std::string_view text) {
  const TokenId prefix = prefix_token(tokenizer);
  const bool has_prefix = prefix >= 0 && text.starts_with(tokenizer.token_text(prefix));
  return tokenizer.encode(text, {.add_special = !has_prefix});
}

}  // namespace

Result<ScoreRequest> encode_pair(const Tokenizer& tokenizer, const std::string& context,
                                 const std::string& continuation, int64_t max_length) {
  ScoreRequest request;
  if (context.empty()) {
    const TokenId prefix = prefix_token(tokenizer);
    request.continuation = tokenizer.encode(continuation);
    if (!request.continuation.empty() && request.continuation.front() == prefix) {
      request.continuation.erase(request.continuation.begin());
    } else if (prefix < 0) {
      return bad_input("the model has no first token, which an empty context needs");
    }
    request.context = {prefix};
  } else {
    const std::string_view kept = rstrip(context);
    request.context = encode_text(tokenizer, kept);
    std::vector<TokenId> whole = encode_text(tokenizer, context + continuation);
    const auto split = std::min(request.context.size(), whole.size());
    request.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(split), whole.end());
    request.context.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(split));
  }
  const auto continued = static_cast<int64_t>(request.continuation.size());
  if (continued == 0)
    return bad_input("nothing is left to score after the context \"{:.60}\"", context);
  if (continued > max_length)
    return bad_input("an answer of {} tokens does not fit the context of {}", continued,
                     max_length);
  const auto excess = static_cast<int64_t>(request.context.size()) + continued - (max_length + 1);
  if (excess > 0) request.context.erase(request.context.begin(), request.context.begin() + excess);
  if (request.context.empty()) return bad_input("the context \"{:.60}\" has no tokens", context);
  return request;
}

namespace {

struct Generation {
  std::vector<std::string> until;
  int64_t max_tokens = 256;
  SamplingOptions sampling;
};

Result<Generation> generation_options(const TaskConfig& config) {
  Generation out;
  out.sampling.temperature = 0;
  bool has_until = false;
  float temperature = 0;
  bool do_sample = false, said_sample = false;
  for (const auto& [key, value] : config.generation_kwargs.items()) {
    if (key == "until" && (value.is_array() || value.is_string())) {
      has_until = true;
      for (const Json& term : value.is_array() ? value : Json::array({value}))
        if (term.is_string() && !term.get_ref<const std::string&>().empty())
          out.until.push_back(term.get<std::string>());
    } else if ((key == "max_gen_toks" || key == "max_new_tokens" || key == "max_tokens") &&
               value.is_number_integer() && value.get<int64_t>() > 0) {
      out.max_tokens = value.get<int64_t>();
    } else if (key == "temperature" && value.is_number()) {
      temperature = value.get<float>();
    } else if (key == "do_sample" && value.is_boolean()) {
      do_sample = value.get<bool>(), said_sample = true;
    } else if (key == "top_p" && value.is_number()) {
      out.sampling.top_p = value.get<float>();
    } else if (key == "top_k" && value.is_number_integer()) {
      out.sampling.top_k = value.get<int>();
    } else {
      return usage_error(
          "{}: generation_kwargs: {} is not supported; expected until, max_gen_toks, temperature, "
          "do_sample, top_p or top_k",
          config.file.string(), key);
    }
  }
  if (!has_until) out.until = {config.fewshot_delimiter};
  if (!said_sample || do_sample) out.sampling.temperature = temperature;
  return out;
}

// Everything behind the first occurrence of each term is dropped, term by term.
std::string cut_at(std::string text, const std::vector<std::string>& until) {
  for (const std::string& term : until) text = text.substr(0, text.find(term));
  return text;
}

class TaskRun {
 public:
  TaskRun(Engine& engine, Task& task, const TaskOptions& options)
      : engine_(engine), task_(task), options_(options) {
    const int64_t own = engine.options().context;
    max_length_ = engine.config().max_context;
    if (own > 0) max_length_ = max_length_ > 0 ? std::min(own, max_length_) : own;
  }

  Result<TaskResult> run() {
    const auto begin = std::chrono::steady_clock::now();
    const int64_t n = options_.limit > 0 ? std::min(options_.limit, task_.size()) : task_.size();
    for (int64_t i = 0; i < n; ++i) {
      SLLM_TRY(Item item, task_.prepare(i));
      items_.push_back(std::move(item));
      result_.samples.push_back({i, {}, {}});
    }
    result_.task = task_.name();
    result_.documents = n;
    SLLM_OK(task_.config().output_type == OutputType::kGenerateUntil ? generate() : score());
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return std::move(result_);
  }

 private:
  Status score() {
    std::vector<ScoreRequest> requests;
    for (const Item& item : items_)
      for (const auto& [context, continuation] : item.pairs) {
        SLLM_TRY(ScoreRequest request,
                 encode_pair(*engine_.tokenizer(), context, continuation, max_length_));
        requests.push_back(std::move(request));
      }
    SLLM_TRY(const std::vector<ScoreResult> scores, engine_.score(requests, options_.progress));
    std::map<std::string, std::vector<Contribution>> contributions;
    size_t next = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      std::vector<ChoiceScore> choices;
      for (size_t k = 0; k < items_[i].pairs.size(); ++k, ++next) {
        choices.push_back({scores[next].logprob, scores[next].greedy});
        result_.samples[i].logprobs.push_back(scores[next].logprob);
      }
      SLLM_TRY(const Contributions one, task_.config().output_type == OutputType::kMultipleChoice
                                            ? task_.score_choices(items_[i], choices)
                                            : task_.score_loglikelihood(choices.at(0)));
      for (const auto& [metric, value] : one) contributions[metric].push_back(value);
    }
    return aggregate(contributions, "none");
  }

  Status generate() {
    SLLM_TRY(const Generation options, generation_options(task_.config()));
    const int64_t room = max_length_ - options.max_tokens;
    if (room <= 0)
      return usage_error("{}: {} tokens to generate leave no room in the context of {}",
                         task_.name(), options.max_tokens, max_length_);
    std::vector<std::string> texts(items_.size());
    std::mutex mutex;
    size_t finished = 0;
    Status failed = ok();
    in_company(0, items_.size(), engine_.options().max_sequences, [&](size_t i) {
      GenerateRequest request;
      request.prompt = encode_text(*engine_.tokenizer(), items_[i].context);
      if (static_cast<int64_t>(request.prompt.size()) > room)
        request.prompt.erase(request.prompt.begin(), request.prompt.end() - room);
      request.max_tokens = options.max_tokens;
      request.sampling = options.sampling;
      request.stop = options.until;
      const auto answer = engine_.generate(std::move(request));
      const std::lock_guard lock(mutex);
      if (!answer.ok()) {
        if (failed.ok()) failed = answer.error();
        return false;
      }
      texts[i] = cut_at(answer->text, options.until);
      ++finished;
      if (options_.progress)
        options_.progress({task_.name(), "documents", finished, items_.size(), {}});
      return true;
    });
    SLLM_OK(failed);
    if (const int signal = stop_requested())
      return make_error(static_cast<ErrorCode>(128 + signal), "stopped");
    for (const FilterConfig& filter : task_.config().filters) {
      std::map<std::string, std::vector<Contribution>> contributions;
      for (size_t i = 0; i < items_.size(); ++i) {
        SLLM_TRY(const std::string answer, apply_filter(filter, {texts[i]}));
        SLLM_TRY(const Contributions one, task_.score_generation(items_[i], answer));
        for (const auto& [metric, value] : one) contributions[metric].push_back(value);
        result_.samples[i].answers.push_back(answer);
      }
      SLLM_OK(aggregate(contributions, filter.name));
    }
    return ok();
  }

  Status aggregate(const std::map<std::string, std::vector<Contribution>>& contributions,
                   const std::string& filter) {
    for (const MetricConfig& metric : task_.config().metrics) {
      SLLM_TRY(const Task::Aggregate a, task_.aggregate(metric, contributions.at(metric.metric)));
      result_.metrics.push_back({metric.metric, filter, a.value, a.standard_error});
    }
    return ok();
  }

  Engine& engine_;
  Task& task_;
  const TaskOptions& options_;
  int64_t max_length_ = 0;
  std::vector<Item> items_;
  TaskResult result_;
};

}  // namespace

Result<TaskResult> run_task(Engine& engine, Task& task, const TaskOptions& options) {
  return TaskRun(engine, task, options).run();
}

}  // namespace sllm::eval
