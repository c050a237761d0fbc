#include "train/run_folder.h"

#include <chrono>
#include <csignal>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::refusal;
using ::testing::HasSubstr;
using Steps = std::vector<int64_t>;

class RunFolderTest : public ::testing::Test {
 protected:
  void add(int64_t step) const {
    temporary_.write("run/" + checkpoint_name(step) + "/manifest.json", "{}");
    temporary_.write("run/" + checkpoint_name(step) + "/optim/rank_0.safetensors", "x");
  }

  test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_ / "run";
};

TEST(CheckpointName, HasSixDigitsAndMoreWhereNeeded) {
  EXPECT_EQ(checkpoint_name(0), "step_000000");
  EXPECT_EQ(checkpoint_name(1200), "step_001200");
  EXPECT_EQ(checkpoint_name(12345678), "step_12345678");
  for (const int64_t step : {0L, 7L, 999999L, 1000000L, 12345678L}) {
    EXPECT_EQ(parse_checkpoint_name(checkpoint_name(step)), step);
  }
  for (const char* const name :
       {"step_12", "step_0000012", "step_", "step_-00012", "step_00001x", "step_000012.tmp-3",
        ".step_000012", "step_99999999999999999999"}) {
    EXPECT_EQ(parse_checkpoint_name(name), std::nullopt) << name;
  }
}

TEST_F(RunFolderTest, ListsCompleteCheckpointsInTheOrderOfTheirSteps) {
  EXPECT_EQ(list_checkpoints(path_), Steps{}) << "no such folder";
  EXPECT_EQ(latest_checkpoint(path_), std::nullopt);
  for (const int64_t step : {1000000L, 20L, 100L}) add(step);
  temporary_.write("run/step_000300/model.safetensors", "no manifest");
  temporary_.write("run/.step_000400.tmp-1/manifest.json", "{}");
  temporary_.write("run/step_000500", "no folder");
  temporary_.write("run/step_6/manifest.json", "{}");
  EXPECT_EQ(list_checkpoints(path_), (Steps{20, 100, 1000000}));
  EXPECT_EQ(latest_checkpoint(path_), 1000000);
}

TEST_F(RunFolderTest, PruningKeepsTheNewestAndThoseToSpare) {
  const RunFolder run(path_);
  for (int64_t step = 1; step <= 6; ++step) add(step);
  prune_checkpoints(run, 0);
  EXPECT_EQ(list_checkpoints(path_).size(), 6U) << "0 keeps all";
  prune_checkpoints(run, 4);
  EXPECT_EQ(list_checkpoints(path_), (Steps{3, 4, 5, 6}));
  prune_checkpoints(run, 2, Steps{3});
  EXPECT_EQ(list_checkpoints(path_), (Steps{3, 5, 6}));
  prune_checkpoints(run, 10);
  EXPECT_EQ(list_checkpoints(path_), (Steps{3, 5, 6}));
  for (const auto& entry : fs::directory_iterator(path_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
  }
}

TEST_F(RunFolderTest, WhatDeadProcessesLeftIsRemovedAndNothingElse) {
  add(1);
  temporary_.write("run/.step_000002.tmp-999999/model.safetensors", "half");
  // Containers give out the same numbers again: the leftover may have this process's.
  temporary_.write(fmt::format("run/.step_000003.tmp-{}/optim/x", ::getpid()), "half");
  temporary_.write("run/.step_000001.old-4/manifest.json", "{}");
  temporary_.write("run/.config.toml.77-0.tmp", "half");
  temporary_.write("run/.keep", "");
  temporary_.write("run/metrics.jsonl", "");
  const RunFolder run(path_);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_)) {
    names.insert(entry.path().filename().string());
  }
  EXPECT_EQ(names, (std::set<std::string>{".keep", "metrics.jsonl", "run.lock", "step_000001"}));
}

TEST_F(RunFolderTest, MakesTheFolderAndItsParents) {
  const RunFolder run(path_ / "a" / "b");
  EXPECT_TRUE(fs::is_directory(path_ / "a" / "b"));
}

TEST_F(RunFolderTest, SaysWhenItCannotBeMade) {
  temporary_.write("run", "a file");
  EXPECT_THAT(refusal<NotFoundError>([&] { const RunFolder run(path_); }),
              HasSubstr("run: cannot make the folder"));
}

TEST_F(RunFolderTest, IsBeingTrainedAsLongAsItIsHeld) {
  EXPECT_FALSE(is_being_trained(path_)) << "no such folder";
  {
    const RunFolder run(path_);
    EXPECT_TRUE(is_being_trained(path_));
    EXPECT_TRUE(is_being_trained(path_)) << "to look takes nothing away";
  }
  EXPECT_FALSE(is_being_trained(path_));
}

TEST_F(RunFolderTest, WhoOnlyLooksKeepsNobodyOut) {
  { const RunFolder run(path_); }
  // As is_being_trained() of another process does, but for longer.
  const int fd = ::open((path_ / "run.lock").c_str(), O_RDONLY);
  ASSERT_EQ(::flock(fd, LOCK_SH | LOCK_NB), 0);
  std::thread looks([fd] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ::close(fd);
  });
  EXPECT_NO_THROW(const RunFolder run(path_));
  looks.join();
}

TEST_F(RunFolderTest, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t first = ::fork();
  ASSERT_GE(first, 0);  // or the kill below would reach every process there is
  if (first == 0) {
    const RunFolder run(path_);
    static_cast<void>(!::write(ready[1], "x", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(refusal<IoError>([&] { const RunFolder run(path_); }),
              HasSubstr(fmt::format("run: process {} is training into this folder", first)));
  ::kill(first, SIGKILL);  // the lock goes with it, however it goes
  ::waitpid(first, nullptr, 0);
  { const RunFolder run(path_); }
  const RunFolder again(path_);
}

}  // namespace
}  // namespace nanochat
