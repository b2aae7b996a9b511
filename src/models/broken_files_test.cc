// Broken files: each is refused with a sentence that says what is wrong, and nothing else happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "io/adapter.h"
#include "io/gguf.h"
#include "io/gguf_model.h"
#include "io/gguf_writer.h"
#include "io/hf_config.h"
#include "io/mlx_adapter.h"
#include "io/peft.h"
#include "io/safetensors.h"
#include "io/safetensors_parse.h"
#include "models/registry.h"
#include "support/tiny_model.h"
#include "support/tiny_tokenizer.h"
#include "support/written.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

std::string slurp(const fs::path& path) { return read_file(path).value(); }
void spill(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A valid GGUF file of the tiny model, and ways to break it in one place.
class Gguf {
 public:
  Gguf() {
    static const std::string valid = [] {
      testing::TemporaryFolder folder;
      ModelToWrite model = as_written(std::make_shared<testing::TinyModel>());
      model.tokenizer.gguf = testing::tiny_tokenizer();
      write_gguf(folder / "m.gguf", model).value();
      return slurp(folder / "m.gguf");
    }();
    bytes = valid;
  }
  template <class T>
  Gguf& put(size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return *this;
  }
  size_t end_of(std::string_view name) const {
    const size_t at = bytes.find(name);
    SLLM_CHECK(at != bytes.npos, "no {} in the file", name);
    return at + name.size();
  }
  // A metadata pair: its type, then its value.
  template <class T>
  Gguf& value(std::string_view key, T v) {
    return put(end_of(key) + 4, v);
  }
  Gguf& type(std::string_view key, uint32_t t) { return put(end_of(key), t); }
  Gguf& rename(std::string_view from, std::string_view to) {
    bytes.replace(end_of(from) - from.size(), from.size(), to);
    return *this;
  }
  // A tensor's directory entry: rank, dimensions, type, offset.
  Gguf& rank(std::string_view tensor, uint32_t n) { return put(end_of(tensor), n); }
  Gguf& dimension(std::string_view tensor, int i, uint64_t n) {
    return put(end_of(tensor) + 4 + 8 * static_cast<size_t>(i), n);
  }
  Gguf& dtype(std::string_view tensor, int rank, uint32_t t) {
    return put(end_of(tensor) + 4 + 8 * static_cast<size_t>(rank), t);
  }
  Gguf& offset(std::string_view tensor, int rank, uint64_t n) {
    return put(end_of(tensor) + 8 + 8 * static_cast<size_t>(rank), n);
  }
  Gguf& cut(size_t n) {
    bytes.resize(n);
    return *this;
  }
  std::string bytes;
};

Status open(const std::string& bytes) {
  auto file = GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size())), "m.gguf");
  if (!file.ok()) return std::move(file).error();
  auto source = open_gguf(std::move(*file), "m.gguf", architectures());
  if (!source.ok()) return std::move(source).error();
  return ok();
}

struct Case {
  const char* name;
  std::string bytes;
  const char* sentence;
};

void expect_refused(const char* name, const Status& status, const char* sentence) {
  ASSERT_FALSE(status.ok()) << name;
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput) << name;
  EXPECT_THAT(status.error().to_string(), HasSubstr(sentence)) << name;
}

TEST(BrokenGguf, TheUnbrokenFileOpens) {
  const Gguf gguf;
  const Status status = open(gguf.bytes);
  EXPECT_TRUE(status.ok()) << status.error().to_string();
}

TEST(BrokenGguf, ContainersAreRefusedWithASentence) {
  const Case cases[] = {
      {"empty", "", "it has only 0 bytes"},
      {"three bytes", "GGU", "it has only 3 bytes"},
      {"magic", Gguf().put(0, uint32_t{0x46464646}).bytes, "not a GGUF file: it begins with"},
      {"version 0", Gguf().put(4, uint32_t{0}).bytes, "GGUF version 0"},
      {"version 1", Gguf().put(4, uint32_t{1}).bytes, "GGUF version 1"},
      {"version 4", Gguf().put(4, uint32_t{4}).bytes, "GGUF version 4"},
      {"big-endian", Gguf().put(4, uint32_t{3} << 24).bytes, "big-endian"},
      {"tensors -1", Gguf().put(8, int64_t{-1}).bytes, "at most 65536 are allowed"},
      {"tensors 65536", Gguf().put(8, uint64_t{65536}).bytes, "tensors cannot fit in"},
      {"pairs 2^63", Gguf().put(16, uint64_t{1} << 63).bytes, "metadata pairs, at most"},
      {"key length 2^63", Gguf().put(24, uint64_t{1} << 63).bytes, "a metadata key has a length"},
      {"key length 0", Gguf().put(24, uint64_t{0}).bytes, "a metadata key is empty"},
      {"key not text", Gguf().put(32, uint8_t{0xff}).bytes, "is not UTF-8 text"},
      {"key with NUL", Gguf().put(33, uint8_t{0}).bytes, "is not UTF-8 text"},
      {"string of 1 GiB", Gguf().value("general.type", uint64_t{1} << 30).bytes,
       "a string has a length of 1073741824 bytes"},
      {"unknown value type", Gguf().type("llama.block_count", 99).bytes,
       "has the unknown value type 99"},
      {"array of 2^62",
       Gguf().put(Gguf().end_of("tokenizer.ggml.token_type") + 8, uint64_t{1} << 62).bytes,
       "array elements, at most"},
      {"array past the end",
       Gguf().put(Gguf().end_of("tokenizer.ggml.token_type") + 8, uint64_t{60000000}).bytes,
       "array elements cannot fit"},
      {"nested array",
       Gguf().put(Gguf().end_of("tokenizer.ggml.token_type") + 4, uint32_t{9}).bytes,
       "is an array of arrays"},
      {"duplicate key",
       Gguf().rename("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id").bytes,
       "appears twice"},
      {"rank 5", Gguf().rank("output_norm.weight", 5).bytes, "has 5 dimensions"},
      {"rank 0", Gguf().rank("output_norm.weight", 0).bytes, "has 0 dimensions"},
      {"dimension 0", Gguf().dimension("output_norm.weight", 0, 0).bytes,
       "the impossible dimension 0"},
      {"dimension -1", Gguf().dimension("output_norm.weight", 0, ~uint64_t{0}).bytes,
       "the impossible dimension"},
      {"dimensions wrap",
       Gguf()
           .dimension("token_embd.weight", 0, uint64_t{1} << 62)
           .dimension("token_embd.weight", 1, 16)
           .bytes,
       "the impossible dimension"},
      {"removed type", Gguf().dtype("output_norm.weight", 1, 4).bytes,
       "has the ggml type 4 (Q4_2)"},
      {"type we lack", Gguf().dtype("output_norm.weight", 1, 16).bytes,
       "has the ggml type 16 (IQ2_XXS), which is not supported"},
      {"type -1", Gguf().dtype("output_norm.weight", 1, ~0u).bytes, "has the ggml type 4294967295"},
      {"rows not whole blocks", Gguf().dtype("output_norm.weight", 1, 12).bytes,
       "not a multiple of Q4_K's block of 256"},
      {"offset past the end", Gguf().offset("output_norm.weight", 1, uint64_t{1} << 40).bytes,
       "pass the end of the data"},
      {"offset wraps", Gguf().offset("output_norm.weight", 1, ~uint64_t{31}).bytes,
       "pass the end of the data"},
      {"offset not aligned", Gguf().offset("output_norm.weight", 1, 4).bytes,
       "not a multiple of the alignment"},
      {"overlap", Gguf().offset("output_norm.weight", 1, 0).bytes, "overlap at offset 0"},
      {"cut in the data", Gguf().cut(Gguf().bytes.size() - 64).bytes, "pass the end of the data"},
  };
  for (const Case& c : cases) expect_refused(c.name, open(c.bytes), c.sentence);
}

TEST(BrokenGguf, DuplicateTensorNamesAreRefused) {
  Gguf gguf;
  gguf.rename("blk.1.attn_norm.weight", "blk.0.attn_norm.weight");
  expect_refused("duplicate", open(gguf.bytes), "the tensor \"blk.0.attn_norm.weight\" appears");
}

TEST(BrokenGguf, BadAlignmentIsRefused) {
  // "llama.vocab_size" (u32) becomes general.alignment: one letter longer, so its length is
  // patched.
  for (uint32_t alignment : {0u, 13u, 0x80000000u}) {
    Gguf gguf;
    const size_t at = gguf.end_of("llama.vocab_size") - 16;
    gguf.put(at - 8, uint64_t{17}).rename("llama.vocab_size", "general.alignment");
    gguf.value("general.alignment", alignment);
    expect_refused("alignment", open(gguf.bytes), "expected a power of two");
    gguf.type("general.alignment", 5);
    expect_refused("alignment as i32", open(gguf.bytes), "general.alignment");
  }
}

TEST(BrokenGguf, ModelsAreRefusedWithASentence) {
  const Case cases[] = {
      {"architecture", Gguf().rename("llama", "gptjj").bytes, "architecture \"gptjj\" is not"},
      {"no architecture", Gguf().rename("general.architecture", "general.architectura").bytes,
       "\"general.architecture\" is missing"},
      {"no layers", Gguf().rename("llama.block_count", "llama.block_coumt").bytes,
       "\"llama.block_count\" is missing"},
      {"0 layers", Gguf().value("llama.block_count", 0u).bytes, "num_hidden_layers is 0"},
      {"513 layers", Gguf().value("llama.block_count", 513u).bytes, "num_hidden_layers is 513"},
      {"2^31 layers", Gguf().value("llama.block_count", 1u << 31).bytes, "num_hidden_layers is"},
      {"3 layers of 2", Gguf().value("llama.block_count", 3u).bytes, "is missing"},
      {"1 layer of 2", Gguf().value("llama.block_count", 1u).bytes, "is not part of a llama model"},
      {"layers as f32", Gguf().type("llama.block_count", 6).bytes, "expected an integer"},
      {"0 heads", Gguf().value("llama.attention.head_count", 0u).bytes, "num_attention_heads is 0"},
      {"heads do not divide", Gguf().value("llama.attention.head_count", 3u).bytes, "3"},
      {"odd rotation", Gguf().value("llama.rope.dimension_count", 7u).bytes,
       "expected an even number"},
      {"epsilon 0", Gguf().value("llama.attention.layer_norm_rms_epsilon", 0.0f).bytes,
       "rms_norm_eps is 0"},
      {"theta negative", Gguf().value("llama.rope.freq_base", -1.0f).bytes, "rope_theta is -1"},
      {"bos past the vocabulary", Gguf().value("tokenizer.ggml.bos_token_id", 320u).bytes,
       "tokenizer.ggml.bos_token_id is 320"},
      {"types as f32",
       Gguf().put(Gguf().end_of("tokenizer.ggml.token_type") + 4, uint32_t{6}).bytes,
       "expected an array of i32"},
      {"tokens missing", Gguf().rename("tokenizer.ggml.tokens", "tokenizer.ggml.tokenz").bytes,
       "\"tokenizer.ggml.tokens\" is missing"},
      {"foreign tensor", Gguf().rename("blk.1.attn_norm", "blk.1.attn_nerm").bytes,
       "is not part of a llama model"},
      {"shape", Gguf().dimension("blk.0.attn_k.weight", 1, 16).bytes, "expected [32, 64]"},
  };
  for (const Case& c : cases) expect_refused(c.name, open(c.bytes), c.sentence);
}

TEST(BrokenGguf, EveryTruncationIsRefused) {
  const std::string whole = Gguf().bytes;
  const size_t header = Gguf().end_of("blk.1.ffn_down.weight");
  for (size_t n = 0; n < header; n += n < 512 ? 1 : 7)
    ASSERT_FALSE(open(whole.substr(0, n)).ok()) << n;
  for (size_t n = header; n + 64 < whole.size(); n += 4096)
    ASSERT_FALSE(open(whole.substr(0, n)).ok()) << n;
}

std::string safetensors(const std::string& header, size_t data = 0) {
  const uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), 8);
  return out + header + std::string(data, '\0');
}

TEST(BrokenSafetensors, AreRefusedWithASentence) {
  const auto one = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  std::string deep(100000, '[');
  const Case cases[] = {
      {"seven bytes", "1234567", "the header length needs 8 bytes"},
      {"header past the end", safetensors("{}").substr(0, 9), "the header needs 2 bytes"},
      {"header 2^64-1", std::string(8, '\xff') + "{}", "at most 100000000 are allowed"},
      {"header over 100 MB", std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}",
       "at most 100000000 are allowed"},
      {"not JSON", safetensors("{oops"), "not valid JSON"},
      {"not text", safetensors("{\"\xff\":1}"), "is not UTF-8 text"},
      {"leading space", safetensors(" {}"), "does not begin with '{'"},
      {"array", safetensors("[]"), "does not begin with '{'"},
      {"depth", safetensors("{\"a\":" + deep), "nested deeper than 128"},
      {"duplicate", safetensors("{\"a\":{" + good + "},\"a\":{" + good + "}}", 8),
       "the key \"a\" appears twice"},
      {"unknown dtype", safetensors(one(R"("dtype":"F4","shape":[2],"data_offsets":[0,8])"), 8),
       "dtype F4 is not supported"},
      {"missing field", safetensors(one(R"("dtype":"F32","shape":[2])"), 8),
       "expected the three fields"},
      {"negative size", safetensors(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8),
       "is impossible"},
      {"shape wraps",
       safetensors(one(R"("dtype":"F32","shape":[4194305,4194305,211106198978564],)"
                       R"("data_offsets":[0,16])"),
                   16),
       "is impossible"},
      {"size differs", safetensors(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
       "do not hold the 12 bytes"},
      {"reversed", safetensors(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8),
       "do not hold the 8 bytes"},
      {"past the end", safetensors(one(good), 4), "the tensors take 8 bytes, the file has 4"},
      {"trailing bytes", safetensors(one(good), 9), "the tensors take 8 bytes, the file has 9"},
      {"hole", safetensors(one(R"("dtype":"F32","shape":[2],"data_offsets":[4,12])"), 12),
       "there is a hole"},
      {"overlap",
       safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                   12),
       "tensors overlap"},
      {"metadata", safetensors(R"({"__metadata__":{"a":1}})"), "is not a string"},
  };
  for (const Case& c : cases) {
    const auto result = parse_safetensors(std::as_bytes(std::span(c.bytes.data(), c.bytes.size())),
                                          nullptr, "m.safetensors");
    expect_refused(c.name, result.ok() ? ok() : Status(result.error()), c.sentence);
  }
}

TEST(BrokenConfig, IsRefusedWithASentence) {
  const std::string valid =
      R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
"num_key_value_heads":2,"intermediate_size":96,"vocab_size":320,"max_position_embeddings":512})";
  ASSERT_TRUE(parse_hf_config(valid, "", "config.json", architectures()).ok());
  const auto with = [&](const char* from, const char* to) {
    std::string text = valid;
    return text.replace(text.find(from), std::strlen(from), to);
  };
  const Case cases[] = {
      {"empty", "", "line 1, column 0: not valid JSON"},
      {"array", "[1]", "is not a JSON object"},
      {"cut", valid.substr(0, 90), "line 2, column 4: not valid JSON"},
      {"type", with("llama", "gpt9"), "model_type \"gpt9\" is not supported"},
      {"no type", with("model_type", "modeltype"), "\"model_type\" is missing"},
      {"width as text", with("64", "\"64\""), "\"hidden_size\" is string"},
      {"no width", with("hidden_size", "hidden"), "\"hidden_size\" is missing"},
      {"width 65", with("64", "65"), "is not a multiple of num_attention_heads"},
      {"no heads", with("heads\":4", "heads\":0"), "num_attention_heads is 0"},
      {"3 key heads", with("heads\":2", "heads\":3"), "not a multiple of num_key_value_heads"},
      {"1e9 layers", with("layers\":2", "layers\":1000000000"), "num_hidden_layers is 1000000000"},
      {"fraction", with("320", "3.5"), "\"vocab_size\" is number, expected a whole number"},
      {"odd head", with("\"vocab", "\"head_dim\":7,\"vocab"), "needs an even one"},
      {"activation", with("\"vocab", "\"hidden_act\":\"relu2\",\"vocab"), "hidden_act \"relu2\""},
      {"dynamic",
       with("\"vocab", "\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4},\"vocab"),
       "rope_scaling type \"dynamic\" is not supported"},
      {"yarn without factor",
       with("\"vocab", "\"rope_parameters\":{\"rope_type\":\"yarn\"},\"vocab"),
       "\"factor\" is missing"},
      {"longrope from nothing",
       with("\"vocab",
            "\"rope_scaling\":{\"rope_type\":\"longrope\",\"short_factor\":[1,1,1,1,1,1,1,1],"
            "\"long_factor\":[1,1,1,1,1,1,1,1],\"original_max_position_embeddings\":1},\"vocab"),
       "original_max_position_embeddings is 1"},
      {"quantised", with("\"vocab", "\"quantization_config\":{},\"vocab"),
       "quantised Hugging Face checkpoints"},
      {"eos", with("\"vocab", "\"eos_token_id\":320,\"vocab"), "eos_token_id is 320"},
      {"duplicate", with("\"vocab", "\"hidden_size\":32,\"vocab"),
       "the key \"hidden_size\" appears twice"},
  };
  for (const Case& c : cases) {
    const auto result = parse_hf_config(c.bytes, "", "config.json", architectures());
    expect_refused(c.name, result.ok() ? ok() : Status(result.error()), c.sentence);
    EXPECT_THAT(result.error().message, HasSubstr("config.json")) << c.name;
  }
  EXPECT_THAT(parse_hf_config(valid, "[]", "config.json", architectures()).error().message,
              HasSubstr("generation_config.json beside it): is not an object"));
}

class BrokenFolder : public ::testing::Test {
 protected:
  BrokenFolder() {
    ModelToWrite model = as_written(std::make_shared<testing::TinyModel>());
    model.tokenizer.gguf = testing::tiny_tokenizer();
    testing::to_folder(hf, model).value();
  }
  void expect(const char* sentence) {
    const auto result = open_model(hf);
    expect_refused(sentence, result.ok() ? ok() : Status(result.error()), sentence);
  }
  void index(const std::string& shard) {
    fs::rename(hf / "model.safetensors", hf / "real.safetensors");
    spill(hf / "model.safetensors.index.json",
          R"({"weight_map":{"model.norm.weight":")" + shard + "\"}}");
  }
  testing::TemporaryFolder folder;
  fs::path hf = folder / "hf";
};

TEST_F(BrokenFolder, MissingPartsAreNamed) {
  fs::remove(hf / "tokenizer.json");
  expect("tokenizer.json");
  fs::remove(hf / "config.json");
  expect("config.json");
}
TEST_F(BrokenFolder, ShardsOutsideTheFolderAreRefused) {
  index("../../etc/passwd");
  expect("is not the name of a .safetensors file in this folder");
}
TEST_F(BrokenFolder, AbsoluteShardsAreRefused) {
  index("/tmp/x.safetensors");
  expect("is not the name of a .safetensors file in this folder");
}
TEST_F(BrokenFolder, LinksOutOfTheFolderAreRefused) {
  index("link.safetensors");
  fs::copy(hf / "real.safetensors", folder / "outside.safetensors");
  fs::create_symlink(folder / "outside.safetensors", hf / "link.safetensors");
  expect("is a link that leaves the folder");
}
TEST_F(BrokenFolder, MissingShardsAreNamed) {
  index("gone.safetensors");
  expect("the shard \"gone.safetensors\" is missing");
}
TEST_F(BrokenFolder, TensorsTheIndexDoesNotListAreNamed) {
  index("real.safetensors");
  expect("which the index places nowhere");
}
TEST_F(BrokenFolder, PicklesAreRefused) {
  fs::rename(hf / "model.safetensors", hf / "pytorch_model.bin");
  expect("is a pickle");
  const auto direct = open_model(hf / "pytorch_model.bin");
  EXPECT_THAT(direct.error().message, HasSubstr("pickles"));
}

class BrokenAdapter : public ::testing::Test {
 protected:
  BrokenAdapter() {
    LoraAdapter adapter;
    adapter.rank = 2;
    adapter.alpha = 4;
    adapter.modules["model.layers.0.mlp.up_proj"] = {Tensor::zeros(DType::kF32, {2, 64}),
                                                     Tensor::zeros(DType::kF32, {96, 2})};
    write_peft_adapter(path, adapter).value();
  }
  void expect(const char* sentence) {
    const auto result = read_peft_adapter(path);
    expect_refused(sentence, result.ok() ? ok() : Status(result.error()), sentence);
  }
  void weights(std::map<std::string, Tensor> tensors) {
    write_safetensors(path / "adapter_model.safetensors", tensors).value();
  }
  testing::TemporaryFolder folder;
  fs::path path = folder / "adapter";
};

TEST_F(BrokenAdapter, TheUnbrokenOneOpens) {
  const LoraAdapter adapter = read_peft_adapter(path).value();
  EXPECT_EQ(adapter.modules.size(), 1u);
  EXPECT_EQ(adapter.scale(), 2);
}
TEST_F(BrokenAdapter, ConfigurationsAreRefusedWithASentence) {
  const std::string whole = slurp(path / "adapter_config.json");
  const std::pair<const char*, const char*> fields[] = {
      {R"("r": 3)", "but the adapter's rank is 3"},
      {R"("r": 0)", "\"r\" is 0"},
      {R"("r": "2")", "\"r\" is string"},
      {R"("r": 2, "peft_type": "LOHA")", "peft_type \"LOHA\" is not supported"},
      {R"("r": 2, "lora_alpha": 1e39)", "\"lora_alpha\" is not a finite number"},
      {R"("r": 2, "use_dora": true)", "has no magnitude vector, but use_dora is true"},
      {R"("r": 2, "lora_bias": true)", "\"lora_bias\" is not supported. Train with"},
      {R"("r": 2, "bias": "all")", "bias \"all\" is not supported (none is). Train with"},
      {R"("r": 2, "modules_to_save": ["lm_head"])", "\"modules_to_save\" is not supported. These"},
      {R"("r": 2, "trainable_token_indices": [1])", "\"trainable_token_indices\" is not supported"},
      {R"("r": 2, "layer_replication": [[0, 1]])", "\"layer_replication\" is not supported"},
      {R"("r": 2, "alora_invocation_tokens": [1])", "\"alora_invocation_tokens\" is not"},
      {R"("r": 2, "init_lora_weights": "pissa_niter_4")", "is \"pissa_niter_4\", which changes"},
      {R"("r": 2, "rank_pattern": {"up_proj": 3})", "but the adapter's rank is 3"},
      {R"("r": 2, "rank_pattern": {"up_proj": 0})", "\"up_proj\" is 0, expected 1 to"},
      {R"("r": 2, "rank_pattern": [4])", "\"rank_pattern\" is array, expected an object"},
      {R"("r": 2, "alpha_pattern": {"up_proj": "x"})", "\"up_proj\" is string"},
      {R"("r": 2, "alpha_pattern": {".*_proj": 4})", "is a regular expression"},
      {R"("r": 2, "alpha_pattern": {"up_proj": 4, "mlp.up_proj": 5})", "both fit model.layers.0"},
  };
  for (const auto& [changed, sentence] : fields) {
    std::string text = whole;
    for (const char* key :
         {R"("peft_type": "LORA",)", R"("lora_alpha": 4.0,)", R"("bias": "none",)"})
      if (std::string_view(changed).find(std::string_view(key).substr(0, 8)) != std::string::npos)
        text.erase(text.find(key), std::strlen(key));
    text.replace(text.find("\"r\": 2"), 6, changed);
    spill(path / "adapter_config.json", text);
    expect(sentence);
  }
}
TEST_F(BrokenAdapter, PicklesAreRefused) {
  fs::rename(path / "adapter_model.safetensors", path / "adapter_model.bin");
  expect("is a pickle, which can run code when it is read; refused. Save the adapter as");
}
TEST_F(BrokenAdapter, NumbersThatAreNoneAreRefused) {
  Tensor A = Tensor::zeros(DType::kF32, {2, 64});
  A.data<float>()[70] = std::nanf("");
  weights({{"base_model.model.a.lora_A.weight", A},
           {"base_model.model.a.lora_B.weight", Tensor::zeros(DType::kF32, {96, 2})}});
  expect("a: lora_A holds a NaN or an infinite number. The training that made it diverged");
}
TEST_F(BrokenAdapter, TrainedEmbeddingsAreRefused) {
  weights({{"base_model.model.lm_head.weight", Tensor::zeros(DType::kF32, {320, 64})}});
  expect("it replaces a weight of the base. Merge the adapter where it was made");
  weights({{"base_model.model.model.embed_tokens.lora_embedding_A",
            Tensor::zeros(DType::kF32, {2, 9})}});
  expect("adapters of the embedding are not supported");
}
TEST_F(BrokenAdapter, MagnitudesWithoutDoraAreRefused) {
  weights({{"base_model.model.a.lora_A.weight", Tensor::zeros(DType::kF32, {2, 64})},
           {"base_model.model.a.lora_B.weight", Tensor::zeros(DType::kF32, {96, 2})},
           {"base_model.model.a.lora_magnitude_vector", Tensor::zeros(DType::kF32, {96})}});
  expect("has a magnitude vector, but use_dora is false");
}
TEST_F(BrokenAdapter, LoneMatricesAreRefused) {
  weights({{"base_model.model.a.lora_A.weight", Tensor::zeros(DType::kF32, {2, 64})}});
  expect("a has no lora_B");
}
TEST_F(BrokenAdapter, ForeignTensorsAreRefused) {
  weights({{"model.a.weight", Tensor::zeros(DType::kF32, {2, 64})}});
  expect("is not named base_model.model.");
}
TEST_F(BrokenAdapter, EmptyAdaptersAreRefused) {
  weights({});
  expect("holds no LoRA matrices");
}

class BrokenMlx : public ::testing::Test {
 protected:
  void expect(const char* config, std::map<std::string, Tensor> tensors, const char* sentence) {
    auto parsed = parse_mlx_config(config, "adapter_config.json");
    if (!parsed.ok()) return expect_refused(config, std::move(parsed).error(), sentence);
    const auto bound = bind_mlx_tensors(tensors, "adapters.safetensors", std::move(*parsed));
    expect_refused(config, bound.ok() ? ok() : Status(bound.error()), sentence);
  }
  const Tensor a = Tensor::zeros(DType::kF32, {64, 2}), b = Tensor::zeros(DType::kF32, {2, 96});
};

TEST_F(BrokenMlx, IsRefusedWithASentence) {
  const char* good = R"({"fine_tune_type":"lora","lora_parameters":{"rank":2,"scale":20}})";
  expect("[]", {}, "is not a JSON object");
  expect(R"({"fine_tune_type":"full"})", {}, "fine_tune_type \"full\" is not supported");
  expect(R"({"fine_tune_type":"lora"})", {}, "\"lora_parameters\" is missing");
  expect(R"({"lora_parameters":{"rank":2}})", {}, "has no \"scale\"");
  expect(R"({"lora_parameters":{"rank":0,"scale":1}})", {}, "\"rank\" is 0");
  expect(R"({"lora_parameters":{"rank":2,"scale":1e39}})", {}, "is not a finite number");
  expect(good, {}, "holds no LoRA matrices");
  expect(good, {{"m.lora_a", a}}, "m has no lora_B");
  expect(good, {{"m.weight", a}}, "is not named <module>.lora_a, .lora_b or .m");
  expect(good, {{"m.lora_a", b}, {"m.lora_b", b}}, "but the adapter's rank is 2");
  expect(good, {{"m.lora_a", a}, {"m.lora_b", b}, {"m.m", Tensor::zeros(DType::kF32, {96})}},
         "has a magnitude (.m), but fine_tune_type is lora");
  expect(good, {{"model.embed_tokens.lora_a", a}}, "adapters of the embedding are not supported");
}

// A GGUF LoRA with one key or tensor other than it should be.
struct LoraFile {
  std::string architecture = "llama", kind = "lora";
  std::string a = "blk.0.attn_q.weight.lora_a", b = "blk.0.attn_q.weight.lora_b";
  int64_t rows = 64, rank = 2;
  float alpha = 4, first = 0;
  const char* extra = nullptr;
};

TEST(BrokenGgufLora, IsRefusedWithASentence) {
  const std::pair<LoraFile, const char*> cases[] = {
      {{.kind = "control"}, "adapter.type is \"control\", expected \"lora\""},
      {{.architecture = "qwen2"}, "is for a qwen2 model, but the base is a llama model. Use the"},
      {{.a = "blk.0.attn_q.weight.lora_c"}, "does not end in .lora_a or .lora_b"},
      {{.a = "blk.0.attn_x.weight.lora_a"}, "is not for a matrix of this architecture"},
      {{.b = "blk.0.attn_output.weight.lora_b"}, "has no lora_"},
      {{.a = "token_embd.weight.lora_a"}, "adapters of the embedding are not supported"},
      {{.a = "blk.0.attn_norm.weight"}, "replaces a norm of the base"},
      {{.rows = 63}, "has 63 rows, the base's matrix 64"},
      {{.rank = 3}, "which do not have one rank"},
      {{.alpha = INFINITY}, "adapter.lora.alpha is not a finite number"},
      {{.first = std::nanf("")}, "lora_A holds a NaN or an infinite number"},
      {{.extra = "adapter.alora.invocation_tokens"}, "invocation_tokens, which is not supported"},
  };
  testing::TemporaryFolder folder;
  for (const auto& [c, sentence] : cases) {
    GgufWriter out;
    out.add("general.architecture", c.architecture);
    out.add("general.type", "adapter");
    out.add("adapter.type", c.kind);
    out.add("adapter.lora.alpha", c.alpha);
    if (c.extra) out.add(c.extra, uint32_t{1});
    out.add_tensor(c.a, DType::kF32, {2, 64});
    out.add_tensor(c.b, DType::kF32, {c.rows, c.rank});
    Tensor A = Tensor::zeros(DType::kF32, {2, 64}),
           B = Tensor::zeros(DType::kF32, {c.rows, c.rank});
    A.data<float>()[0] = c.first;
    out.write(folder / "a.gguf", [&](size_t i) -> Result<Tensor> { return i == 0 ? A : B; })
        .value();
    const auto result = read_adapter(folder / "a.gguf", testing::tiny_config());
    expect_refused(sentence, result.ok() ? ok() : Status(result.error()), sentence);
  }
}

TEST(BrokenAdapterPath, SaysWhatAnAdapterIs) {
  testing::TemporaryFolder folder;
  for (const char* name : {"a.bin", "a.npz", "a.safetensors", "a.gguf"}) spill(folder / name, "xx");
  const std::pair<const char*, const char*> cases[] = {
      {"none", "there is no such file or folder"},
      {"", "is not an adapter: it has no adapter_config.json. Give a PEFT folder"},
      {"a.bin", ".bin files are archives that can run code"},
      {"a.npz", "refused. Save the adapter as a folder with safetensors"},
      {"a.safetensors", "is the weights alone, without the adapter's configuration. Give its"},
      {"a.gguf", "not a GGUF file"},
  };
  for (const auto& [name, sentence] : cases) {
    const auto result = read_adapter(folder / name, testing::tiny_config());
    expect_refused(name, result.ok() ? ok() : Status(result.error()), sentence);
  }
}

}  // namespace
}  // namespace sllm
