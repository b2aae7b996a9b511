// Prompts over numbered passages, and the check of what comes back.
#include "ground/answer.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "data/clean.h"
#include "ground/terms.h"

namespace sllm {
namespace {

using TermSet = std::unordered_set<std::string>;

constexpr std::string_view kSystem =
    "Answer the question in one or two sentences, using only the passages above it. End with the "
    "number of the passage that holds the answer, like this: The office opens at nine [2]. If no "
    "passage holds the answer, say only: I don't know.";
constexpr std::string_view kSystemKorean =
    "질문 위에 있는 발췌문만 보고 한두 문장으로 답하세요. 답이 들어 있는 발췌문의 번호를 끝에 "
    "적으세요. "
    "예: 사무실은 아홉 시에 엽니다 [2]. 답이 들어 있는 발췌문이 없으면 \"모르겠습니다\"라고만 "
    "답하세요.";

TermSet terms_of(std::string_view text) {
  std::vector<std::string> terms = index_terms(text);
  return {std::make_move_iterator(terms.begin()), std::make_move_iterator(terms.end())};
}

bool has_digit(std::string_view term) {
  return std::ranges::any_of(term, [](char c) { return c >= '0' && c <= '9'; });
}

// Where a passage came from, as one line above it: the headings that its text does not repeat.
std::string place_of(const Chunk& chunk) {
  std::string place = chunk.title;
  if (!chunk.heading.empty() && chunk.heading != chunk.title) {
    if (chunk.heading.starts_with(chunk.title + " > "))
      place = chunk.heading;
    else
      place += (place.empty() ? "" : " > ") + chunk.heading;
  }
  return place.empty() ? chunk.document : place;
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// The first `limit` characters, ending at a word.
std::string_view shortened(std::string_view text, size_t limit) {
  size_t bytes = 0;
  for (size_t count = 0; bytes < text.size(); ++bytes)
    if ((text[bytes] & 0xC0) != 0x80 && count++ == limit) break;
  if (bytes < text.size())
    if (const size_t space = text.find_last_of(" \n", bytes);
        space != text.npos && space > bytes / 2)
      bytes = space;
  return text.substr(0, bytes);
}

// "[3]", "[1, 2]" and "[1][2]" become numbers; the text is returned without marks, and with where
// they stood left alone in `marked`.
struct Marks {
  std::vector<int> numbers;  // each once, in order
  std::string bare;          // the reply without marks
};
Marks read_marks(std::string_view reply) {
  Marks marks;
  for (size_t i = 0; i < reply.size();) {
    const size_t close = reply[i] == '[' ? reply.find(']', i) : std::string_view::npos;
    const std::string_view inside =
        close == std::string_view::npos ? "" : reply.substr(i + 1, close - i - 1);
    const bool numbers = !inside.empty() && inside.size() <= 20 &&
                         inside.find_first_not_of("0123456789, ") == std::string_view::npos &&
                         inside.find_first_of("0123456789") != std::string_view::npos;
    if (!numbers) {
      marks.bare += reply[i++];
      continue;
    }
    for (size_t at = 0; at < inside.size();) {
      int number = 0;
      while (at < inside.size() && std::isdigit(static_cast<unsigned char>(inside[at])))
        number = std::min(number, 100'000) * 10 + (inside[at++] - '0');
      if (number && std::ranges::find(marks.numbers, number) == marks.numbers.end())
        marks.numbers.push_back(number);
      while (at < inside.size() && !std::isdigit(static_cast<unsigned char>(inside[at]))) ++at;
    }
    i = close + 1;
  }
  return marks;
}

// How much of what the answer says stands in a passage. Terms that the question already had count
// little: repeating it supports nothing; numbers count double.
class Support {
 public:
  Support(std::string_view question, std::string_view answer) {
    const TermSet asked = terms_of(question);
    for (std::string& term : key_terms(answer)) {
      const double weight = (asked.contains(term) ? 0.25 : 1) * (has_digit(term) ? 2 : 1);
      total_ += weight;
      terms_.emplace_back(std::move(term), weight);
    }
  }
  double in(const TermSet& passage) const {
    double found = 0;
    for (const auto& [term, weight] : terms_) found += passage.contains(term) ? weight : 0;
    return total_ > 0 ? found / total_ : 0;
  }

 private:
  std::vector<std::pair<std::string, double>> terms_;
  double total_ = 0;
};

TermSet passage_terms(const Chunk& chunk) {
  return terms_of(chunk.title + "\n" + chunk.heading + "\n" + chunk.text);
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
}

}  // namespace

std::string refusal(bool korean) { return korean ? "모르겠습니다." : "I don't know."; }

bool is_refusal(std::string_view reply) {
  static constexpr std::string_view kForms[] = {
      "i don't know",    "i don’t know",     "i do not know",
      "passages do not", "passage does not", "passages don't",
      "passage doesn't", "documents do not", "cannot be answered from",
      "모르겠",          "알 수 없습니다",   "답이 없",
      "발췌문에 없",     "발췌문에는 없",    "발췌문에 나와 있지"};
  std::string lower = trimmed(reply.substr(0, 300));
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.empty() || std::ranges::any_of(kForms, [&](std::string_view form) {
           return lower.find(form) != std::string::npos;
         });
}

std::string question_line(std::string_view question) {
  return fmt::format("{}: {}", language_of(question) == "ko" ? "질문" : "Question",
                     trimmed(question));
}

GroundedPrompt ground_prompt(std::string_view question, std::vector<SearchHit> passages,
                             const GroundOptions& options) {
  GroundedPrompt prompt;
  prompt.question = trimmed(question);
  prompt.korean = language_of(question) == "ko";
  std::string body;
  size_t left = options.max_characters;
  for (SearchHit& hit : passages) {
    if (prompt.passages.size() == options.passages || left < 100) break;
    const std::string_view text = shortened(hit.chunk.text, left);
    left -= std::min(left, characters(text));
    body += fmt::format("[{}] {}\n{}\n\n", prompt.passages.size() + 1, place_of(hit.chunk), text);
    prompt.passages.push_back(std::move(hit));
  }
  const bool any = std::ranges::any_of(
      prompt.passages, [&](const SearchHit& hit) { return hit.coverage >= options.min_coverage; });
  prompt.supported = any;
  body += question_line(prompt.question);
  prompt.messages = {{"system", std::string(prompt.korean ? kSystemKorean : kSystem), {}},
                     {"user", std::move(body), {}}};
  return prompt;
}

Result<GroundedPrompt> ground_question(const Index& index, std::string_view question,
                                       const GroundOptions& options) {
  SLLM_TRY(std::vector<SearchHit> hits, index.search(question, options.passages));
  return ground_prompt(question, std::move(hits), options);
}

GroundedAnswer check_reply(const GroundedPrompt& prompt, std::string_view reply,
                           const GroundOptions& options) {
  GroundedAnswer answer;
  const auto refuse = [&](std::string warning) {
    answer.text = refusal(prompt.korean);
    answer.warning = std::move(warning);
    answer.citations.clear();
    return answer;
  };
  if (!prompt.supported || is_refusal(reply)) return refuse("");
  const Marks marks = read_marks(reply);
  const Support support(prompt.question, marks.bare);
  std::vector<TermSet> terms;
  std::vector<double> supports;
  for (const SearchHit& hit : prompt.passages) {
    terms.push_back(passage_terms(hit.chunk));
    supports.push_back(support.in(terms.back()));
  }
  TermSet together;
  const auto cite = [&](size_t i) {
    answer.citations.push_back({static_cast<int>(i) + 1, prompt.passages[i].chunk, supports[i]});
    together.insert(terms[i].begin(), terms[i].end());
  };
  // A cited passage that supports next to nothing is no citation.
  constexpr double kLeast = 0.2;
  for (const int number : marks.numbers) {
    const auto i = static_cast<size_t>(number) - 1;
    if (i >= prompt.passages.size())
      answer.warning = fmt::format("passage {} does not exist", number);
    else if (supports[i] < kLeast)
      answer.warning = fmt::format("passage {} does not support the answer", number);
    else
      cite(i);
  }
  // The passage that supports the answer best is named even where the model named another or none.
  const size_t best = static_cast<size_t>(std::ranges::max_element(supports) - supports.begin());
  if (best < supports.size() && supports[best] >= options.min_support &&
      supports[best] > support.in(together) + 0.1)
    cite(best);
  answer.support = support.in(together);
  if (answer.support < options.min_support)
    return refuse("the model's answer is not supported by the documents: " +
                  std::string(shortened(trimmed(reply), 300)));
  answer.known = true;
  answer.text = trimmed(marks.bare);
  for (size_t at = 0; (at = answer.text.find(" .", at)) != std::string::npos;)
    answer.text.erase(at, 1);  // what a mark before the full stop leaves behind
  for (const Citation& c : answer.citations) answer.text += fmt::format(" [{}]", c.number);
  return answer;
}

nlohmann::ordered_json GroundedAnswer::to_json() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Citation& c : citations)
    list.push_back({{"number", c.number},
                    {"document", c.chunk.document},
                    {"title", c.chunk.title},
                    {"heading", c.chunk.heading},
                    {"text", c.chunk.text},
                    {"begin", c.chunk.begin},
                    {"end", c.chunk.end},
                    {"chunk", c.chunk.id},
                    {"support", c.support}});
  return {{"answer", text},     {"known", known},     {"citations", std::move(list)},
          {"support", support}, {"warning", warning}, {"seconds_to_first", seconds_to_first},
          {"seconds", seconds}};
}

}  // namespace sllm
