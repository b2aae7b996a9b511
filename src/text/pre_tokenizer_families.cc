// The pre-tokenizers behind the names of tokenizer.ggml.pre, as the families' own tokenizer.json
// files have them (the names are those of ggml-org/llama.cpp, src/llama-vocab.cpp).
#include "text/pre_tokenizer_families.h"

#include <array>

namespace sllm {
namespace {

using Steps = std::vector<PreTokenizerStep>;

Steps split(std::initializer_list<const char*> patterns) {
  Steps steps;
  for (const char* pattern : patterns) steps.push_back(SplitStep{pattern});
  return steps;
}

// Letters of the cased scripts.
constexpr const char* kDeepSeekLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A})"
    R"(\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF})"
    R"(\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-)"
    R"(\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC})"
    R"(\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC})"
    R"(\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128})"
    R"(\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E})"
    R"(\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3})"
    R"(\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-)"
    R"(\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
constexpr const char* kDeepSeekPunctuation =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
// Its author wrote the ends of some ranges with characters of other blocks.
constexpr const char* kDeepSeekCjk = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr const char* kKanaAndHan = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr const char* kDeepSeekV3Words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBailingPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kExaoneMoePattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeedCoderPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBloomPattern =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";

Steps gpt2() { return split({kGpt2Pattern}); }
Steps llama3() { return split({kLlama3Pattern}); }
Steps qwen2() { return split({kQwen2Pattern}); }
Steps qwen35() { return split({kQwen35Pattern}); }
Steps o200k() { return split({kO200kPattern}); }
Steps tekken() { return split({kTekkenPattern}); }
Steps digits_gpt2() { return {DigitsStep{true}, SplitStep{kGpt2Pattern}}; }
// ByteLevel stands in the middle, so what follows sees bytes as printable characters.
Steps falcon() {
  return {PunctuationStep{SplitBehaviour::kContiguous}, SplitStep{kGpt2Pattern}, BytesStep{},
          DigitsStep{false}, SplitStep{"[0-9][0-9][0-9]"}};
}
Steps deepseek_llm() {
  Steps steps =
      split({R"([\r\n])", kDeepSeekLetters, kDeepSeekPunctuation, R"(\s+$)", kDeepSeekCjk});
  steps.emplace_back(DigitsStep{true});
  return steps;
}
Steps deepseek_coder() {
  Steps steps = split({R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekCjk});
  steps.emplace_back(DigitsStep{true});
  return steps;
}
Steps deepseek_v3() { return split({R"(\p{N}{1,3})", kKanaAndHan, kDeepSeekV3Words}); }
Steps bailing() { return split({kBailingPattern}); }
Steps exaone_moe() { return split({kExaoneMoePattern}); }
Steps seed_coder() { return split({kSeedCoderPattern}); }
Steps bloom() { return split({kBloomPattern}); }

struct Row {
  std::string_view name;
  Steps (*steps)();
  bool nfc = false, ignore_merges = false, adds_bos = false;
};
// Of those that say the same, the first is written.
constexpr std::array kRows = {
    Row{"gpt-2", gpt2},
    Row{"default", gpt2},
    Row{"phi-2", gpt2},
    Row{"jina-es", gpt2},
    Row{"jina-de", gpt2},
    Row{"jina-v2-code", gpt2},
    Row{"roberta-bpe", gpt2},
    Row{"a.x-4.0", gpt2},
    Row{"jais", gpt2},
    Row{"trillion", gpt2},
    Row{"exaone4", gpt2},
    Row{"olmo", gpt2, true},
    Row{"modern-bert", gpt2, true},
    Row{"mpt", gpt2, true},
    Row{"gpt-neox", gpt2, true},
    Row{"smollm", digits_gpt2},
    Row{"starcoder", digits_gpt2},
    Row{"refact", digits_gpt2},
    Row{"granite", digits_gpt2},
    Row{"codeshell", digits_gpt2},
    Row{"exaone", digits_gpt2},
    Row{"minerva-7b", digits_gpt2},
    Row{"command-r", digits_gpt2, true},
    Row{"qwen2", qwen2, true},
    Row{"deepseek-r1-qwen", qwen2, true},
    Row{"kormo", qwen2},
    Row{"megrez", qwen2, true},
    Row{"hunyuan", qwen2},
    Row{"stablelm2", qwen2},
    Row{"solar-open", qwen2},
    Row{"qwen35", qwen35, true},
    Row{"llama-bpe", llama3, false, true, true},
    Row{"llama3", llama3, false, true, true},
    Row{"llama-v3", llama3, false, true, true},
    Row{"falcon3", llama3, false, true, true},
    Row{"falcon-h1", llama3, false, true, true},
    Row{"pixtral", llama3, false, true, true},
    Row{"midm-2.0", llama3, false, true, true},
    Row{"lfm2", llama3, false, true, true},
    Row{"smollm3", llama3, false, true},
    Row{"dbrx", llama3},
    Row{"smaug-bpe", llama3},
    Row{"chatglm-bpe", llama3},
    Row{"glm4", llama3, false, true},
    Row{"gpt-4o", o200k},
    Row{"llama4", o200k},
    Row{"kanana2", o200k},
    Row{"tekken", tekken, false, true, true},
    Row{"falcon", falcon},
    Row{"deepseek-llm", deepseek_llm},
    Row{"deepseek-coder", deepseek_coder},
    Row{"deepseek-v3", deepseek_v3},
    Row{"hunyuan-dense", deepseek_v3},
    Row{"bailingmoe", bailing},
    Row{"exaone-moe", exaone_moe},
    Row{"seed-coder", seed_coder},
    Row{"bloom", bloom},
    Row{"poro-chat", bloom},
    Row{"gpt3-finnish", bloom},
};

}  // namespace

Result<PreTokenizerFamily> pre_tokenizer_family(std::string_view pre) {
  if (pre.empty()) pre = "default";
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == pre)
      return PreTokenizerFamily{row.steps(), row.nfc, row.ignore_merges, row.adds_bos};
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  return with_hint(bad_input("tokenizer.ggml.pre is \"{}\"; known are {}", pre, known),
                   "Convert the model from its Hugging Face folder, whose tokenizer.json says how "
                   "text is cut");
}

Result<std::string> pre_tokenizer_name(const TokenizerSpec& spec) {
  const bool nfc = spec.normalizers == std::vector<NormalizerStep>{FormStep{unicode::Form::kNfc}};
  const bool known = nfc || spec.normalizers.empty();
  for (const Row& row : kRows)
    if (known && row.steps() == spec.pre_tokenizer && row.nfc == nfc &&
        row.ignore_merges == spec.ignore_merges)
      return std::string(row.name);
  return with_hint(
      bad_input("its normalizer, its pre-tokenizer and whether whole words come before merges have "
                "no name together in GGUF (tokenizer.ggml.pre)"),
      "Keep the model as a Hugging Face folder");
}

}  // namespace sllm
