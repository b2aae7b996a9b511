// The page of a search, in both languages.
#include "project/search_page.h"

#include <gmock/gmock.h>

#include <limits>

namespace sllm::project {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

SearchPage page_of(const std::string& language) {
  SearchPage page;
  Search& s = page.search;
  s.minutes = 30, s.seconds = 600, s.eta = 3, s.eval_samples = 12;
  s.brackets.push_back({{1.0 / 9, 1}, {0, 1, 2}});
  for (int64_t id = 0; id < 3; ++id) {
    SearchCandidate c;
    c.id = id, c.lr = 1e-4 * static_cast<double>(id + 1), c.rank = 8, c.epochs = 2;
    c.total_steps = 90;
    c.rungs.push_back({1.0 / 9, 10, id == 2 ? std::numeric_limits<double>::infinity() : 2.5, 5});
    c.out = id == 0;
    s.candidates.push_back(c);
  }
  s.candidates[1].rungs.push_back({1, 90, 1.25, 45});
  s.best = 1;
  page.loss = {{3, 2.8, 2.6}, std::vector<double>(90, 2), {3, 9}};
  page.model = "a<b>.gguf", page.data = "rows.jsonl", page.settings = "lr = 2e-4\n";
  page.command = "sllm tune --config best.toml", page.language = language;
  return page;
}

TEST(SearchPage, OpensWithTheBestAndShowsAllCandidates) {
  const std::string html = render_search_page(page_of("en"));
  EXPECT_THAT(html, HasSubstr("Best: learning rate 0.0002, rank 8, 2 epochs; evaluation loss "
                              "1.2500 (candidate 1 of 3)."));
  EXPECT_THAT(html, AllOf(HasSubstr("a&lt;b&gt;.gguf"), Not(HasSubstr("a<b>"))));
  EXPECT_THAT(html, AllOf(HasSubstr("2.5000 → 1.2500"), HasSubstr("∞"), HasSubstr("90/90")));
  EXPECT_THAT(html, AllOf(HasSubstr("class=\"evaluated best\""), HasSubstr("1/9, 1")));
  EXPECT_THAT(html, AllOf(HasSubstr("lr = 2e-4"), HasSubstr("sllm tune --config best.toml")));
  EXPECT_EQ(html.find("http://www.w3.org/2000/svg"), html.find("http"));  // no address but SVG's
  SearchPage cut = page_of("en");
  cut.search.candidates[1].rungs.pop_back();
  cut.search.out_of_time = true;
  EXPECT_THAT(render_search_page(cut), HasSubstr("It was compared after 10 of its 90 steps. The "
                                                 "time was up before the search was finished."));
}

TEST(SearchPage, SpeaksKorean) {
  const std::string html = render_search_page(page_of("ko"));
  EXPECT_THAT(html, HasSubstr("<html lang=\"ko\">"));
  EXPECT_THAT(html, HasSubstr("최선: 학습률 0.0002, 랭크 8, 에포크 2. 평가 손실 1.2500"));
  for (const char* english : {"Candidates", "Learning rate", "How it was decided", "diverged",
                              "evaluation loss", "The best settings"})
    EXPECT_THAT(html, Not(HasSubstr(english)));
}

}  // namespace
}  // namespace sllm::project
