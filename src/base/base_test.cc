// Files appear whole or not at all; numbers, threads and hashes do what their standards say.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <fstream>
#include <numeric>
#include <vector>

#include "base/checked.h"
#include "base/file.h"
#include "base/float16.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "base/thread_pool.h"

namespace sllm {
namespace {

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    path = fs::temp_directory_path() / ("sllm-base-" + std::to_string(::getpid()));
    fs::create_directories(path);
  }
  void TearDown() override { fs::remove_all(path); }
  size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
  fs::path path;
};

using AtomicFileTest = Folder;
using FileLockTest = Folder;

TEST_F(AtomicFileTest, LeavesNothingWithoutCommit) {
  {
    auto file = AtomicFile::create(path / "a").value();
    ASSERT_TRUE(file.write("half").ok());
    EXPECT_FALSE(fs::exists(path / "a"));
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFileTest, ReplacesTheOldFileOnlyOnCommit) {
  ASSERT_TRUE(write_file_atomically(path / "a", "old").ok());
  auto file = AtomicFile::create(path / "a").value();
  ASSERT_TRUE(file.write("new").ok());
  EXPECT_EQ(read_file(path / "a").value(), "old");
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(read_file(path / "a").value(), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, FullDiskIsAResourceErrorAndKeepsTheOldFile) {
  ASSERT_TRUE(write_file_atomically(path / "a", "old").ok());
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const Status status = write_file_atomically(path / "a", std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResource);
  EXPECT_EQ(read_file(path / "a").value(), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, MissingFolderIsSaidBeforeAnyWork) {
  const auto file = AtomicFile::create(path / "nowhere" / "a");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kUsage);
}

TEST_F(AtomicFileTest, FolderAppearsWithAllItsFiles) {
  auto dir = AtomicDir::create(path / "d").value();
  std::ofstream(dir.path() / "x") << "1";
  EXPECT_FALSE(fs::exists(path / "d"));
  ASSERT_TRUE(dir.commit().ok());
  EXPECT_EQ(read_file(path / "d" / "x").value(), "1");
  EXPECT_EQ(entries(), 1u);
}

const FolderNames kNames = {{"rows"}, {"notes"}};

TEST_F(AtomicFileTest, FolderWrittenBeforeOrEmptyIsReplaced) {
  fs::create_directory(path / "d");
  for (const char* text : {"1", "2"}) {
    auto dir = AtomicDir::create(path / "d" / "", kNames).value();
    std::ofstream(dir.path() / "rows") << text;
    ASSERT_TRUE(dir.commit().ok());
    EXPECT_EQ(read_file(path / "d" / "rows").value(), text);
    std::ofstream(path / "d" / "notes") << "old";
  }
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, FolderWithAnythingElseIsRefusedAndKept) {
  fs::create_directory(path / "d");
  std::ofstream(path / "d" / "notes") << "without the mark";
  EXPECT_EQ(AtomicDir::create(path / "d", kNames).error().code, ErrorCode::kUsage);
  std::ofstream(path / "d" / "rows") << "1";
  auto dir = AtomicDir::create(path / "d", kNames).value();
  std::ofstream(path / "d" / "pairs.jsonl") << "precious";  // came while the work went on
  EXPECT_EQ(dir.commit().error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicDir::create(path / "d", kNames).error().code, ErrorCode::kUsage);
  EXPECT_EQ(read_file(path / "d" / "pairs.jsonl").value(), "precious");
}

TEST_F(AtomicFileTest, RegularFileIsNeverReplacedByAFolder) {
  std::ofstream(path / "p.txt") << "precious";
  EXPECT_EQ(AtomicDir::create(path / "p.txt", kNames).error().code, ErrorCode::kUsage);
  EXPECT_EQ(AtomicDir::replace(path / "p.txt").error().code, ErrorCode::kUsage);
  EXPECT_EQ(read_file(path / "p.txt").value(), "precious");
}

TEST_F(AtomicFileTest, FolderThatIsReadFromIsRefused) {
  fs::create_directory(path / "d");
  std::ofstream(path / "d" / "rows") << "1";
  EXPECT_TRUE(check_replaceable(path / "d", kNames, {path / "e"}).ok());
  EXPECT_EQ(check_replaceable(path / "d", kNames, {path / "d" / "rows"}).error().code,
            ErrorCode::kUsage);
  EXPECT_EQ(check_replaceable(path / "d", kNames, {path / "d" / "."}).error().code,
            ErrorCode::kUsage);
}

TEST_F(AtomicFileTest, LinkToAFolderStaysALink) {
  fs::create_directory(path / "real");
  fs::create_directory_symlink("real", path / "link");
  auto dir = AtomicDir::create(path / "link", kNames).value();
  std::ofstream(dir.path() / "rows") << "1";
  ASSERT_TRUE(dir.commit().ok());
  EXPECT_TRUE(fs::is_symlink(path / "link"));
  EXPECT_EQ(read_file(path / "real" / "rows").value(), "1");
}

TEST_F(FileLockTest, SecondHolderIsRefusedUntilTheFirstEnds) {
  {
    auto first = FileLock::acquire(path / "lock");
    ASSERT_TRUE(first.ok());
    const auto second = FileLock::acquire(path / "lock");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::kLocked);
  }
  EXPECT_TRUE(FileLock::acquire(path / "lock").ok());
}

TEST_F(Folder, DevicesAndFoldersAreNotMapped) {
  EXPECT_FALSE(MappedFile::open("/dev/zero").ok());
  EXPECT_FALSE(MappedFile::open(path).ok());
  EXPECT_FALSE(read_file("/dev/zero").ok());
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
TEST(Philox, GivesThePublishedNumbers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, ContinuesFromItsPosition) {
  Rng whole(3, 5);
  for (int i = 0; i < 7; ++i) whole.next_u32();
  Rng rest(3, 5, whole.position());
  EXPECT_EQ(whole.next_u64(), rest.next_u64());
}

TEST(Float16, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 h{static_cast<uint16_t>(bits)};
    if (std::isnan(to_float(h))) continue;
    ASSERT_EQ(to_f16(to_float(h)).bits, bits);
  }
}

TEST(Float16, RoundsToNearestEven) {
  EXPECT_EQ(to_f16(1.0f + 0x1p-11f).bits, 0x3c00);  // half way: to even
  EXPECT_EQ(to_f16(1.0f + 3 * 0x1p-11f).bits, 0x3c02);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);  // past the largest: infinity
  EXPECT_EQ(to_bf16(1.0f + 0x1p-8f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);
}

TEST(Sha256, GivesThePublishedDigest) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// A checkpoint is hashed after it is written; that must not hold its size in memory once more.
TEST(Sha256, AFileIsHashedInLittleMemory) {
  const fs::path path = fs::temp_directory_path() / fmt::format("sllm-sha-{}", ::getpid());
  std::ofstream(path) << "abc";
  EXPECT_EQ(sha256_file(path).value(), sha256_hex("abc"));
  fs::resize_file(path, uint64_t{300} << 20);
  const auto peak_mb = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto before = peak_mb();
  EXPECT_TRUE(sha256_file(path).ok());
  EXPECT_LT(peak_mb(), before + 60);
  fs::remove(path);
  EXPECT_FALSE(sha256_file(path).ok());
}

TEST(Checked, OverflowIsSeen) {
  EXPECT_FALSE(checked_mul(uint64_t{1} << 33, uint64_t{1} << 33).has_value());
  EXPECT_FALSE(checked_add(UINT64_MAX, 1).has_value());
  EXPECT_FALSE(checked_mul_i64(-1, 3).has_value());
  EXPECT_EQ(checked_mul_i64(3, 4), 12);
}

TEST(ThreadPool, CoversEveryIndexOnce) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> hits(1001);
  pool.parallel_for(1001, 16, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(begin % 16, 0);
    for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
  });
  for (const auto& h : hits) ASSERT_EQ(h, 1);
}

TEST(ThreadPool, RethrowsWhatAThreadThrew) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.run([](int thread) {
    if (thread == 1) throw std::runtime_error("x");
  }),
               std::runtime_error);
  int calls = 0;
  pool.run([&](int thread) { calls += thread == 0; });  // still usable
  EXPECT_EQ(calls, 1);
}

TEST(Result, CarriesContextAndThrowsWhatItHolds) {
  const auto failing = []() -> Result<int> { return bad_input("bad magic"); };
  const auto outer = [&]() -> Result<int> {
    SLLM_TRY(const int n, failing().context("m.gguf"));
    return n + 1;
  };
  EXPECT_EQ(outer().error().message, "m.gguf: bad magic");
  EXPECT_THROW((void)outer().value(), ResultError);
}

}  // namespace
}  // namespace sllm
