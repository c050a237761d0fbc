// labels: unit fault
/// The stages are run by a shell script in place of the program: it writes what the program would.
#include "report/speedrun.h"

#include <atomic>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "report/section.h"
#include "support/temporary_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// `fake train STAGE WEIGHTS ... --base-dir B`: leaves a checkpoint of these weights and a section.
constexpr const char* kFake = R"SH(#!/bin/bash
log=$(dirname "$0")/log
echo "$*" >> "$log"
command=$1 name=$2 weights=$3
while [[ $1 != --base-dir ]]; do shift; done
base=$2
[[ ! -e $base/fail-$name ]] || exit 3
section() {  # NAME MODEL_ID
  mkdir -p "$base/report"
  echo '{"format":"nanochat-report-section","version":1,"section":"'$1'","title":"","model":"",
    "model_id":"'$2'","command":"","started":"","finished":"","seconds":1,"settings":{},
    "results":{}}' > "$base/report/$1.json"
}
checkpoint() {  # STEP WEIGHTS
  mkdir -p "$base/runs/$name/x/step_00000$1"
  echo '{"xxh3": "'$2'"}' > "$base/runs/$name/x/step_00000$1/manifest.json"
}
if [[ $command == train ]]; then
  if [[ -e $base/hang-$name ]]; then
    rm "$base/hang-$name"
    checkpoint 1 half
    trap 'echo "caught" >> "$log"; kill $!; exit 143' TERM
    (  # without the lock
      for fd in /proc/self/fd/*; do ((${fd##*/} < 3)) || eval "exec ${fd##*/}>&-"; done
      exec sleep 20
    ) &
    wait
  fi
  rm -rf "$base/runs/$name/x"
  checkpoint 2 "$weights"
  section "$([[ $name == base ]] && echo base-model-training || echo chat-sft)" "$weights"
elif [[ $command == data ]]; then
  mkdir -p "$base/data/toy" && echo text > "$base/data/toy/a.txt"
elif [[ $command == eval ]]; then
  section "chat-evaluation-$name" "$(sed 's/.*: "//; s/".*//' "$base"/runs/$name/x/step_*/manifest.json)"
fi
)SH";

class SpeedrunTest : public testing::Test {
 protected:
  SpeedrunTest() {
    console().set_quiet(true);
    program_ = folder_.write("fake", kFake);
    fs::permissions(program_, fs::perms::owner_all);
    plan_.preset = "toy";
    plan_.stages = {{.name = "data", .command = {"data", "toy"}, .output = "data/toy"},
                    {.name = "base",
                     .command = {"train", "base", "b1"},
                     .needs = {"data"},
                     .section = "base-model-training",
                     .output = "runs/base/x",
                     .trains = true},
                    {.name = "sft",
                     .command = {"train", "sft", "s1"},
                     .needs = {"base"},
                     .section = "chat-sft",
                     .output = "runs/sft/x",
                     .trains = true},
                    {.name = "eval-sft",
                     .command = {"eval", "sft"},
                     .needs = {"sft"},
                     .section = "chat-evaluation-sft"},
                    {.name = "report", .command = {"report"}}};
  }

  SpeedrunContext context() {
    return {.program = program_, .base_dir = base(), .signal = [this] { return signal_.load(); }};
  }
  fs::path base() const { return folder_ / "base"; }
  void touch(const std::string& name) const { folder_.write("base/" + name, ""); }

  /// The commands that ran, without the base folder: "base --resume latest|report|".
  std::string run(const std::string& from = "", const std::string& until = "") {
    Speedrun(plan_, context()).run(from, until);
    return take_log();
  }
  std::string take_log() const {
    std::ifstream in(folder_ / "log");
    std::string log;
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string command, name, rest;
      words >> command >> name;
      log += command == "eval" ? "eval-" + name : command == "train" ? name : command;
      if (line.find("--overwrite") != std::string::npos) log += " again";
      if (line.find("--resume latest") != std::string::npos) log += " resume";
      if (command == "caught") log = log.substr(0, log.size() - 6) + "caught";
      log += '|';
    }
    in.close();
    fs::remove(folder_ / "log");
    return log;
  }
  std::string states() const {
    std::string text;
    for (const StageState state : speedrun_states(plan_, base())) {
      text += fmt::format("{}|", name_of(state));
    }
    return text;
  }
  void wait_for(const fs::path& file) const {
    for (int i = 0; i < 500 && !fs::exists(file); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(fs::exists(file)) << file;
  }

  test::TemporaryFolder folder_;
  fs::path program_;
  SpeedrunPlan plan_;
  std::atomic<int> signal_ = 0;
};

constexpr const char* kAll = "data|base resume|sft resume|eval-sft|report|";

TEST_F(SpeedrunTest, RunsAllStagesOnceAndThenOnlyTheReport) {
  EXPECT_EQ(states(), "to do|to do|to do|to do|to do|");
  EXPECT_EQ(run(), kAll);
  EXPECT_EQ(states(), "done|done|done|done|to do|");
  EXPECT_EQ(run(), "report|");
}

TEST_F(SpeedrunTest, AChangedCommandRunsItAgainAndAllThatReadsWhatItMade) {
  run();
  plan_.stages[1].command.back() = "b2";
  EXPECT_EQ(states(), "done|changed|to do|to do|to do|");
  EXPECT_EQ(run(), "base again|sft again|report|") << "the same sft weights: examined already";
  EXPECT_EQ(run(), "report|");
}

TEST_F(SpeedrunTest, AnExaminationOfOtherWeightsIsDoneAgain) {
  run();
  plan_.stages[2].command.back() = "s2";
  EXPECT_EQ(run(), "sft again|eval-sft|report|");
}

TEST_F(SpeedrunTest, WhatIsGoneIsMadeAgainAndNothingElse) {
  run();
  fs::remove(base() / "report/chat-evaluation-sft.json");
  EXPECT_EQ(run(), "eval-sft|report|");
  fs::remove_all(base() / "runs/base");
  EXPECT_EQ(run(), "base resume|report|") << "the same weights came out";
  folder_.write("base/runs/base/x/step_000002/manifest.json", R"({"xxh3": "other"})");
  EXPECT_EQ(run().substr(0, 4), "base") << "not the weights that it left";
}

TEST_F(SpeedrunTest, SomebodysMoreTextsOrLaterCheckpointsDoNotMakeItVoid) {
  run();
  folder_.write("base/data/toy/b.txt", "more");
  EXPECT_EQ(states(), "done|done|done|done|to do|");
}

TEST_F(SpeedrunTest, AFailureStopsItWithTheStagesExitCodeAndItGoesOnFromThere) {
  touch("fail-sft");
  try {
    run();
    FAIL() << "no failure";
  } catch (const StageFailed& e) {
    EXPECT_EQ(static_cast<int>(e.exit_code()), 3);
    EXPECT_NE(std::string(e.what()).find("stage sft failed (exit code 3)"), std::string::npos)
        << e.what();
  }
  EXPECT_EQ(take_log(), "data|base resume|sft resume|");
  EXPECT_EQ(states(), "done|done|begun|to do|to do|");
  fs::remove(base() / "fail-sft");
  EXPECT_EQ(run(), "sft resume|eval-sft|report|");
}

TEST_F(SpeedrunTest, FromAndUntilChooseStages) {
  EXPECT_EQ(run("", "base"), "data|base resume|");
  EXPECT_EQ(run("sft", "sft"), "sft resume|");
  EXPECT_EQ(run("eval-sft"), "eval-sft|report|");
  EXPECT_THROW(run("midi"), UsageError);
  EXPECT_THROW(run("sft", "base"), UsageError);
}

TEST_F(SpeedrunTest, ASignalIsPassedOnOnceAndTheStageGoesOnNextTime) {
  touch("hang-base");
  std::thread sender([this] {
    wait_for(base() / "runs/base/x/step_000001/manifest.json");
    std::this_thread::sleep_for(100ms);  // the script sets its trap
    signal_ = SIGTERM;
  });
  Speedrun(plan_, context()).run();
  sender.join();
  EXPECT_EQ(take_log(), "data|base resume|caught|") << "and nothing after it";
  EXPECT_EQ(states(), "done|begun|to do|to do|to do|");
  signal_ = 0;
  EXPECT_EQ(run(), "base resume|sft resume|eval-sft|report|");
}

TEST_F(SpeedrunTest, KilledInTheMiddleItTakesTheStageWithItAndGoesOnNextTime) {
  touch("hang-base");
  const pid_t pid = ::fork();
  if (pid == 0) {
    Speedrun(plan_, context()).run();
    ::_exit(0);
  }
  wait_for(base() / "runs/base/x/step_000001/manifest.json");
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(take_log(), "data|base resume|");
  EXPECT_EQ(run(), "base resume|sft resume|eval-sft|report|") << "had the lock to itself";
}

TEST_F(SpeedrunTest, KilledBeforeTheOldWeightsWereRemovedItDoesNotGoOnFromThem) {
  run();
  plan_.stages[1].command.back() = "b2";
  touch("fail-base");
  EXPECT_THROW(run(), StageFailed);
  take_log();
  fs::remove(base() / "fail-base");
  EXPECT_EQ(run(), "base again|sft again|report|");
}

TEST_F(SpeedrunTest, RunsThatWereThereBeforeAreGoneOnWithRatherThanDeleted) {
  folder_.write("base/runs/base/x/step_000001/manifest.json", R"({"xxh3": "mine"})");
  EXPECT_EQ(states().substr(0, 12), "to do|begun|");
  EXPECT_EQ(run(), kAll);
}

TEST_F(SpeedrunTest, TheFirstRunForgetsAnEarlierReport) {
  write_section(base(), {.name = "chat-rl"});
  run();
  EXPECT_FALSE(fs::exists(section_file(base(), "chat-rl")));
  write_section(base(), {.name = "chat-rl"});
  run();
  EXPECT_TRUE(fs::exists(section_file(base(), "chat-rl"))) << "and only the first";
}

TEST_F(SpeedrunTest, DamagedNotesAreRefused) {
  folder_.write("base/speedrun/toy.json", R"({"base": 3})");
  EXPECT_THROW(run(), DataError);
}

}  // namespace
}  // namespace nanochat
