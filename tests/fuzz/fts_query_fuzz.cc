// Any bytes as a query to an index: always an answer, never FTS5 or SQL syntax.
#include <unistd.h>

#include "ground/index.h"

namespace {

std::shared_ptr<sllm::Index> make_index() {
  using namespace sllm;
  const fs::path folder =
      fs::temp_directory_path() / ("sllm-fts-fuzz-" + std::to_string(::getpid()));
  fs::create_directories(folder / "docs");
  const char* text = "# 휴가 규정\n\n연차는 15일입니다. Cards are blocked after 3 wrong PINs.\n";
  (void)write_file_atomically(folder / "docs/a.md", text);
  Index::update(folder / "index", folder / "docs").value();
  auto index = Index::open(folder / "index").value();
  fs::remove_all(folder);  // the open file lives on
  return index;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto index = make_index();
  const auto hits = index->search({reinterpret_cast<const char*>(data), size});
  if (!hits.ok()) __builtin_trap();
  return 0;
}
