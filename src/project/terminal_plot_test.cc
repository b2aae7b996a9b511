#include "project/terminal_plot.h"

#include <gmock/gmock.h>

#include <cmath>

#include "project/report_charts.h"

namespace sllm::project {
namespace {

TEST(TextPlot, PutsStepsFromLeftToRightAndLowLossesBelow) {
  const TextCurve train{U'·', {{1, 4}, {2, 3}, {3, 2}, {4, NAN}}}, eval{U'o', {{4, 1}}};
  EXPECT_EQ(text_plot({train, eval}, 10, 4),
            "   4.0000 ┤·\n"
            "          │   ·\n"
            "          │      ·\n"
            "   1.0000 ┤         o\n"
            "          └──────────\n"
            "           1   step 4\n");
}

TEST(TextPlot, TakesWhateverThereIs) {
  EXPECT_EQ(text_plot({}), "");
  EXPECT_EQ(text_plot({{U'x', {{1, INFINITY}}}}), "");
  EXPECT_NE(text_plot({{U'x', {{5, 2.5}}}}).find("x"), std::string::npos);
}

TEST(MovingAverage, IsTheLossItselfForFewSteps) {
  EXPECT_EQ(moving_average({3, 2, 1}).back(), (std::pair{3.0, 1.0}));
  const std::vector<double> constant(100, 2.0);
  EXPECT_EQ(moving_average(constant).size(), 100u);
  EXPECT_DOUBLE_EQ(moving_average(constant).back().second, 2);
  EXPECT_EQ(moving_average(constant, 10).size(), 11u);  // every tenth, and the last
  EXPECT_EQ(moving_average({NAN, 3}).front(), (std::pair{2.0, 3.0}));
}

}  // namespace
}  // namespace sllm::project
