// Downloads against a server that is cut off, changes its mind, or refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http.h"
#include "support/loopback_server.h"

namespace sllm {
namespace {

using ::testing::HasSubstr;

std::string sample(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

// A well-behaved file with ranges; tests change what they need.
LoopbackResponse serve_range(const LoopbackRequest& request, const std::string& content,
                             const std::string& etag) {
  const size_t start = request.range_start();
  const auto condition = request.headers.find("if-range");
  if (start == 0 || (condition != request.headers.end() && condition->second != etag))
    return {200, {{"ETag", etag}}, content};
  if (start >= content.size())
    return {416, {{"Content-Range", "bytes */" + std::to_string(content.size())}}, ""};
  return {206,
          {{"ETag", etag},
           {"Content-Range", "bytes " + std::to_string(start) + "-" +
                                 std::to_string(content.size() - 1) + "/" +
                                 std::to_string(content.size())}},
          content.substr(start)};
}

class DownloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    file_ = folder_ / "part";
    options_.first_delay = std::chrono::milliseconds(1);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string contents() { return read_file(file_).value(); }

  fs::path folder_, file_;
  DownloadOptions options_;
  const std::string content_ = sample(100'000);
};

TEST_F(DownloadTest, GoesOnWhereTheConnectionWasCut) {
  int answers = 0;
  LoopbackServer server([&](const LoopbackRequest& request) {
    LoopbackResponse r = serve_range(request, content_, "\"a\"");
    if (++answers < 4) r.send_only = 30'000;
    return r;
  });
  uint64_t last = 0;
  ASSERT_TRUE(download(server.url("/f"), file_, options_, [&](const Progress& p) {
                EXPECT_GE(p.done, last);
                last = p.done;
                EXPECT_EQ(p.total, 100'000u);
              }).ok());
  EXPECT_EQ(contents(), content_);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[1].headers.at("range"), "bytes=30000-");
  EXPECT_EQ(requests[1].headers.at("if-range"), "\"a\"");
  EXPECT_FALSE(fs::exists(folder_ / "part.etag"));
}

TEST_F(DownloadTest, GoesOnInAnotherProcess) {
  LoopbackServer server(
      [&](const LoopbackRequest& r) { return serve_range(r, content_, "\"a\""); });
  ASSERT_TRUE(write_file_atomically(file_, content_.substr(0, 40'000)).ok());
  ASSERT_TRUE(write_file_atomically(folder_ / "part.etag", "\"a\"").ok());
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  EXPECT_EQ(server.requests()[0].headers.at("range"), "bytes=40000-");
}

TEST_F(DownloadTest, StartsAnewWhenTheFileHasChanged) {
  ASSERT_TRUE(write_file_atomically(file_, std::string(5'000, 'x')).ok());
  ASSERT_TRUE(write_file_atomically(folder_ / "part.etag", "\"old\"").ok());
  LoopbackServer server(
      [&](const LoopbackRequest& r) { return serve_range(r, content_, "\"new\""); });
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
}

TEST_F(DownloadTest, DoesNotJoinTwoVersionsWhereTheServerIgnoresTheCondition) {
  ASSERT_TRUE(write_file_atomically(file_, std::string(5'000, 'x')).ok());
  ASSERT_TRUE(write_file_atomically(folder_ / "part.etag", "\"old\"").ok());
  LoopbackServer server([&](LoopbackRequest r) {
    r.headers.erase("if-range");
    return serve_range(r, content_, "\"new\"");
  });
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
}

TEST_F(DownloadTest, StartsAnewWithoutAValidatorOrRanges) {
  ASSERT_TRUE(write_file_atomically(file_, std::string(5'000, 'x')).ok());
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{200, {}, content_};
  });
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  // Content addressed: the part is trusted, but a server without ranges sends all.
  ASSERT_TRUE(write_file_atomically(file_, content_.substr(0, 5'000)).ok());
  options_.immutable = true;
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
}

TEST_F(DownloadTest, TakesARangeNotSatisfiableAsDoneWhenAllIsThere) {
  ASSERT_TRUE(write_file_atomically(file_, content_).ok());
  options_.immutable = true;
  LoopbackServer server(
      [&](const LoopbackRequest& r) { return serve_range(r, content_, "\"a\""); });
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(DownloadTest, RefusesWhatNeverBecomesTheAnnouncedLength) {
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{200, {{"Content-Length", "100"}}, "short"};
  });
  options_.attempts = 2;
  const Status status = download(server.url("/f"), file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNetwork);
}

TEST_F(DownloadTest, GivesUpWhereNextToNothingComesEachTime) {
  LoopbackServer server([&](const LoopbackRequest& request) {
    LoopbackResponse answer = serve_range(request, content_, "\"a\"");
    answer.send_only = 1;
    return answer;
  });
  options_.attempts = 3;
  const Status status = download(server.url("/f"), file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST_F(DownloadTest, TriesAgainOn429AndGivesUpOn404And401) {
  int answers = 0;
  LoopbackServer server([&](const LoopbackRequest& r) -> LoopbackResponse {
    if (r.path == "/busy") {
      if (++answers < 3) return {429, {{"Retry-After", "0"}}, "wait"};
      return serve_range(r, content_, "\"a\"");
    }
    return {r.path == "/secret" ? 401 : 404, {}, "no"};
  });
  ASSERT_TRUE(download(server.url("/busy"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  const Status missing = download(server.url("/missing"), folder_ / "b", options_);
  EXPECT_THAT(missing.error().message, HasSubstr("HTTP 404"));
  EXPECT_EQ(missing.error().code, ErrorCode::kNetwork);
  const Status secret = download(server.url("/secret"), folder_ / "c", options_);
  EXPECT_THAT(secret.error().hint, HasSubstr("HF_TOKEN"));
  EXPECT_EQ(server.requests().size(), 5u);
  EXPECT_FALSE(read_file(folder_ / "b").value().size());
}

TEST_F(DownloadTest, SendsTheTokenToTheFirstHostOnly) {
  LoopbackServer other([&](const LoopbackRequest& r) { return serve_range(r, content_, "\"a\""); });
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{302, {{"Location", other.url("/cdn")}}, ""};
  });
  options_.token = "hf_secret";
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(server.requests()[0].headers.at("authorization"), "Bearer hf_secret");
  EXPECT_FALSE(other.requests()[0].headers.contains("authorization"));
}

TEST_F(DownloadTest, FollowsFiveRedirectsAndNoFileUrl) {
  LoopbackServer server([&](const LoopbackRequest& r) -> LoopbackResponse {
    if (r.path == "/file") return {302, {{"Location", "file:///etc/passwd"}}, ""};
    return {302, {{"Location", r.path}}, ""};
  });
  options_.attempts = 3;  // which are not made: it would end the same
  EXPECT_FALSE(download(server.url("/loop"), file_, options_).ok());
  EXPECT_EQ(server.requests().size(), 6u);
  EXPECT_FALSE(download(server.url("/file"), file_, options_).ok());
  EXPECT_EQ(server.requests().size(), 7u);
  EXPECT_EQ(contents(), "");
}

TEST_F(DownloadTest, AsksForAFreshLinkWhenTheStorageHasForgottenIt) {
  int links = 0;
  LoopbackServer storage([&](const LoopbackRequest& r) -> LoopbackResponse {
    if (r.path == "/signed-1") return {403, {}, "expired"};
    return serve_range(r, content_, "\"a\"");
  });
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{
        302, {{"Location", storage.url("/signed-" + std::to_string(++links))}}, ""};
  });
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  EXPECT_EQ(links, 2);
}

TEST_F(DownloadTest, TakesNoWebPageForAFile) {
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{200, {{"Content-Type", "text/html"}}, "<html>Please log in</html>"};
  });
  options_.attempts = 2;
  const Status status = download(server.url("/f"), file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(status.error().to_string(), HasSubstr("a web page came instead of the file"));
  EXPECT_THAT(status.error().hint, HasSubstr("proxy"));
  EXPECT_EQ(contents(), "");
}

TEST_F(DownloadTest, ChecksTheLengthThatWasPromisedElsewhere) {
  LoopbackServer server([&](const LoopbackRequest&) {
    LoopbackResponse r{200, {}, content_, 50'000};
    r.no_length = true;  // the cut looks like the end
    return r;
  });
  options_.expected_bytes = content_.size();
  options_.attempts = 2;
  const Status status = download(server.url("/f"), file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("50000 bytes arrived, 100000 were announced"));
}

TEST_F(DownloadTest, DoesNotBeginWhatTheDiskCannotHold) {
  LoopbackServer server([&](const LoopbackRequest&) {
    return LoopbackResponse{200, {{"Content-Length", "1000000000000000000"}}, "x"};
  });
  const Status status = download(server.url("/f"), file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResource);
  EXPECT_THAT(status.error().message, HasSubstr("1000000000000000000 bytes are needed"));
  EXPECT_EQ(contents(), "");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(DownloadTest, DoesNotAskWhetherAnImmutableFileIsStillTheSame) {
  LoopbackServer server([&](const LoopbackRequest& r) {
    LoopbackResponse answer = serve_range(r, content_, "\"of-this-node\"");
    if (r.range_start() == 0) answer.send_only = 40'000;
    return answer;
  });
  options_.immutable = true;
  ASSERT_TRUE(download(server.url("/f"), file_, options_).ok());
  EXPECT_EQ(contents(), content_);
  EXPECT_FALSE(server.requests()[1].headers.contains("if-range"));
  EXPECT_EQ(server.requests()[1].headers.at("range"), "bytes=40000-");
}

TEST(RetryAfter, IsSecondsOrADate) {
  using std::chrono::seconds;
  EXPECT_EQ(retry_after(""), seconds(0));
  EXPECT_EQ(retry_after("7"), seconds(7));
  EXPECT_EQ(retry_after("99999999999999999999"), seconds(60));
  EXPECT_EQ(retry_after("soon"), seconds(0));
  EXPECT_EQ(retry_after("-5"), seconds(0));
  EXPECT_EQ(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), seconds(0));   // past
  EXPECT_EQ(retry_after("Wed, 21 Oct 2099 07:28:00 GMT"), seconds(60));  // at most a minute
}

TEST(Refusal, GivesTheHubsReason) {
  const auto sentence = [](long status, const char* code) {
    return refusal("org/repo", status, {{"x-error-code", code}}).to_string();
  };
  EXPECT_THAT(sentence(401, "GatedRepo"), HasSubstr("Accept the model's terms"));
  EXPECT_THAT(sentence(401, "RepoNotFound"), HasSubstr("Check the name"));
  EXPECT_THAT(sentence(404, "RevisionNotFound"), HasSubstr("no such revision"));
  EXPECT_THAT(sentence(404, "EntryNotFound"), HasSubstr("no such file"));
  EXPECT_THAT(refusal("org/repo", 429, {}).to_string(), HasSubstr("too many requests"));
  EXPECT_THAT(refusal("org/repo", 503, {}).to_string(), HasSubstr("try again later"));
}

TEST_F(DownloadTest, SaysWhichHostCannotBeReached) {
  options_.connect_attempts = 1;
  const Status status = download("http://127.0.0.1:1/f", file_, options_);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNetwork);
  EXPECT_THAT(status.error().message, HasSubstr("127.0.0.1:1"));
}

TEST_F(DownloadTest, GivesUpAStalledTransfer) {
  LoopbackServer server([&](const LoopbackRequest&) {
    LoopbackResponse r{200, {{"Content-Length", "10"}}, "abc"};
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    return r;
  });
  options_.attempts = 1;
  options_.low_speed_time = std::chrono::seconds(1);
  EXPECT_THAT(download(server.url("/f"), file_, options_).error().message, HasSubstr("too slow"));
}

}  // namespace
}  // namespace sllm
