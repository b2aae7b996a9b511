// Expansion of a hand-written grammar into different question-answer pairs.
#include "data/augment.h"

#include <toml++/toml.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/rng.h"

namespace sllm {
namespace {

Error at(const toml::node& node, const std::string& name, std::string message) {
  return usage_error("{}: line {}: {}", name, node.source().begin.line, message);
}

Result<std::vector<std::string>> strings(const toml::node& node, const std::string& name) {
  std::vector<std::string> out;
  const auto* array = node.as_array();
  if (!array || array->empty()) return at(node, name, "a non-empty array of strings is expected");
  for (const auto& item : *array) {
    const auto text = item.value_exact<std::string>();
    if (!text) return at(item, name, "a string is expected");
    out.push_back(*text);
  }
  return out;
}

// Code point of the last character of `text`; 0 when there is none.
char32_t last_character(const std::string& text) {
  size_t i = text.size();
  while (i > 0 && (static_cast<unsigned char>(text[i - 1]) & 0xC0) == 0x80) --i;
  if (i == 0) return 0;
  const auto lead = static_cast<unsigned char>(text[i - 1]);
  char32_t c = lead < 0x80   ? lead
               : lead < 0xE0 ? lead & 0x1F
               : lead < 0xF0 ? lead & 0x0F
                             : lead & 0x07;
  for (size_t k = i; k < text.size(); ++k)
    c = c << 6 | (static_cast<unsigned char>(text[k]) & 0x3F);
  return c;
}

// 0: no final consonant, 8: ㄹ, others: a final consonant. Digits are read as in Korean.
int final_consonant(const std::string& text) {
  const char32_t c = last_character(text);
  if (c >= 0xAC00 && c <= 0xD7A3) return static_cast<int>((c - 0xAC00) % 28);
  static constexpr int kDigitFinals[] = {21, 8, 0, 16, 0,
                                         0,  1, 8, 8,  0};  // 영 일 이 삼 사 오 육 칠 팔 구
  if (c >= '0' && c <= '9') return kDigitFinals[c - '0'];
  return 0;
}

// {을/를}: the first form follows a final consonant; 으로 is also not used after ㄹ.
std::string particle(const std::string& before, const std::string& with,
                     const std::string& without) {
  const int consonant = final_consonant(before);
  return consonant == 0 || (consonant == 8 && with.starts_with("으")) ? without : with;
}

}  // namespace

Result<PairGrammar> PairGrammar::read(const fs::path& path) {
  SLLM_TRY(auto text, read_file(path, 16 << 20));
  return parse(text, path.string());
}

Result<PairGrammar> PairGrammar::parse(std::string_view text, const std::string& name) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    return usage_error("{}: line {}: {}", name, e.source().begin.line, e.description());
  }
  PairGrammar g;
  for (const auto& [key, node] : root) {
    const std::string_view k = key.str();
    if (k == "system") {
      if (!node.is_string()) return at(node, name, "system: a string is expected");
      g.system_ = **node.as_string();
    } else if (k == "share" && node.is_table()) {
      for (const auto& [language, weight] : *node.as_table()) {
        const auto w = weight.value<double>();
        if (!w || *w <= 0) return at(weight, name, "share: a positive number is expected");
        g.share_[std::string(language.str())] = *w;
      }
    } else if (k == "slot" && node.is_table()) {
      for (const auto& [slot, values] : *node.as_table()) {
        auto& list = g.slots_[std::string(slot.str())];
        if (!values.is_table()) return at(values, name, "slot: a table of values is expected");
        for (const auto& [canonical, said] : *values.as_table()) {
          if (!said.is_table())
            return at(said, name,
                      fmt::format("slot.{}: {{language = [phrases]}} is expected", slot.str()));
          if (canonical.str() == "numbers") {
            const auto& range = *said.as_table();
            const auto from = range["from"].value<int64_t>(), to = range["to"].value<int64_t>();
            const int64_t step = range["step"].value_or<int64_t>(1);
            if (!from || !to || step <= 0 || *to < *from || (*to - *from) / step > 100000)
              return at(said, name, "numbers: from <= to and step > 0 are expected");
            for (int64_t n = *from; n <= *to; n += step) list.push_back({std::to_string(n), {}});
            continue;
          }
          Value value{std::string(canonical.str()), {}};
          for (const auto& [language, phrases] : *said.as_table()) {
            SLLM_TRY(auto list_of, strings(phrases, name));
            value.said[std::string(language.str())] = std::move(list_of);
          }
          list.push_back(std::move(value));
        }
      }
    } else if (k == "frame" && node.is_table()) {
      for (const auto& [language, frame] : *node.as_table()) {
        if (!frame.is_table())
          return at(frame, name, "frame: before = [...] and after = [...] are expected");
        for (const auto& [side, phrases] : *frame.as_table()) {
          SLLM_TRY(auto list_of, strings(phrases, name));
          Frame& f = g.frames_[std::string(language.str())];
          if (side.str() == "before")
            f.before = std::move(list_of);
          else if (side.str() == "after")
            f.after = std::move(list_of);
          else
            return at(
                phrases, name,
                fmt::format("frame: unknown key \"{}\"; before and after are known", side.str()));
        }
      }
    } else if (k == "rule" && node.is_array_of_tables()) {
      for (const auto& item : *node.as_array()) {
        Rule rule;
        for (const auto& [field, value] : *item.as_table()) {
          if (field.str() == "answer") {
            if (!value.is_string()) return at(value, name, "answer: a string is expected");
            rule.answer = **value.as_string();
          } else {
            SLLM_TRY(auto list_of, strings(value, name));
            rule.phrases[std::string(field.str())] = std::move(list_of);
          }
        }
        if (rule.answer.empty() || rule.phrases.empty())
          return at(item, name,
                    "rule: an answer and phrases in at least one language are expected");
        g.rules_.push_back(std::move(rule));
      }
    } else {
      return at(
          node, name,
          fmt::format("unknown key \"{}\"; system, share, slot, frame and rule are known", k));
    }
  }
  if (g.rules_.empty()) return usage_error("{}: no [[rule]]", name);
  if (g.share_.empty())
    for (const Rule& rule : g.rules_)
      for (const auto& [language, phrases] : rule.phrases) g.share_[language] = 1;
  // One trial expansion of every phrase finds undefined slots and unbalanced brackets now.
  AugmentOptions trial{0, 1};
  SLLM_TRY(auto ignored, g.expand(trial).context(name));
  (void)ignored;
  return g;
}

// One pair under construction: choices are drawn in order from the stream.
class PairGrammar::Expansion {
 public:
  Expansion(const PairGrammar& grammar, std::string language, Rng& rng)
      : grammar_(grammar), language_(std::move(language)), rng_(rng) {}

  // Expands (a|b), {slot} and {을/를} of `phrase` behind what `out` holds.
  Status expand(std::string_view phrase, std::string& out) {
    for (size_t i = 0; i < phrase.size();) {
      if (phrase[i] == '(') {
        SLLM_TRY(const size_t end, close(phrase, i, '(', ')'));
        const auto options = split(phrase.substr(i + 1, end - i - 1));
        SLLM_OK(expand(options[rng_.below(options.size())], out));
        i = end + 1;
      } else if (phrase[i] == '{') {
        SLLM_TRY(const size_t end, close(phrase, i, '{', '}'));
        const std::string name(phrase.substr(i + 1, end - i - 1));
        if (const size_t slash = name.find('/'); slash != std::string::npos) {
          out += particle(out, name.substr(0, slash), name.substr(slash + 1));
        } else {
          SLLM_TRY(const Value* value, choose(name));
          const auto said = value->said.find(language_);
          out += said == value->said.end() ? value->canonical
                                           : said->second[rng_.below(said->second.size())];
        }
        i = end + 1;
      } else {
        out += phrase[i++];
      }
    }
    return ok();
  }

  // `answer` with every {slot} that the phrase chose replaced by its canonical value.
  std::string answer(std::string text) const {
    for (const auto& [name, value] : chosen_) {
      const std::string mark = "{" + name + "}";
      for (size_t p; (p = text.find(mark)) != std::string::npos;)
        text.replace(p, mark.size(), value->canonical);
    }
    return text;
  }

 private:
  static Result<size_t> close(std::string_view text, size_t open, char left, char right) {
    int depth = 0;
    for (size_t i = open; i < text.size(); ++i) {
      depth += text[i] == left, depth -= text[i] == right;
      if (depth == 0) return i;
    }
    return usage_error("\"{}\": '{}' is not closed", text, left);
  }
  static std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> parts;
    int depth = 0;
    size_t start = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      depth += text[i] == '(', depth -= text[i] == ')';
      if (text[i] == '|' && depth == 0)
        parts.push_back(text.substr(start, i - start)), start = i + 1;
    }
    parts.push_back(text.substr(start));
    return parts;
  }
  Result<const Value*> choose(const std::string& name) {
    if (const auto known = chosen_.find(name); known != chosen_.end()) return known->second;
    const auto slot = grammar_.slots_.find(name);
    if (slot == grammar_.slots_.end()) return usage_error("slot \"{}\" is not defined", name);
    std::vector<const Value*> sayable;
    for (const Value& v : slot->second)
      if (v.said.empty() || v.said.contains(language_)) sayable.push_back(&v);
    if (sayable.empty()) return usage_error("slot \"{}\" has no value in \"{}\"", name, language_);
    return chosen_[name] = sayable[rng_.below(sayable.size())];
  }

  const PairGrammar& grammar_;
  std::string language_;
  Rng& rng_;
  std::map<std::string, const Value*> chosen_;
};

Result<std::vector<SyntheticPair>> PairGrammar::expand(const AugmentOptions& options) const {
  double total_share = 0;
  for (const auto& [language, share] : share_) total_share += share;
  std::vector<SyntheticPair> pairs;
  uint64_t stream = 0;
  double share_so_far = 0;
  int64_t made_before = 0;
  for (const auto& [language, share] : share_) {
    Rng rng(options.seed, ++stream);
    std::vector<const Rule*> rules;
    for (const Rule& r : rules_)
      if (r.phrases.contains(language)) rules.push_back(&r);
    if (rules.empty()) return usage_error("no rule has phrases in \"{}\"", language);
    if (options.count == 0) {  // the trial: every phrase once
      for (const Rule* rule : rules)
        for (const auto& phrase : rule->phrases.at(language)) {
          Expansion expansion(*this, language, rng);
          std::string text;
          SLLM_OK(expansion.expand(phrase, text));
          const std::string answer = expansion.answer(rule->answer);
          for (const auto& [slot, values] : slots_)
            if (answer.find("{" + slot + "}") != std::string::npos)
              return usage_error("\"{}\": the answer needs {{{}}}, which the phrase does not say",
                                 phrase, slot);
        }
      continue;
    }
    share_so_far += share;
    const auto until =
        static_cast<int64_t>(static_cast<double>(options.count) * share_so_far / total_share + 0.5);
    const int64_t wanted = until - made_before;
    made_before = until;
    const auto frame = frames_.find(language);
    const auto pick = [&](const std::vector<std::string>& list) -> std::string {
      return list.empty() ? std::string() : list[rng.below(list.size())];
    };
    std::set<std::string> seen;
    std::map<const Rule*, size_t> next_phrase;
    int64_t made = 0, misses = 0;
    for (size_t turn = 0; made < wanted; ++turn) {
      const Rule* rule = rules[turn % rules.size()];
      const auto& phrases = rule->phrases.at(language);
      Expansion expansion(*this, language, rng);
      std::string command = frame == frames_.end() ? "" : pick(frame->second.before);
      SLLM_OK(expansion.expand(phrases[next_phrase[rule]++ % phrases.size()], command));
      if (frame != frames_.end()) command += pick(frame->second.after);
      if (rng.below(3) == 0)
        command[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(command[0])));
      if (rng.below(4) == 0 &&
          std::string_view("?!.").find(command.back()) == std::string_view::npos)
        command += '.';
      if (!seen.insert(command).second) {
        if (++misses > 50 * (wanted + 20))
          return usage_error(
              "the grammar makes only {} different commands in \"{}\", {} are wanted", made,
              language, wanted);
        continue;
      }
      pairs.push_back({language, system_, command, expansion.answer(rule->answer)});
      ++made;
    }
  }
  Rng order(options.seed, 0);
  shuffle(pairs, order);
  return pairs;
}

std::string to_jsonl(const std::vector<SyntheticPair>& pairs) {
  std::string out;
  int64_t id = 0;
  for (const SyntheticPair& p : pairs) {
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    if (!p.system.empty()) messages.push_back({{"role", "system"}, {"content", p.system}});
    messages.push_back({{"role", "user"}, {"content", p.command}});
    messages.push_back({{"role", "assistant"}, {"content", p.answer}});
    const nlohmann::ordered_json row = {{"id", fmt::format("{}-{:04}", p.language, ++id)},
                                        {"lang", p.language},
                                        {"messages", messages}};
    out += row.dump() + "\n";
  }
  return out;
}

}  // namespace sllm
