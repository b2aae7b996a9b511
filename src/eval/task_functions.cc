// The registry of `!function` helpers: prompts are facts of the tasks and equal to theirs.
#include "eval/task_functions.h"

#include "eval/python_text.h"

namespace sllm::eval {
namespace {

Result<std::string> text_of(const Json& doc, const char* key) {
  const auto it = doc.find(key);
  if (it == doc.end() || !it->is_string())
    return bad_input("a document has no text in its field \"{}\"", key);
  return it->get<std::string>();
}
Result<int64_t> integer_of(const Json& doc, const char* key) {
  const auto it = doc.find(key);
  if (it != doc.end() && it->is_number_integer()) return it->get<int64_t>();
  if (it != doc.end() && it->is_string() && is_digits(it->get_ref<const std::string&>()))
    return std::strtoll(it->get_ref<const std::string&>().c_str(), nullptr, 10);
  return bad_input("a document has no integer in its field \"{}\"", key);
}

// --- WinoGrande: the option is put into the context and the rest of the sentence is scored.
Result<Json> winogrande_text(const Json& doc) {
  SLLM_TRY(const std::string answer, text_of(doc, "answer"));
  if (answer != "1" && answer != "2")
    return bad_input("a WinoGrande document's answer is \"{}\"; expected 1 or 2", answer);
  return Json(answer == "1" ? 0 : 1);
}
Result<size_t> winogrande_gap(const std::string& sentence) {
  const size_t at = sentence.find('_');
  if (at == sentence.npos) return bad_input("a WinoGrande sentence has no _");
  return at;
}
Result<Json> winogrande_target(const Json& doc) {
  SLLM_TRY(const std::string sentence, text_of(doc, "sentence"));
  SLLM_TRY(const size_t gap, winogrande_gap(sentence));
  return Json(std::string(strip(std::string_view(sentence).substr(gap + 1))));
}
Result<Json> winogrande_choice(const Json& doc) {
  SLLM_TRY(const std::string sentence, text_of(doc, "sentence"));
  SLLM_TRY(const size_t gap, winogrande_gap(sentence));
  SLLM_TRY(const std::string first, text_of(doc, "option1"));
  SLLM_TRY(const std::string second, text_of(doc, "option2"));
  return Json::array({sentence.substr(0, gap) + first, sentence.substr(0, gap) + second});
}

// --- HellaSwag
std::string clean_hellaswag(std::string text) {
  text = replace_all(std::string(strip(text)), " [title]", ". ");
  for (size_t open = text.find('['); open != text.npos; open = text.find('[', open)) {
    const size_t close = text.find(']', open);
    if (close == text.npos) break;
    // Python's "." stops at a line end.
    if (text.find('\n', open) < close)
      ++open;
    else
      text.erase(open, close - open + 1);
  }
  return replace_all(text, "  ", " ");
}
Result<Json> hellaswag_process(const Json& doc) {
  SLLM_TRY(const std::string label, text_of(doc, "activity_label"));
  SLLM_TRY(const std::string a, text_of(doc, "ctx_a"));
  SLLM_TRY(const std::string b, text_of(doc, "ctx_b"));
  SLLM_TRY(const int64_t gold, integer_of(doc, "label"));
  const auto endings = doc.find("endings");
  if (endings == doc.end() || !endings->is_array())
    return bad_input("a HellaSwag document has no list of endings");
  Json out = doc;
  out["query"] = clean_hellaswag(label + ": " + a + " " + capitalize(b));
  out["choices"] = Json::array();
  for (const Json& ending : *endings) {
    if (!ending.is_string()) return bad_input("a HellaSwag ending is not text");
    out["choices"].push_back(clean_hellaswag(ending.get<std::string>()));
  }
  out["gold"] = gold;
  return out;
}

// --- KoBEST
Result<Json> copa_text(const Json& doc) {
  SLLM_TRY(const std::string question, text_of(doc, "question"));
  SLLM_TRY(const std::string premise, text_of(doc, "premise"));
  const std::string_view kind = strip(question);
  if (kind != "원인" && kind != "결과")
    return bad_input("a COPA question is \"{}\"; expected 원인 or 결과", kind);
  return Json(premise + " " + (kind == "원인" ? " 왜냐하면" : " 그래서"));
}
Result<Json> copa_choice(const Json& doc) {
  SLLM_TRY(const std::string first, text_of(doc, "alternative_1"));
  SLLM_TRY(const std::string second, text_of(doc, "alternative_2"));
  return Json::array({first, second});
}
Result<Json> copa_target(const Json& doc) {
  SLLM_TRY(const int64_t label, integer_of(doc, "label"));
  SLLM_TRY(const Json choices, copa_choice(doc));
  return Json(choices[label == 0 ? 0 : 1]);
}
Result<Json> sentineg_text(const Json& doc) {
  SLLM_TRY(const std::string sentence, text_of(doc, "sentence"));
  return Json("문장: " + sentence + " 긍부정:");
}
Result<Json> wic_text(const Json& doc) {
  SLLM_TRY(const std::string first, text_of(doc, "context_1"));
  SLLM_TRY(const std::string second, text_of(doc, "context_2"));
  SLLM_TRY(const std::string word, text_of(doc, "word"));
  return Json("문장1: " + first + " 문장2: " + second + " 두 문장에서 " + word +
              "가 같은 뜻으로 쓰였나?");
}
Result<Json> kobest_hellaswag_process(const Json& doc) {
  SLLM_TRY(const std::string context, text_of(doc, "context"));
  SLLM_TRY(const int64_t gold, integer_of(doc, "label"));
  Json out = doc;
  out["query"] = "문장: " + context;
  out["choices"] = Json::array();
  for (const char* key : {"ending_1", "ending_2", "ending_3", "ending_4"}) {
    SLLM_TRY(const std::string ending, text_of(doc, key));
    out["choices"].push_back(ending);
  }
  out["gold"] = gold;
  return out;
}

template <class F>
struct Row {
  std::string_view task_prefix, name;
  F function;
};

using PlainFunction = Result<Json> (*)(const Json&);
constexpr Row<PlainFunction> kDocFunctions[] = {
    {"winogrande", "preprocess_winogrande.doc_to_text", winogrande_text},
    {"winogrande", "preprocess_winogrande.doc_to_target", winogrande_target},
    {"winogrande", "preprocess_winogrande.doc_to_choice", winogrande_choice},
    {"kobest_copa", "utils.copa_doc_to_text", copa_text},
    {"kobest_copa", "utils.copa_doc_to_target", copa_target},
    {"kobest_copa", "utils.copa_doc_to_choice", copa_choice},
    {"kobest_sentineg", "utils.sentineg_doc_to_text", sentineg_text},
    {"kobest_wic", "utils.wic_doc_to_text", wic_text},
};
constexpr Row<PlainFunction> kProcessFunctions[] = {
    {"hellaswag", "utils.process_docs", hellaswag_process},
    {"kobest_hellaswag", "utils.hellaswag_process_doc", kobest_hellaswag_process},
};
constexpr Row<AggregationFunction> kAggregations[] = {
    {"kobest", "utils.macro_f1_score", macro_f1},
};

template <class F, size_t N>
Result<F> find(const Row<F> (&rows)[N], const std::string& task, const std::string& name) {
  std::string known;
  for (const auto& row : rows) {
    if (row.name == name && task.starts_with(row.task_prefix)) return row.function;
    known += fmt::format("{}{} of {}", known.empty() ? "" : ", ", row.name, row.task_prefix);
  }
  return with_hint(
      usage_error("the task {} names the Python helper {}, which has no native counterpart", task,
                  name),
      "Known helpers here: " + known);
}

}  // namespace

Result<DocFunction> find_doc_function(const std::string& task, const std::string& name) {
  SLLM_TRY(const PlainFunction f, find(kDocFunctions, task, name));
  return DocFunction(f);
}
Result<ProcessFunction> find_process_function(const std::string& task, const std::string& name) {
  SLLM_TRY(const PlainFunction f, find(kProcessFunctions, task, name));
  return ProcessFunction(f);
}
Result<AggregationFunction> find_aggregation_function(const std::string& task,
                                                      const std::string& name) {
  return find(kAggregations, task, name);
}

}  // namespace sllm::eval
