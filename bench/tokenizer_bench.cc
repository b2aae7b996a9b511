// How fast a tokenizer encodes: tokenizer_bench TOKENIZER TEXT [seconds]
// Prints {"bytes", "ids", "hash", "seconds"}: the quickest of several runs over the whole text, in
// processor time of this thread, without loading. `hash` is FNV-1a over the ids as 32-bit numbers.
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "io/tokenizer_files.h"
#include "text/tokenizer.h"

namespace {

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int fail(const sllm::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER TEXT [seconds]\n");
    return 1;
  }
  const auto source = sllm::open_tokenizer_source(argv[1]);
  if (!source.ok()) return fail(source.error());
  const auto tokenizer = sllm::Tokenizer::load(*source);
  if (!tokenizer.ok()) return fail(tokenizer.error());
  const auto text = sllm::read_file(argv[2]);
  if (!text.ok()) return fail(text.error());
  const double limit = argc > 3 ? std::atof(argv[3]) : 1;

  double best = 1e9, spent = 0;
  std::vector<sllm::TokenId> ids;
  for (int run = 0; run < 3 || spent < limit; ++run) {
    const double begin = processor_seconds();
    ids = (*tokenizer)->encode(*text);
    const double seconds = processor_seconds() - begin;
    spent += seconds;
    best = std::min(best, seconds);
  }
  uint64_t hash = 0xCBF29CE484222325u;
  for (const sllm::TokenId id : ids)
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
  std::printf("{\"bytes\": %zu, \"ids\": %zu, \"hash\": \"%016llx\", \"seconds\": %.6f}\n",
              text->size(), ids.size(), static_cast<unsigned long long>(hash), best);
  return 0;
}
