// Keys, hosts and origins.
#include "serve/access.h"

#include <gtest/gtest.h>

namespace sllm {
namespace {

TEST(Access, LetsInOnlyBearersOfAKey) {
  const Access access({.api_keys = {"sk-one", "sk-two"}});
  EXPECT_EQ(access.caller("Bearer sk-one").value(), 1);
  EXPECT_EQ(access.caller("bearer sk-two").value(), 2);
  for (const char* bad :
       {"", "sk-one", "Bearer ", "Bearer sk-on", "Bearer sk-one ", "Basic sk-one"}) {
    const auto caller = access.caller(bad);
    ASSERT_FALSE(caller.ok()) << bad;
    EXPECT_EQ(caller.error().status, 401);
    EXPECT_EQ(caller.error().message.find("sk-"), std::string::npos) << "keys are not repeated";
  }
  EXPECT_EQ(Access({}).caller("").value(), 0);
}

TEST(Access, RefusesHostsThatAreNotOurs) {
  const Access access({.allowed_hosts = {"Models.Example"}});
  for (const char* good : {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "192.168.0.7",
                           "models.example:443"})
    EXPECT_FALSE(access.check_host(good)) << good;
  for (const char* bad :
       {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[evil]", ""})
    EXPECT_TRUE(access.check_host(bad)) << bad;
}

TEST(Access, RefusesOtherSitesPages) {
  const Access access({.allowed_origins = {"https://app.example"}});
  EXPECT_FALSE(access.check_origin("", "localhost:8080"));
  EXPECT_FALSE(access.check_origin("http://localhost:8080", "localhost:8080"));
  EXPECT_FALSE(access.check_origin("https://app.example", "localhost:8080"));
  for (const char* bad :
       {"http://evil.example", "http://localhost:9999", "null", "http://localhost:8080.evil"})
    EXPECT_TRUE(access.check_origin(bad, "localhost:8080")) << bad;
}

}  // namespace
}  // namespace sllm
