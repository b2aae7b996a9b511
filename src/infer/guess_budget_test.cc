// What guesses are thought to be worth, and how many are made of it.
#include "infer/guess_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sllm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GuessRecord, TrustsByWhatCameTrueAndForgetsWithTime) {
  GuessRecord good, bad;
  EXPECT_EQ(good.likelihood(), 0.5);
  for (int i = 0; i < 20; ++i) good.learn(4, 4), bad.learn(4, 0);
  EXPECT_GT(good.likelihood(), 0.95);
  EXPECT_LT(bad.likelihood(), 0.1);
  for (int i = 0; i < 200; ++i) bad.rest();
  EXPECT_GT(bad.likelihood(), 0.45);
}

// How many steps a record rests before it is tried again.
int64_t pause(DraftRecord& record, double cost) {
  record.give_up();
  int64_t waited = 1;
  while (!record.tries_again(cost)) ++waited;
  return waited;
}

TEST(DraftRecord, RestsTwiceAsLongAfterEachTryInVain) {
  DraftRecord record;
  EXPECT_FALSE(record.resting());
  EXPECT_EQ(pause(record, 0.5), 16);
  EXPECT_FALSE(record.resting());
  record.learn(1, 0);
  EXPECT_LT(record.likelihood(), 0.75);
  EXPECT_EQ(pause(record, 0.5), 32);
  EXPECT_EQ(record.likelihood(), 0.75);  // what was long ago says little
  EXPECT_EQ(pause(record, 0.5), 64);
  for (int i = 0; i < 3; ++i) record.learn(4, 4);
  EXPECT_EQ(pause(record, 0.5), 16);
}

TEST(DraftRecord, TriesWhatIsDearLater) {
  DraftRecord record;
  EXPECT_EQ(pause(record, 50), 400);  // an eighth of the time waited
}

// What steps of a + b * rows seconds look like when they are measured.
StepCost steps_of(double a, double b) {
  StepCost cost;
  for (const int64_t rows : {1, 9, 1, 5, 2}) cost.measured(rows, a + b * static_cast<double>(rows));
  return cost;
}
GuessBudget budget_of(double a, double b) {
  GuessBudget budget;
  for (const int64_t rows : {1, 9, 1, 5, 2})
    budget.measured(rows, a + b * static_cast<double>(rows));
  return budget;
}

TEST(StepCost, IsFittedToWhatWasMeasured) {
  const auto [step, row] = steps_of(0.1, 0.001).at(4);
  EXPECT_NEAR(step, 0.104, 1e-9);  // a fit of exact numbers: rounding only
  EXPECT_NEAR(row, 0.001, 1e-9);
  StepCost cost;
  EXPECT_FALSE(cost.known());
  cost.measured(1, 2);
  EXPECT_TRUE(cost.known());
  EXPECT_EQ(cost.at(1).step, 2);  // of rows nothing is known yet
}

TEST(StepCost, FollowsChangesRatherThanSingleSteps) {
  StepCost cost;
  for (int i = 0; i < 20; ++i) cost.measured(1, 0.1);
  cost.measured(1, 10);
  EXPECT_LT(cost.at(1).step, 0.11);
  for (int i = 0; i < 20; ++i) cost.measured(1, 0.4);
  EXPECT_GT(cost.at(1).step, 0.2);
  // More rows may well take longer than all that was seen.
  StepCost rows;
  for (int i = 0; i < 5; ++i) rows.measured(1, 0.1);
  rows.measured(9, 0.5);
  EXPECT_NEAR(rows.at(9).step, 0.5, 1e-9);  // a line through two points: rounding only
}

TEST(GuessBudget, SharesRowsByWhatTheyCostAndWhatTheyBring) {
  const GuessBudget cheap = budget_of(0.1, 0.001), dear = budget_of(0, 0.1);
  EXPECT_THAT(cheap.share({0.95}, 8, 15), ElementsAre(8));
  EXPECT_THAT(dear.share({0.95}, 8, 15), ElementsAre(0));
  const auto shares = cheap.share({0.9, 0.1, 0.9}, 8, 13);
  EXPECT_EQ(shares[0] + shares[1] + shares[2], 13);
  EXPECT_LT(shares[1], shares[0]);
  EXPECT_THAT(cheap.share({0.9, 0.9}, 8, -3), Each(0));
  EXPECT_THAT(cheap.share({}, 8, 15), IsEmpty());
}

TEST(GuessBudget, DraftsWhileADraftedTokenBringsMoreThanItTakes) {
  const GuessBudget budget = budget_of(0.1, 0.001);
  const auto share = [&](double p, const StepCost& draft, int64_t all = 15) {
    return budget.share_drafts(std::vector<GuessBudget::Drafting>{{p, 1, 100, 8}}, draft, 1, 1,
                               all);
  };
  EXPECT_THAT(share(0.99, steps_of(0.01, 0.0001)), ElementsAre(8));
  EXPECT_THAT(share(0.99, steps_of(0.01, 0.0001), 3), ElementsAre(3));
  EXPECT_THAT(share(0.99, steps_of(0.2, 0.0001)), ElementsAre(0));
  EXPECT_THAT(share(0.05, steps_of(0.01, 0.0001)), ElementsAre(0));
  // Steps of 0.1, drafted tokens of 0.03: the first brings 0.7 for 0.031, the third only 0.34.
  EXPECT_THAT(share(0.7, steps_of(0.03, 0.0001)), ElementsAre(2));
}

TEST(GuessBudget, SharesTheDraftsStepAmongThoseWhoAreWorthIt) {
  const GuessBudget budget = budget_of(0.1, 0.001);
  const StepCost draft = steps_of(0.03, 0.0001);
  using D = GuessBudget::Drafting;
  const auto share = [&](const std::vector<D>& drafting) {
    return budget.share_drafts(drafting, draft, std::ssize(drafting),
                               static_cast<double>(drafting.size()), 12);
  };
  // Three answers come at 29 tokens a second; the draft's step of 0.03 is worth that with two.
  const D likely{0.6, 1, 100, 1}, unlikely{0.01, 1, 100, 1};
  EXPECT_THAT(share({likely, unlikely, unlikely}), Each(0));
  EXPECT_THAT(share({likely, unlikely, likely}), ElementsAre(1, 0, 1));
  // Nobody reads so much for an answer of four tokens; a trial guesses whatever is thought of it.
  EXPECT_THAT(share({D{0.9, 20000, 4, 4}}), ElementsAre(0));
  EXPECT_THAT(share({D{0.1, 1, 100, 4, true}}), ElementsAre(1));
  EXPECT_THAT(share({D{0.9, 1, 100, 0}}), ElementsAre(0));
}

TEST(GuessBudget, MayGuessWhateverItTakes) {
  GuessBudget always(true);
  EXPECT_TRUE(always.known());
  for (const int64_t rows : {1, 9, 1, 5, 2}) always.measured(rows, static_cast<double>(rows));
  EXPECT_THAT(always.share({0.1}, 8, 15), ElementsAre(8));
  EXPECT_THAT(always.share_drafts(std::vector<GuessBudget::Drafting>{{0.1, 1, 100, 8}},
                                  steps_of(9, 9), 1, 1, 15),
              ElementsAre(8));
}

TEST(GuessBudget, TellsWhatATrialTakesInSteps) {
  // (0.05 + 101 * 0.001 + 0.001) / 0.101
  EXPECT_NEAR(budget_of(0.1, 0.001).cost_of_trial(steps_of(0.05, 0.001), 101), 0.152 / 0.101, 1e-9);
}

TEST(ExpectedRight, IsASumOfPowers) {
  EXPECT_DOUBLE_EQ(expected_right(0.5, 3), 0.875);
  EXPECT_EQ(expected_right(0.5, 0), 0);
}

}  // namespace
}  // namespace sllm
