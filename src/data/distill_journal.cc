#include "data/distill_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sllm {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const JournalAnswer& a) {
  if (!a.refused.empty()) return {{"refused", a.refused}};
  Json json = {{"text", a.answer.text}, {"ended", a.answer.ended}, {"tokens", a.answer.tokens}};
  if (!a.answer.logprobs.empty()) json["logprobs"] = sllm::to_json(a.answer.logprobs);
  return json;
}

JournalAnswer answer_of(const Json& json) {
  if (json.contains("refused")) return {{}, json.at("refused")};
  JournalAnswer a{{json.at("text"), json.at("ended"), json.at("tokens")}, ""};
  if (json.contains("logprobs"))
    a.answer.logprobs = said_tokens_from_json(json["logprobs"]).value();
  return a;
}

}  // namespace

Result<DistillJournal> DistillJournal::open(const fs::path& path, const Json& identity) {
  SLLM_TRY(FileLock lock, FileLock::acquire(path));
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0)
    return make_error(ErrorCode::kUsage, "{}: cannot be opened: {}", path.string(),
                      std::strerror(errno));
  DistillJournal journal(path, std::move(lock), fd);
  SLLM_OK(journal.read(identity));
  return journal;
}

// What follows the last whole line was being written when the process was killed: it goes.
Status DistillJournal::read(const Json& identity) {
  SLLM_TRY(const std::string text, read_file(path_, uint64_t{16} << 30));
  const std::string first = line_of({{"distill", identity}});
  const Error foreign =
      with_hint(usage_error("{}: holds something else than answers", path_.string()),
                "Move that file away, or write to another one with -o");
  if (text.find('\n') == std::string::npos && !first.starts_with(text)) return foreign;
  size_t whole = 0;
  bool named = false;
  for (size_t begin = 0; begin < text.size(); begin = whole) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!named) {
      if (!line.is_object() || !line.contains("distill") || !line["distill"].is_object())
        return foreign;
      const Json before = line["distill"];
      std::vector<std::string> others;
      for (const auto& [key, value] : identity.items())
        if (before.value(key, Json()) != value) others.push_back(key);
      if (!others.empty())
        return with_hint(usage_error("{}: was begun with other settings: {}", path_.string(),
                                     fmt::join(others, ", ")),
                         "Use the same, or remove that file to begin anew");
      named = true;
    } else {
      if (!line.is_object()) break;
      try {
        std::vector<JournalAnswer> answers;
        for (const Json& answer : line.at("answers")) answers.push_back(answer_of(answer));
        // Who refused may answer now: another limit, a longer context.
        if (std::ranges::none_of(answers, [](const auto& a) { return !a.refused.empty(); }))
          rows_[line.at("row").get<size_t>()] = std::move(answers);
      } catch (const Json::exception&) {
        break;
      } catch (const ResultError&) {
        break;
      }
    }
    whole = end + 1;
  }
  if (whole < text.size() && ::ftruncate(fd_, static_cast<off_t>(whole)) != 0)
    return make_error(ErrorCode::kResource, "{}: cannot be shortened: {}", path_.string(),
                      std::strerror(errno));
  return named ? ok() : write(first);
}

Status DistillJournal::write(const std::string& line) {
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t n = ::write(fd_, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return make_error(ErrorCode::kResource, "{}: a line could not be written: {}", path_.string(),
                        std::strerror(errno));
    written += static_cast<size_t>(n);
  }
  if (::fsync(fd_) != 0)
    return make_error(ErrorCode::kResource, "{}: fsync: {}", path_.string(), std::strerror(errno));
  return ok();
}

Status DistillJournal::append(size_t row, std::vector<JournalAnswer> answers) {
  Json list = Json::array();
  for (const JournalAnswer& a : answers) list.push_back(to_json(a));
  rows_[row] = std::move(answers);
  return write(line_of({{"row", row}, {"answers", list}}));
}

void DistillJournal::remove() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

DistillJournal::~DistillJournal() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sllm
