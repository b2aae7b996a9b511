// Pulling from a hub of ours on the loopback: everything that it can do to a download.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>

#include "base/events.h"
#include "hub/cache.h"
#include "hub/licence.h"
#include "hub/origin.h"
#include "hub/resolve.h"
#include "support/fake_hub.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

const std::string kCommit(40, 'c'), kOther(40, 'd');

class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::path(::testing::TempDir()) /
            fmt::format("{}-{}", ::testing::UnitTest::GetInstance()->current_test_info()->name(),
                        ::getpid());
    fs::remove_all(home_);
    ::setenv("HF_HOME", home_.c_str(), 1);
    ::setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    ::setenv("HF_TOKEN", "hf_secret", 1);
    for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE",
                             "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"})
      ::unsetenv(name);
    hub_.files() = {{"config.json", "{}"},
                    {"tokenizer.json", "{}"},
                    {"model.safetensors", weights_},
                    {"pytorch_model.bin", "pickle"},
                    {"README.md", "---\nlicense: mit\n---\n"}};
    repo_ = home_ / "hub/models--org--repo";
  }
  void TearDown() override { fs::remove_all(home_); }

  // With quick retries.
  static Result<fs::path> fetch(const std::string& name) {
    FetchOptions options;
    options.first_delay = std::chrono::milliseconds(1);
    return fetch_hf(**parse_hf_name(name), options, {});
  }
  std::vector<std::string> blobs() {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(repo_ / "blobs", error))
      names.push_back(entry.path().filename().string());
    return names;
  }
  // Nothing may lie under a final name after a failed pull.
  void expect_no_weights() {
    EXPECT_FALSE(fs::exists(repo_ / "blobs" / sha256_hex(weights_)));
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(repo_ / "snapshots", error))
      EXPECT_NE(entry.path().filename(), "model.safetensors");
    EXPECT_FALSE(resolve_model("hf:org/repo").ok());
    EXPECT_FALSE(fs::exists(repo_ / "refs/main"));
  }

  const std::string weights_ = [] {
    std::string text(50'000, '\0');
    uint32_t x = 1;
    for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    return text;
  }();
  fs::path home_, repo_;
  FakeHub hub_;
};

TEST_F(PullTest, AWholeModelIntoTheStandardCache) {
  EXPECT_THAT(resolve_model("hf:org/repo").error().hint, HasSubstr("sllm pull hf:org/repo"));
  const fs::path path = pull_model("hf:org/repo").value();
  EXPECT_EQ(path, repo_ / "snapshots" / kCommit);
  EXPECT_EQ(read_file(path / "model.safetensors").value(), weights_);
  EXPECT_EQ(fs::read_symlink(path / "model.safetensors"), "../../blobs/" + sha256_hex(weights_));
  EXPECT_EQ(fs::read_symlink(path / "config.json"),
            "../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b");
  EXPECT_FALSE(fs::exists(path / "pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(home_ / "evil"));
  EXPECT_EQ(read_file(repo_ / "refs/main").value(), kCommit);
  EXPECT_EQ(resolve_model("hf:org/repo").value(), path);
  EXPECT_EQ(resolve_model("hf:org/repo/config.json").value(), path / "config.json");
  EXPECT_EQ(licence_of_cached(path), "mit");
  for (const auto& r : hub_.requests())
    EXPECT_EQ(r.headers.at("authorization"), "Bearer hf_secret");
  ASSERT_EQ(hub_.downloads().size(), 1u);
  EXPECT_FALSE(hub_.downloads()[0].headers.contains("authorization"));
  // Again: one question, and nothing is transferred.
  const size_t before = hub_.requests().size();
  EXPECT_TRUE(pull_model("hf:org/repo").ok());
  EXPECT_EQ(hub_.requests().size(), before + 1);
  EXPECT_EQ(hub_.downloads().size(), 1u);
}

TEST_F(PullTest, FromAMirrorThatListsNamesAlone) {
  hub_.lists_blobs = false;
  const fs::path path = pull_model("hf:org/repo").value();
  EXPECT_EQ(read_file(path / "model.safetensors").value(), weights_);
  EXPECT_EQ(read_file(path / "config.json").value(), "{}");
}

TEST_F(PullTest, ABranchATagAndACommit) {
  hub_.commits[kOther] = {{"m.gguf", "GGUF other"}};
  hub_.branches["refs/pr/4"] = kOther;
  const fs::path path = pull_model("hf:org/repo@refs/pr/4").value();
  EXPECT_EQ(path, repo_ / "snapshots" / kOther / "m.gguf");
  EXPECT_EQ(read_file(repo_ / "refs/refs/pr/4").value(), kOther);
  EXPECT_FALSE(fs::exists(repo_ / "refs/main"));
  EXPECT_EQ(resolve_model("hf:org/repo@refs/pr/4").value(), path);
  // A commit cannot change: what is here is not asked for again.
  const size_t before = hub_.requests().size();
  EXPECT_EQ(pull_model("hf:org/repo:m.gguf@" + kOther).value(), path);
  EXPECT_EQ(hub_.requests().size(), before);
  const Error none = pull_model("hf:org/repo@v9").error();
  EXPECT_EQ(none.code, ErrorCode::kNetwork);
  EXPECT_THAT(none.to_string(), HasSubstr("no such revision"));
}

TEST_F(PullTest, ABranchThatMovedOn) {
  const fs::path first = pull_model("hf:org/repo").value();
  hub_.commits[kOther] = hub_.files();
  hub_.commits[kOther]["model.safetensors"] = "new weights";
  hub_.branches["main"] = kOther;
  const fs::path second = pull_model("hf:org/repo").value();
  EXPECT_EQ(read_file(second / "model.safetensors").value(), "new weights");
  EXPECT_EQ(read_file(first / "model.safetensors").value(), weights_);
  EXPECT_EQ(read_file(repo_ / "refs/main").value(), kOther);
  EXPECT_EQ(hub_.downloads().size(), 2u);  // what did not change is shared
}

TEST_F(PullTest, TheChosenTypeWithAllItsParts) {
  hub_.files() = {{"m.Q8_0.gguf", "8"},
                  {"m.Q4_K_M.gguf", "4"},
                  {"F16/m-F16-00001-of-00002.gguf", "a"},
                  {"F16/m-F16-00002-of-00002.gguf", "b"},
                  {"README.md", "---\nlicense: mit\n---\n"}};
  EXPECT_EQ(pull_model("hf:org/repo").value().filename(), "m.Q4_K_M.gguf");
  EXPECT_EQ(pull_model("hf:org/repo:q8_0").value().filename(), "m.Q8_0.gguf");
  const fs::path split = pull_model("hf:org/repo:F16").value();
  EXPECT_EQ(split, repo_ / "snapshots" / kCommit / "F16/m-F16-00001-of-00002.gguf");
  EXPECT_EQ(read_file(split.parent_path() / "m-F16-00002-of-00002.gguf").value(), "b");
  EXPECT_EQ(fs::read_symlink(split), "../../../blobs/" + sha256_hex("a"));
  EXPECT_EQ(licence_of_cached(split), "mit");
  EXPECT_EQ(resolve_model("hf:org/repo:f16").value(), split);
  EXPECT_EQ(resolve_model("hf:org/repo").value().filename(), "m.Q4_K_M.gguf");
  const Error none = pull_model("hf:org/repo:Q2_K").error();
  EXPECT_EQ(none.code, ErrorCode::kUsage);
  EXPECT_THAT(none.message, HasSubstr("holds no Q2_K; it has F16, Q4_K_M, Q8_0"));
  // Not fetched yet is another thing than not there.
  EXPECT_THAT(resolve_model("hf:org/repo:Q2_K").error().hint, HasSubstr("sllm pull"));
  fs::remove(split.parent_path() / "m-F16-00002-of-00002.gguf");
  EXPECT_FALSE(resolve_model("hf:org/repo:F16").ok());
  EXPECT_EQ(pull_model("hf:org/repo/F16/m-F16-00001-of-00002.gguf").value(), split);
  EXPECT_TRUE(fs::exists(split.parent_path() / "m-F16-00002-of-00002.gguf"));
}

// Their sum does not fit 64 bits, and is more than any disk has.
TEST_F(PullTest, RefusesSizesWhoseSumIsPastAllNumbers) {
  hub_.fault = [](const LoopbackRequest& request) -> LoopbackResponse {
    if (!request.path.starts_with("/api/")) return {0};
    nlohmann::json files;
    for (const std::string part : {"1", "2", "3", "4"})
      files.push_back(
          {{"rfilename", "m-0000" + part + "-of-00004.gguf"},
           {"size", int64_t{1} << 62},
           {"lfs", {{"sha256", std::string(64, part[0])}, {"size", int64_t{1} << 62}}}});
    return {200, {}, nlohmann::json{{"sha", kCommit}, {"siblings", files}}.dump()};
  };
  EXPECT_EQ(fetch("hf:org/repo").error().code, ErrorCode::kResource);
  EXPECT_TRUE(hub_.downloads().empty());
}

TEST_F(PullTest, RefusesARepositoryOfPickles) {
  hub_.files() = {{"config.json", "{}"}, {"pytorch_model.bin", "pickle"}};
  const Error error = pull_model("hf:org/repo").error();
  EXPECT_EQ(error.code, ErrorCode::kBadInput);
  EXPECT_THAT(error.to_string(), HasSubstr("can run code"));
}

TEST_F(PullTest, GoesOnWithAPartOfABlob) {
  fs::create_directories(repo_ / "blobs");
  const fs::path part = repo_ / "blobs" / (sha256_hex(weights_) + ".incomplete");
  ASSERT_TRUE(write_file_atomically(part, weights_.substr(0, 30'000)).ok());
  EXPECT_EQ(read_file(*pull_model("hf:org/repo/model.safetensors")).value(), weights_);
  ASSERT_EQ(hub_.downloads().size(), 1u);
  EXPECT_EQ(hub_.downloads()[0].headers.at("range"), "bytes=30000-");
  EXPECT_FALSE(hub_.downloads()[0].headers.contains("if-range"));  // the hash decides
  EXPECT_FALSE(fs::exists(part));
}

TEST_F(PullTest, StartsAnewWhenThePartWasOfSomethingElse) {
  fs::create_directories(repo_ / "blobs");
  const fs::path part = repo_ / "blobs" / (sha256_hex(weights_) + ".incomplete");
  ASSERT_TRUE(write_file_atomically(part, std::string(30'000, 'x')).ok());
  EXPECT_EQ(read_file(*pull_model("hf:org/repo/model.safetensors")).value(), weights_);
  EXPECT_EQ(hub_.downloads().size(), 2u);
}

TEST_F(PullTest, GoesOnAfterACutConnectionAndARestartOfTheHub) {
  int answers = 0;
  hub_.spoil = [&](LoopbackResponse& r) {
    if (++answers < 3) r.send_only = 20'000;
  };
  int refusals = 0;
  hub_.fault = [&](const LoopbackRequest&) -> LoopbackResponse {
    return {++refusals % 2 ? 503 : 0, {}, ""};  // every other request
  };
  const fs::path path = fetch("hf:org/repo").value();
  EXPECT_EQ(read_file(path / "model.safetensors").value(), weights_);
  ASSERT_EQ(hub_.downloads().size(), 3u);
  EXPECT_EQ(hub_.downloads()[1].headers.at("range"), "bytes=20000-");
  EXPECT_EQ(hub_.downloads()[2].headers.at("range"), "bytes=40000-");
}

TEST_F(PullTest, GivesUpABodyThatStaysShortAndKeepsThePart) {
  hub_.storage_fault = [&](const LoopbackRequest& r) -> LoopbackResponse {
    if (r.range_start() > 0) return {500, {}, ""};
    return {200, {{"Content-Length", "50000"}}, weights_.substr(0, 10'000)};
  };
  const Error error = fetch("hf:org/repo").error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.hint, HasSubstr("run the same command again"));
  expect_no_weights();
  EXPECT_EQ(fs::file_size(repo_ / "blobs" / (sha256_hex(weights_) + ".incomplete")), 10'000u);
}

TEST_F(PullTest, TakesNoOtherLengthNoWebPageAndNoOtherContent) {
  hub_.spoil = [](LoopbackResponse& r) { r = {200, {}, "short"}; };
  EXPECT_EQ(fetch("hf:org/repo").error().code, ErrorCode::kNetwork);
  expect_no_weights();
  hub_.spoil = [&](LoopbackResponse& r) {
    r = {200, {{"Content-Type", "text/html; charset=utf-8"}}, std::string(50'000, '<')};
  };
  const Error page = fetch("hf:org/repo").error();
  EXPECT_EQ(page.code, ErrorCode::kNetwork);
  EXPECT_THAT(page.message, HasSubstr("a web page came instead"));
  expect_no_weights();
  hub_.spoil = [](LoopbackResponse& r) { r = {200, {}, std::string(50'000, 'z')}; };
  const Error content = fetch("hf:org/repo").error();
  EXPECT_EQ(content.code, ErrorCode::kBadInput);
  EXPECT_THAT(content.message, HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(repo_ / "blobs" / (sha256_hex(weights_) + ".incomplete")));
  expect_no_weights();
}

TEST_F(PullTest, ChecksSmallFilesByTheirGitHash) {
  hub_.fault = [](const LoopbackRequest& r) -> LoopbackResponse {
    if (r.method == "GET" && r.path.ends_with("/config.json")) return {200, {}, "[]"};
    return {0};
  };
  const Error error = fetch("hf:org/repo").error();
  EXPECT_EQ(error.code, ErrorCode::kBadInput);
  EXPECT_THAT(error.message, HasSubstr("config.json"));
  EXPECT_THAT(error.message, HasSubstr("git SHA-1"));
  expect_no_weights();
}

TEST_F(PullTest, MendsADamagedBlob) {
  const fs::path file = pull_model("hf:org/repo/model.safetensors").value();
  ASSERT_TRUE(write_file_atomically(fs::canonical(file), std::string(50'000, 'x')).ok());
  EXPECT_EQ(read_file(*pull_model("hf:org/repo/model.safetensors")).value(), weights_);
}

TEST_F(PullTest, WaitsAsA429Says) {
  int refused = 0;
  hub_.fault = [&](const LoopbackRequest&) -> LoopbackResponse {
    if (refused++ < 2) return {429, {{"Retry-After", "0"}}, "slow down"};
    return {0};
  };
  EXPECT_TRUE(fetch("hf:org/repo").ok());
  hub_.fault = [](const LoopbackRequest&) -> LoopbackResponse { return {429, {}, ""}; };
  const Error error = fetch("hf:org/repo").error();
  EXPECT_EQ(error.code, ErrorCode::kNetwork);
  EXPECT_THAT(error.to_string(), HasSubstr("too many requests"));
}

TEST_F(PullTest, SaysWhatIsMissingOrForbidden) {
  const Error file = fetch("hf:org/repo/nothing.gguf").error();
  EXPECT_EQ(file.code, ErrorCode::kNetwork);
  EXPECT_THAT(file.to_string(), HasSubstr("no such file"));
  EXPECT_THAT(fetch("hf:org/none").error().to_string(), HasSubstr("Check the name"));
  hub_.token = "hf_other";
  hub_.gate = "GatedRepo";
  const Error gated = fetch("hf:org/repo").error();
  EXPECT_EQ(gated.code, ErrorCode::kNetwork);
  EXPECT_THAT(gated.hint, HasSubstr("Accept the model's terms"));
  EXPECT_EQ(gated.to_string().find("hf_secret"), std::string::npos);
  hub_.fault = [](const LoopbackRequest&) -> LoopbackResponse { return {500, {}, ""}; };
  EXPECT_THAT(fetch("hf:org/repo").error().to_string(), HasSubstr("HTTP 500"));
  hub_.fault = [](const LoopbackRequest&) -> LoopbackResponse { return {200, {}, "<html>"}; };
  EXPECT_THAT(fetch("hf:org/repo").error().message, HasSubstr("list of files cannot be read"));
  expect_no_weights();
}

TEST_F(PullTest, TakesTheTokenFromAFile) {
  ::unsetenv("HF_TOKEN");
  fs::create_directories(home_);
  ASSERT_TRUE(write_file_atomically(home_ / "token", "hf_from_file\n").ok());
  hub_.token = "hf_from_file";
  EXPECT_TRUE(fetch("hf:org/repo").ok());
  ASSERT_TRUE(write_file_atomically(home_ / "elsewhere", "hf_\r\nX-Evil: 1").ok());
  ::setenv("HF_TOKEN_PATH", (home_ / "elsewhere").c_str(), 1);
  EXPECT_EQ(hub_token(), "hf_X-Evil: 1");  // one line
  ::setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
  EXPECT_EQ(hub_token(), "");
  ::unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
}

TEST_F(PullTest, NeverConnectsOffline) {
  const fs::path path = pull_model("hf:org/repo").value();
  const size_t before = hub_.requests().size();
  for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}) {
    ::setenv(name, "1", 1);
    EXPECT_EQ(pull_model("hf:org/repo").value(), path);
    const Error error = pull_model("hf:org/other").error();
    EXPECT_EQ(error.code, ErrorCode::kNetwork);
    EXPECT_THAT(error.message, HasSubstr("HF_HUB_OFFLINE"));
    ::unsetenv(name);
  }
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(pull_model("hf:org/repo:Q4:Q5").error().code, ErrorCode::kUsage);
  EXPECT_EQ(hub_.requests().size(), before);
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  EXPECT_FALSE(hub_offline());
}

TEST_F(PullTest, DoesNotBeginWhatTheDiskCannotHold) {
  hub_.fault = [](const LoopbackRequest& r) -> LoopbackResponse {
    if (!r.path.starts_with("/api/")) return {0};
    return {200,
            {},
            R"({"sha":")" + kCommit + R"(","siblings":[{"rfilename":"m.gguf","size":1,
      "lfs":{"sha256":")" +
                std::string(64, 'a') + R"(","size":4000000000000000000}}]})"};
  };
  const Error error = fetch("hf:org/repo").error();
  EXPECT_EQ(error.code, ErrorCode::kResource);
  EXPECT_THAT(error.message, HasSubstr("4000000000000000000 bytes are to be fetched"));
  EXPECT_THAT(error.hint, HasSubstr("sllm rm"));
  EXPECT_TRUE(hub_.downloads().empty());
  EXPECT_TRUE(blobs().empty());
}

TEST_F(PullTest, WaitsForAnotherProcessAndTakesWhatItFetched) {
  const RepoCache cache("org/repo");
  ASSERT_TRUE(cache.prepare().ok());
  std::mutex mutex;
  std::condition_variable told;
  bool waits = false;
  set_log_sink([&](LogLevel, std::string_view message) {
    const std::lock_guard lock(mutex);
    waits |= message.find("another process is fetching it") != message.npos;
    told.notify_all();
  });
  Result<fs::path> result = bad_input("not yet");
  std::thread other;
  {
    const FileLock held = cache.lock(sha256_hex(weights_)).value();
    other = std::thread([&] { result = pull_model("hf:org/repo/model.safetensors"); });
    std::unique_lock lock(mutex);
    told.wait(lock, [&] { return waits; });
    // What the other one does at its end.
    ASSERT_TRUE(write_file_atomically(cache.blob(sha256_hex(weights_)), weights_).ok());
  }
  other.join();
  set_log_sink({});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(read_file(*result).value(), weights_);
  EXPECT_TRUE(hub_.downloads().empty());
}

TEST_F(PullTest, TellsAPathFromANameAndHelpsWithTypingErrors) {
  EXPECT_EQ(resolve_model(home_.parent_path().string()).value(), home_.parent_path());
  const auto wrong = resolve_model("smolm2-135m-instruct");
  EXPECT_EQ(wrong.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(wrong.error().hint, HasSubstr("smollm2-135m-instruct"));
  EXPECT_THAT(resolve_model("smollm2-135m-instruct").error().hint, HasSubstr("sllm pull"));
}

TEST_F(PullTest, AUrl) {
  LoopbackServer server([](const LoopbackRequest& r) {
    return LoopbackResponse{200, {}, r.path.starts_with("/page") ? "<!doctype html>" : "GGUF"};
  });
  const std::string url = server.url("/models/tiny.gguf?download=true");
  EXPECT_EQ(read_file(pull_model(url).value()).value(), "GGUF");
  EXPECT_EQ(resolve_model(url).value().filename(), "tiny.gguf");
  EXPECT_FALSE(pull_model(server.url("/page.html")).ok());
  const Error page = pull_model(server.url("/page.gguf")).error();
  EXPECT_EQ(page.code, ErrorCode::kBadInput);
  EXPECT_THAT(page.to_string(), HasSubstr("no GGUF file"));
  EXPECT_FALSE(resolve_model(server.url("/page.gguf")).ok());
}

}  // namespace
}  // namespace sllm
