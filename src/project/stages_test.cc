// Where the stages of a project go.
#include "project/stages.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace sllm::project {
namespace {

TEST(Stages, TwoPurposeFilesOfOneFolderKeepTheirRunsApart) {
  Project usual, other;
  usual.folder = other.folder = "home";
  usual.file = "home/sllm.toml", other.file = "home/small.toml";
  EXPECT_EQ(latest_folder(usual), "home/runs/latest");
  EXPECT_EQ(stages_folder(usual), "home/runs/stages");
  EXPECT_EQ(latest_folder(other), "home/runs/small/latest");
  EXPECT_EQ(stages_folder(other), "home/runs/small/stages");
}

TEST(Stages, APurposeFileThatWasChangedBackIsPublishedAgain) {
  Project p;
  p.folder = fs::temp_directory_path() / fmt::format("sllm-published-{}", getpid());
  p.file = p.folder / "sllm.toml";
  const fs::path first = stages_folder(p) / "report-1", second = stages_folder(p) / "report-2";
  for (const fs::path& folder : {first, second, latest_folder(p)}) {
    fs::create_directories(folder);
    ASSERT_TRUE(write_file_atomically(folder / "lineage.json", folder.filename().string()).ok());
  }
  EXPECT_FALSE(is_published(p, first));
  fs::copy_file(second / "lineage.json", latest_folder(p) / "lineage.json",
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(is_published(p, second));
  EXPECT_FALSE(is_published(p, first));
  fs::remove_all(p.folder);
}

}  // namespace
}  // namespace sllm::project
