// English phrases and their Korean.
#include "project/report_words.h"

#include <map>

namespace sllm::project {
namespace {

const std::map<std::string_view, std::string_view> kKorean = {
    {"Requirements", "요구 사항"},
    {"met", "충족"},
    {"missed", "미달"},
    {"not measured", "측정 안 됨"},
    {"needed", "기준"},
    {"at least", "이상"},
    {"at most", "이하"},
    {"Side by side", "나란히 비교"},
    {"Model", "모델"},
    {"base", "기반 모델"},
    {"tuned", "미세 조정"},
    {"quantised", "양자화"},
    {"reference", "참고 모델"},
    {"examples in the prompt", "개 예시 포함"},
    {"Size", "크기"},
    {"Memory", "메모리"},
    {"First word", "첫 단어까지"},
    {"Answer", "답변 시간"},
    {"Speed", "속도"},
    {"tokens/s", "토큰/초"},
    {"s", "초"},
    {"Quality", "품질"},
    {"Quality and size", "품질과 크기"},
    {"Bars show one standard error either way.", "막대의 선은 표준 오차 범위를 나타냅니다."},
    {"Further right is larger on disk; higher is better.",
     "오른쪽일수록 파일이 크고, 위쪽일수록 좋습니다."},
    {"Learning", "학습 과정"},
    {"training loss", "학습 손실"},
    {"evaluation loss", "평가 손실"},
    {"step", "단계"},
    {"steps", "단계"},
    {"tokens", "토큰"},
    {"trained parameters", "학습한 매개변수"},
    {"The ten worst answers", "가장 나쁜 답변 10개"},
    {"The ten best answers", "가장 좋은 답변 10개"},
    {"asked", "질문"},
    {"expected", "기대한 답"},
    {"answered", "실제 답"},
    {"before tuning", "조정 전"},
    {"nothing", "(빈 답)"},
    {"No answer was worse than the best possible one.", "최고 점수보다 낮은 답변이 없습니다."},
    {"Data", "데이터"},
    {"rows read", "읽은 행"},
    {"rows kept", "사용한 행"},
    {"rows dropped", "제외한 행"},
    {"Reason", "이유"},
    {"Rows", "행"},
    {"Examples of dropped rows", "제외한 행의 예"},
    {"Nothing was dropped.", "제외한 행이 없습니다."},
    {"The same model at every border", "단계마다 같은 모델인지 확인"},
    {"Border", "단계"},
    {"Compared", "비교 대상"},
    {"merging", "병합"},
    {"quantising", "양자화"},
    {"serving over HTTP", "HTTP 서비스"},
    {"base with adapter", "어댑터를 얹은 기반 모델"},
    {"merged model", "병합한 모델"},
    {"file", "파일"},
    {"server", "서버"},
    {"Same tokens", "같은 토큰"},
    {"Divergence (KLD)", "분포 차이 (KLD)"},
    {"Same answers", "같은 답"},
    {"near ties", "개 동률"},
    {"Bound", "허용 범위"},
    {"Verdict", "판정"},
    {"the same model", "같은 모델"},
    {"another model", "다른 모델"},
    {"Conversations that give the same tokens, divergence of the next token's distribution, and "
     "greedy answers that are the same. A near tie is where rounding alone may decide between two "
     "tokens.",
     "같은 토큰이 나온 대화 수, 다음 토큰 분포의 차이, 똑같은 탐욕적 답의 수입니다. 동률은 "
     "반올림만으로 "
     "두 토큰의 순서가 바뀔 수 있는 경우입니다."},
    {"Origins and licences", "출처와 라이선스"},
    {"What", "종류"},
    {"Name", "이름"},
    {"Licence", "라이선스"},
    {"not stated", "명시되지 않음"},
    {"Again", "다시 만들기"},
    {"This command makes it again; what has not changed is not made twice.",
     "이 명령으로 다시 만들 수 있습니다. 바뀌지 않은 부분은 다시 만들지 않습니다."},
    {"Time spent", "걸린 시간"},
    {"stage", "단계"},
    {"base model", "기반 모델"},
    {"training data", "학습 데이터"},
    {"grammar", "문법"},
    {"held-out data", "평가 데이터"},
    {"reference model", "참고 모델"},
    {"documents", "문서"},
    {"all items", "전체"},
    {"Search for tuning settings", "튜닝 설정 탐색"},
    {"Loss and steps", "손실과 단계"},
    {"Dots are evaluation losses, thin lines the training loss; the best candidate stands out.",
     "점은 평가 손실, 가는 선은 학습 손실입니다. 가장 좋은 후보를 강조했습니다."},
    {"Candidates", "후보"},
    {"candidates", "후보"},
    {"Candidate", "후보"},
    {"Learning rate", "학습률"},
    {"Rank", "랭크"},
    {"Epochs", "에포크"},
    {"Steps", "단계"},
    {"State", "상태"},
    {"best", "최선"},
    {"kept", "남음"},
    {"out", "탈락"},
    {"diverged", "발산"},
    {"waiting", "시작 전"},
    {"candidates were not begun.", "개 후보는 시작하지 않았습니다."},
    {"How it was decided", "정한 방법"},
    {"minutes allowed", "허용한 분"},
    {"minutes spent", "쓴 분"},
    {"evaluation rows", "평가 행"},
    {"one in so many went on", "개 중 하나를 남김"},
    {"Every candidate is trained with the learning-rate schedule of its whole length and paused "
     "after these shares of its steps; there the evaluation loss decides who goes on (successive "
     "halving).",
     "모든 후보는 전체 길이의 학습률 일정으로 학습하다가 단계 수의 아래 몫에서 멈추고, 그때의 평가 "
     "손실로 계속할 후보를 정합니다(연속 반감법)."},
    {"Bracket", "묶음"},
    {"Compared after", "비교한 때"},
    {"The time was up before the search was finished.", "탐색이 끝나기 전에 시간이 다 되었습니다."},
    {"The best settings", "가장 좋은 설정"},
    {"The best candidate is trained to its end; its adapter lies here.",
     "가장 좋은 후보는 끝까지 학습되었고, 어댑터는 여기에 있습니다."},
    {"This command tunes with these settings.", "이 명령으로 이 설정대로 튜닝합니다."},
};

const std::map<std::string_view, std::pair<std::string_view, std::string_view>> kMetrics = {
    {"exact_match", {"Exact match", "완전 일치"}},
    {"json_match", {"Exact JSON match", "JSON 일치"}},
    {"token_f1", {"Overlap (F1)", "겹침 (F1)"}},
    {"key_facts", {"Key facts", "핵심 사실"}},
    {"cited", {"Right citation", "올바른 인용"}},
    {"refused", {"Says \"I don't know\" when it should", "모를 때 모른다고 답함"}},
    {"falsely_refused", {"Says \"I don't know\" when it should not", "알아야 할 때 모른다고 답함"}},
    {"kld", {"Divergence", "분포 차이 (KLD)"}},
    {"perplexity", {"Perplexity", "혼란도"}},
    {"first_word_seconds", {"Seconds to the first word", "첫 단어까지 걸린 초"}},
    {"memory_mb", {"Memory (MB)", "메모리 (MB)"}},
    {"disk_mb", {"Size (MB)", "크기 (MB)"}},
};

const std::map<std::string_view, std::pair<std::string_view, std::string_view>> kLanguages = {
    {"en", {"English", "영어"}},
    {"ko", {"Korean", "한국어"}},
    {"ja", {"Japanese", "일본어"}},
    {"zh", {"Chinese", "중국어"}},
    {"all", {"all items", "전체"}}};

}  // namespace

std::string_view Words::operator()(std::string_view english) const {
  if (!korean_) return english;
  const auto it = kKorean.find(english);
  return it == kKorean.end() ? english : it->second;
}

std::string Words::metric(std::string_view name) const {
  const auto it = kMetrics.find(name);
  if (it != kMetrics.end()) return std::string(korean_ ? it->second.second : it->second.first);
  return std::string(name.starts_with("task.") ? name.substr(5) : name);
}

std::string Words::language(std::string_view code) const {
  const auto it = kLanguages.find(code);
  return std::string(it == kLanguages.end() ? code
                     : korean_              ? it->second.second
                                            : it->second.first);
}

}  // namespace sllm::project
