// Any bytes as a known question and its evidence: learned or not, never FTS5 or SQL syntax; one
// whose evidence stands in the document is found by its own words.
#include <unistd.h>

#include "ground/index.h"

namespace {

using namespace sllm;

const std::string kText = "휴가 연차는 15일입니다. Cards are blocked after 3 wrong PINs.";

const fs::path& index_file() {
  static const fs::path file = [] {
    const fs::path folder =
        fs::temp_directory_path() / ("sllm-questions-fuzz-" + std::to_string(::getpid()));
    fs::create_directories(folder / "docs");
    (void)write_file_atomically(folder / "docs/a.md", kText);
    Index::update(folder / "index", folder / "docs").value();
    return folder / "index";
  }();
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), size);
  const std::string question(text.substr(0, end)), evidence(text.substr(std::min(end + 1, size)));
  const auto learned =
      Index::learn_questions(index_file(), std::vector{KnownQuestion{question, evidence}});
  if (!learned.ok()) __builtin_trap();
  if (learned->learned > 0 && kText.find(evidence) == std::string::npos) __builtin_trap();
  const auto hits = Index::open(index_file()).value()->search(question);
  if (!hits.ok()) __builtin_trap();
  return 0;
}
