#include "ranks/ranks.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/rank_threads.h"

namespace sllm {
namespace {

TEST(Ranks, GatherPutsEveryonesShareInItsPlace) {
  testing::RankThreads(3).run([](Ranks& ranks) {
    const std::vector<int64_t> begins{0, 2, 2, 5};  // the second one has nothing
    std::vector<int> values(5, -1), wanted(5);
    std::iota(wanted.begin(), wanted.end(), 10);
    for (auto i = begins[static_cast<size_t>(ranks.rank())];
         i < begins[static_cast<size_t>(ranks.rank()) + 1]; ++i)
      values[static_cast<size_t>(i)] = wanted[static_cast<size_t>(i)];
    ranks.gather<int>(std::span(values), begins);
    EXPECT_EQ(values, wanted);
    EXPECT_EQ(ranks.gather(7 * ranks.rank()), (std::vector<int>{0, 7, 14}));
  });
}

TEST(Ranks, TheFirstRanksErrorIsEverybodys) {
  testing::RankThreads(3).run([](Ranks& ranks) {
    EXPECT_TRUE(ranks.agree(ok()).ok());
    const Status mine =
        ranks.rank() == 0
            ? ok()
            : Status(with_hint(make_error(ErrorCode::kResource, "disk of\nrank {}", ranks.rank()),
                               "Free some space"));
    const Status agreed = ranks.agree(mine);
    ASSERT_FALSE(agreed.ok());
    EXPECT_EQ(agreed.error().code, ErrorCode::kResource);
    EXPECT_EQ(agreed.error().message, "disk of\nrank 1");
    EXPECT_EQ(agreed.error().hint, "Free some space");
  });
}

TEST(Ranks, OneAloneAgreesWithItself) {
  EXPECT_TRUE(alone().first());
  EXPECT_TRUE(alone().agree(ok()).ok());
  EXPECT_EQ(alone().agree(usage_error("no")).error().message, "no");
  EXPECT_EQ(alone().gather(3.5), std::vector<double>{3.5});
}

}  // namespace
}  // namespace sllm
