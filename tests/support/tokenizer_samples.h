// Small tokenizer files of each kind.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace sllm::testing::samples {

using nlohmann::json;

inline TokenizerSource file_source(const std::string& name, const std::string& content) {
  TokenizerSource source;
  source.files[name] = content;
  return source;
}

inline Result<std::shared_ptr<const Tokenizer>> load_file(const std::string& name,
                                                          const std::string& content) {
  return Tokenizer::load(file_source(name, content));
}

// A protocol buffer, field by field.
inline std::string number(int field, uint64_t value) {
  std::string out;
  for (uint64_t v : {static_cast<uint64_t>(field) << 3, value}) {
    for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
    out += static_cast<char>(v);
  }
  return out;
}
inline std::string bytes(int field, const std::string& value) {
  std::string key = number(field, value.size());
  key[0] = static_cast<char>(field << 3 | 2);  // fields below 16 have a key of one byte
  return key + value;
}
inline std::string piece(const std::string& text, float score, int type = 1) {
  std::string raw(5, '\0');
  raw[0] = 2 << 3 | 5;
  std::memcpy(raw.data() + 1, &score, 4);
  return bytes(1, bytes(1, text) + raw + number(3, static_cast<uint64_t>(type)));
}

inline std::string special_pieces() {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
}
inline std::string trainer(int type, bool byte_fallback) {
  return bytes(2, number(3, static_cast<uint64_t>(type)) + std::string("\x98\x02", 2) +
                      std::string(1, byte_fallback ? '\1' : '\0'));
}

inline std::string llama_like() {
  std::string file = special_pieces();
  for (int b = 0; b < 256; ++b) file += piece(fmt::format("<0x{:02X}>", b), 0, 6);
  float score = 0;
  for (const char* text : {"▁a", "ab", "▁", "a", "b", "▁▁"}) file += piece(text, score--);
  return file + trainer(2, true) + bytes(3, number(4, 0));  // extra spaces stay
}

// tokenizer.json as Llama-2's: U+2581 for spaces, characters, bytes for the rest.
inline json char_bpe() {
  json vocab = {{"<unk>", 0}, {"▁", 1},  {"a", 2},      {"b", 3},
                {"▁a", 4},    {"ab", 5}, {"<0xC3>", 6}, {"<0xA9>", 7}};
  return {
      {"added_tokens", json::array()},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         json::array({{{"type", "Prepend"}, {"prepend", "▁"}},
                      {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}})}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", json::array({json::array({"a", "b"}), json::array({"▁", "a"})})}}}};
}

// All 256 bytes, a few merges, ChatML's tokens, and a token that is added but not special.
inline json small_tokenizer() {
  json vocab = json::object();
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    vocab[token_text_of_bytes({&byte, 1})] = b;
  }
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"l", "l"},     {"h", "e"}, {"he", "ll"}, {"hell", "o"},
      {"Ġ", "hello"}, {"a", "a"}, {"aa", "aa"}};
  json merge_list = json::array();
  int next = 256;
  for (const auto& [left, right] : merges) {
    vocab[left + right] = next++;
    merge_list.push_back({left, right});
  }
  json added = json::array();
  for (const char* text : {"<|im_start|>", "<|im_end|>", "<think>"})
    added.push_back({{"id", next++},
                     {"content", text},
                     {"special", std::string(text) != "<think>"},
                     {"normalized", false}});
  return {{"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merge_list}}}};
}

inline Result<std::shared_ptr<const Tokenizer>> load_json(const json& tokenizer,
                                                          const std::string& config = "") {
  TokenizerSource source;
  source.tokenizer_json = tokenizer.dump();
  source.tokenizer_config_json = config;
  return Tokenizer::load(source);
}

}  // namespace sllm::testing::samples
