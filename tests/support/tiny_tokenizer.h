// A byte-level BPE tokenizer of 320 tokens for the tiny model: the 256 bytes, a few merges and
// special tokens.
#pragma once

#include <string>

#include "io/model_source.h"

namespace sllm::testing {

inline std::string byte_symbol(int byte) {  // GPT-2's printable stand-in for a byte, as UTF-8
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += !printable(b);
  }
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

inline TokenizerSource::Gguf tiny_tokenizer(int64_t V = 320) {
  TokenizerSource::Gguf t;
  t.model = "gpt2";
  t.pre = "smollm";
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    t.tokens.push_back(special);
    t.types.push_back(3);
  }
  for (int byte = 0; byte < 256; ++byte) {
    t.tokens.push_back(byte_symbol(byte));
    t.types.push_back(1);
  }
  for (const char* merge : {"h e", "l l", "he ll", "hell o", "Ġ t", "i n", "a n"}) {
    t.merges.push_back(merge);
    std::string joined = merge;
    joined.erase(joined.find(' '), 1);
    t.tokens.push_back(joined);
    t.types.push_back(1);
  }
  while (static_cast<int64_t>(t.tokens.size()) < V) {
    t.tokens.push_back("[PAD" + std::to_string(t.tokens.size()) + "]");
    t.types.push_back(5);
  }
  t.bos_id = 1, t.eos_id = 2, t.unknown_id = 0, t.padding_id = 2;
  t.add_bos = false;
  return t;
}

// A folder of its own for each test, removed afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "sllm-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace sllm::testing
