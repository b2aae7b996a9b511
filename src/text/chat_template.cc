// Rendering with provenance, the assistant's share of the text, and its tokens.
#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/events.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/unicode.h"

namespace sllm {
namespace {

using jinja::Origin;
using nlohmann::ordered_json;

// Origins: 0 the template, 1 tools and other values, then two for each message: what it says of
// itself (its role, its name) and what it says.
constexpr size_t kMaxSource = size_t{1} << 18;  // bytes; the longest in use have some 20 KB
constexpr Origin kOtherValue = 1;
constexpr Origin label_of(size_t message) { return static_cast<Origin>(2 + 2 * message); }
constexpr Origin speech_of(size_t message) { return label_of(message) + 1; }

Origin source_of(const jinja::Text::Run& run) { return run.origin & ~jinja::kSpoken; }
// Whether a message other than `message` wrote the run.
bool of_another(const jinja::Text::Run& run, size_t message) {
  return source_of(run) >= 2 && (source_of(run) - 2) / 2 != message;
}

// transformers passes a message's reasoning under the two names that templates read.
void alias_reasoning(ordered_json& message) {
  for (const char* field : {"reasoning_content", "thinking", "reasoning"}) {
    if (!message.contains(field) || message[field].is_null()) continue;
    const ordered_json reasoning = message[field];
    if (!message.contains("thinking")) message["thinking"] = reasoning;
    message["reasoning_content"] = reasoning;
    return;
  }
}

jinja::Value content_value(const Message& message, size_t index) {
  jinja::Text text;
  size_t at = 0;
  const std::string_view content = message.content;
  for (const auto& [begin, end] : message.own_words) {
    text.append(content.substr(at, begin - at), speech_of(index));
    text.append(content.substr(begin, end - begin), jinja::kTemplate);
    at = end;
  }
  text.append(content.substr(at), speech_of(index));
  return jinja::Value(std::move(text));
}

jinja::Value message_value(const Message& message, size_t index) {
  ordered_json json = message_to_json(message);
  alias_reasoning(json);
  auto dict = std::make_shared<jinja::Dict>();
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) continue;  // as apply_chat_template: templates take absent for none
    const bool label = key == "role" || key == "name";
    dict->set(jinja::Value::text(key, label_of(index)),
              !message.own_words.empty() && key == "content"
                  ? content_value(message, index)
                  : jinja::from_json(value, label ? label_of(index) : speech_of(index)));
  }
  return jinja::Value(std::move(dict));
}

class ParsedTemplate final : public ChatTemplate {
 public:
  std::string source_text, bos, eos;
  jinja::Template parsed;
  std::vector<std::string> ends;      // texts of the tokens that end an answer
  std::vector<std::string> specials;  // of all special tokens

  const std::string& source() const override { return source_text; }

  Result<RenderedText> render(const Conversation& messages,
                              const RenderOptions& options) const override {
    SLLM_TRY(jinja::Text text, render_text(messages, options));
    if (options.continue_final_message) {
      const size_t end = messages.empty() ? 0 : end_of_speech(text, messages.size() - 1);
      if (end == 0) return bad_input("the last message has no text in the prompt to go on with");
      text = text.slice(0, end);
    }
    RenderedText result;
    result.text = text.bytes();
    result.from_message.resize(result.text.size());
    result.assistant.resize(result.text.size());
    const auto mark = [](std::vector<uint8_t>& marks, size_t begin, size_t end) {
      std::fill(marks.begin() + static_cast<ptrdiff_t>(begin),
                marks.begin() + static_cast<ptrdiff_t>(end), 1);
    };
    size_t from = 0;
    for (const jinja::Text::Run& run : text.runs()) {
      if (source_of(run) != jinja::kTemplate) mark(result.from_message, from, run.end);
      if (run.origin & jinja::kSpoken) mark(result.assistant, from, run.end);
      from = run.end;
    }
    // A prompt for an answer is served, not trained on: its turns would cost two renderings each.
    if (!parsed.has_generation && !options.add_generation_prompt)
      for (const auto& [begin, end] : assistant_ranges(messages, options, text))
        mark(result.assistant, begin, end);
    return result;
  }

 private:
  Result<jinja::Text> render_text(const Conversation& messages,
                                  const RenderOptions& options) const {
    try {
      jinja::Dict variables;
      const auto set = [&variables](const char* name, jinja::Value value) {
        variables.set(jinja::Value::text(name), std::move(value));
      };
      set("bos_token", jinja::Value::text(bos));
      set("eos_token", jinja::Value::text(eos));
      size_t bytes = 0;
      std::vector<jinja::Value> list;
      for (size_t i = 0; i < messages.size(); ++i) {
        list.push_back(message_value(messages[i], i));
        bytes += messages[i].content.size();
      }
      set("messages", jinja::Sequence::make(std::move(list)));
      set("tools", jinja::from_json(options.tools, kOtherValue));
      set("documents", jinja::from_json(options.documents, kOtherValue));
      set("add_generation_prompt", options.add_generation_prompt);
      if (options.kwargs.is_object())
        for (const auto& [key, value] : options.kwargs.items()) {
          if (key == "messages" || key == "tools" || key == "documents" ||
              key == "add_generation_prompt" || key == "bos_token" || key == "eos_token")
            return bad_input("the template variable \"{}\" cannot be set by hand", key);
          variables.set(jinja::Value::text(key), jinja::from_json(value, kOtherValue));
        }
      // Room for what grows with the conversation, on top of what any template may take.
      jinja::Limits limits;
      limits.steps = 250'000 + 20'000 * messages.size() + 1'000 * options.tools.size() + 4 * bytes;
      limits.output += 4 * bytes;
      jinja::Interpreter interpreter(limits, std::move(variables), options.now);
      return interpreter.run(parsed.body);
    } catch (const jinja::TemplateError& e) {
      return bad_input("{}", e.what());
    }
  }

  // What the template writes to make the assistant speak: the difference that the flag makes.
  std::string generation_prompt(const Conversation& messages, const RenderOptions& options) const {
    RenderOptions with = options, without = options;
    with.add_generation_prompt = true;
    without.add_generation_prompt = false;
    const auto a = render_text(messages, with), b = render_text(messages, without);
    if (!a.ok() || !b.ok() || !a->bytes().starts_with(b->bytes())) return {};
    return a->bytes().substr(b->size());
  }

  // Each assistant message, by prefixes where they hold: from the end of what the messages before
  // it and the generation prompt give, to the end of what it gives itself. Where a template writes
  // earlier turns otherwise once more follow, the bytes that came from the message decide.
  std::vector<std::pair<size_t, size_t>> assistant_ranges(const Conversation& messages,
                                                          const RenderOptions& options,
                                                          const jinja::Text& text) const {
    std::vector<std::pair<size_t, size_t>> ranges;
    const bool any =
        std::ranges::any_of(messages, [](const Message& m) { return m.role == "assistant"; });
    if (!any) return ranges;
    const auto own = ranges_by_origin(messages, options, text);
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      if (const auto turn = range_by_prefix(messages, i, options, text.view()))
        ranges.push_back(*turn);
      else if (own[i].second > 0)
        ranges.push_back(own[i]);
    }
    return ranges;
  }

  // nullopt: what precedes or ends the message is not a prefix of the whole.
  std::optional<std::pair<size_t, size_t>> range_by_prefix(const Conversation& messages,
                                                           size_t message, RenderOptions options,
                                                           std::string_view whole) const {
    const auto rendered = [&](size_t count, bool prompt) -> std::optional<std::string> {
      options.add_generation_prompt = prompt;
      const auto first = messages.begin();
      const auto text = render_text({first, first + static_cast<ptrdiff_t>(count)}, options);
      if (!text.ok() || !whole.starts_with(text->bytes())) return std::nullopt;
      return text->bytes();
    };
    const auto before = rendered(message, true);
    if (!before) return std::nullopt;
    const bool goes_on = options.continue_final_message && message + 1 == messages.size();
    const auto after = goes_on ? std::string(whole) : rendered(message + 1, false);
    if (!after || !after->starts_with(*before)) return std::nullopt;
    // What a template writes behind the token that ends the turn, the model does not.
    size_t end = after->size();
    const size_t spoken = after->find_last_not_of(" \t\r\n") + 1;
    if (spoken <= before->size()) return std::nullopt;
    const auto at_end = [&](const std::string& token) {
      return !token.empty() && std::string_view(*after).substr(0, spoken).ends_with(token);
    };
    if (std::ranges::any_of(ends, at_end) || std::ranges::any_of(specials, at_end)) end = spoken;
    return std::pair(before->size(), end);
  }

  // Of each message, from behind the generation prompt (or its first own byte) to the end token
  // that the template writes after its last byte; (0, 0) where it is no assistant's or has no text.
  std::vector<std::pair<size_t, size_t>> ranges_by_origin(const Conversation& messages,
                                                          const RenderOptions& options,
                                                          const jinja::Text& text) const {
    std::vector<std::pair<size_t, size_t>> ranges(messages.size());
    const std::string prompt = generation_prompt(messages, options);
    const auto& runs = text.runs();
    for (size_t r = 0; r < runs.size(); ++r) {
      const Origin origin = source_of(runs[r]);
      const size_t message = origin < 2 ? SIZE_MAX : (origin - 2) / 2;
      if (message >= messages.size() || origin != speech_of(message) ||
          messages[message].role != "assistant")
        continue;
      const size_t first = r == 0 ? 0 : runs[r - 1].end;
      size_t last = r;
      for (size_t k = r; k < runs.size(); ++k) {
        if (source_of(runs[k]) == origin) last = k;
        if (of_another(runs[k], message)) break;
      }
      const size_t floor = others_before(text, r, message);
      size_t begin = first;
      if (!prompt.empty())
        if (const size_t at = text.bytes().rfind(prompt, first - std::min(first, prompt.size()));
            at != std::string::npos && at >= floor && at + prompt.size() <= first)
          begin = at + prompt.size();
      ranges[message] = {begin, end_of_turn(text, last, message)};
      r = last;
    }
    return ranges;
  }

  static size_t end_of_speech(const jinja::Text& text, size_t message) {
    for (size_t r = text.runs().size(); r-- > 0;)
      if (source_of(text.runs()[r]) == speech_of(message)) return text.runs()[r].end;
    return 0;
  }

  // Where what other messages wrote before run `r` ends.
  static size_t others_before(const jinja::Text& text, size_t r, size_t message) {
    while (r > 0) {
      if (of_another(text.runs()[--r], message)) return text.runs()[r].end;
    }
    return 0;
  }

  size_t end_of_turn(const jinja::Text& text, size_t last_run, size_t message) const {
    const auto& runs = text.runs();
    const size_t from = runs[last_run].end;
    size_t to = from;
    for (size_t k = last_run + 1; k < runs.size(); ++k) {
      if (of_another(runs[k], message)) break;
      to = runs[k].end;
    }
    const std::string_view after = text.view().substr(from, to - from);
    const auto first_of = [&](const std::vector<std::string>& tokens) {
      size_t best = std::string_view::npos, end = from;
      for (const std::string& token : tokens) {
        const size_t at = token.empty() ? std::string_view::npos : after.find(token);
        if (at == std::string_view::npos || at > best) continue;
        best = at;
        end = from + at + token.size();
      }
      return end;
    };
    const size_t end = first_of(ends);
    return end > from ? end : first_of(specials);
  }
};

// Of a model whose template is refused: the model loads, its conversations say why they cannot be.
class RefusedTemplate final : public ChatTemplate {
 public:
  RefusedTemplate(std::string source, std::string why)
      : source_(std::move(source)), why_(std::move(why)) {}
  Result<RenderedText> render(const Conversation&, const RenderOptions&) const override {
    return bad_input("{}", why_);
  }
  const std::string& source() const override { return source_; }

 private:
  std::string source_, why_;
};

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string source,
                                                                std::string bos_token,
                                                                std::string eos_token) {
  auto parsed = std::make_shared<ParsedTemplate>();
  if (source.size() > kMaxSource)
    return bad_input("chat template: {} bytes are too many", source.size());
  try {
    parsed->parsed = jinja::parse_template(unicode::sanitize_utf8(source));
  } catch (const jinja::TemplateError& e) {
    return bad_input("chat template: {}", e.what());
  }
  parsed->source_text = std::move(source);
  parsed->ends = {eos_token, "<|im_end|>", "<|eot_id|>"};
  parsed->bos = std::move(bos_token);
  parsed->eos = std::move(eos_token);
  return std::shared_ptr<const ChatTemplate>(std::move(parsed));
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::of(const ModelSource& model,
                                                             const Tokenizer& tokenizer) {
  std::string source = model.chat_template();
  if (source.empty()) {
    log(LogLevel::kWarning, "the model has no chat template; messages are only joined");
    source = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";
  }
  const auto text = [&](TokenId id) { return std::string(tokenizer.token_text(id)); };
  const std::string eos = tokenizer.eos_ids().empty() ? "" : text(tokenizer.eos_ids().front());
  auto base = parse(source, text(tokenizer.bos_id()), eos);
  if (!base.ok()) {
    const std::string why = base.error().message;
    log(LogLevel::kWarning, "the model's chat template is refused (" + why +
                                "); completions of plain text work, conversations do not");
    return std::make_shared<const RefusedTemplate>(std::move(source), why);
  }
  auto parsed = std::const_pointer_cast<ParsedTemplate>(
      std::static_pointer_cast<const ParsedTemplate>(*std::move(base)));
  for (const TokenId id : tokenizer.eos_ids()) parsed->ends.push_back(text(id));
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_special(id)) parsed->specials.push_back(text(id));
  return std::shared_ptr<const ChatTemplate>(std::move(parsed));
}

Result<EncodedConversation> encode_conversation(const ChatTemplate& chat_template,
                                                const Tokenizer& tokenizer,
                                                const Conversation& messages,
                                                const RenderOptions& options) {
  SLLM_TRY(const RenderedText rendered, chat_template.render(messages, options));
  EncodedText encoded = tokenizer.encode_marked(rendered.text, rendered.from_message);
  EncodedConversation result;
  size_t from = 0;
  for (const size_t end : encoded.ends) {
    const auto begin = rendered.assistant.begin();
    // Parts of one character share an end; they count as that character does.
    const size_t first = std::min(from, end > 0 ? end - 1 : 0);
    result.assistant.push_back(std::find(begin + static_cast<ptrdiff_t>(first),
                                         begin + static_cast<ptrdiff_t>(end),
                                         1) != begin + static_cast<ptrdiff_t>(end));
    from = end;
  }
  result.ids = std::move(encoded.ids);
  return result;
}

}  // namespace sllm
