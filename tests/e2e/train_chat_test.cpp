// labels: e2e fault
// nanochat train mid, sft and rl as their users meet them: one after the other, killed and resumed,
// and what they refuse.
#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::ProgramResult;
using test::run_program;
using Words = std::vector<std::string>;

/// Questions with one answer each: a hundred conversations that can be learned.
std::string conversations(int n) {
  const Words names{"Ann", "Bob", "Cid", "Dan", "Eve"}, colours{"red", "blue", "green"};
  std::string lines;
  for (int i = 0; i < n; ++i) {
    const std::string& name = names[static_cast<size_t>(i) % 5];
    const std::string& colour = colours[static_cast<size_t>(i) % 3];
    lines += nlohmann::json::array(
                 {{{"role", "user"}, {"content", fmt::format("{}: {} likes?", i, name)}},
                  {{"role", "assistant"}, {"content", fmt::format("{} likes {}.", name, colour)}}})
                 .dump() +
             "\n";
  }
  return lines;
}

/// One base folder for all: a tokenizer, and a base model that has been trained a little.
class TrainChatTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<test::TemporaryFolder>();
    folder_->write("talk.jsonl", conversations(100));
    folder_->write("val.jsonl", conversations(20));
    std::string text;
    for (int i = 0; i < 2000; ++i) {
      text += nlohmann::json{{"text", fmt::format("{} is the number after {}.", i + 1, i)}}.dump() +
              "\n";
    }
    folder_->write("text/a.jsonl", text);
    run_ok({"tok", "train", "--data", (*folder_ / "text").string(), "--vocab-size", "300"});
    run_ok({"train", "base", "--data", (*folder_ / "text").string(), "--depth=1",
            "--sequence-len=128", "--device-batch-size=4", "--total-batch-size=512",
            "--num-iterations=10", "--eval-every=-1", "--eval-tokens=512", "--sample-every=0"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static Words with_common(Words words) {
    for (const char* const word : {"--threads", "1", "--quiet", "--base-dir"})
      words.emplace_back(word);
    words.push_back(base());
    return words;
  }
  static std::string base() { return (*folder_ / "base").string(); }
  static ProgramResult run(const Words& words) { return run_program(with_common(words)); }
  static std::string run_ok(const Words& words) {
    const ProgramResult r = run(words);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return r.out;
  }
  static fs::path run_folder(const std::string& stage, const std::string& name) {
    return *folder_ / "base" / "runs" / stage / name;
  }
  static Words mid(const std::string& name, const Words& more = {}) {
    Words words{"train",
                "mid",
                "--mixture",
                file("talk.jsonl"),
                "--val",
                file("val.jsonl"),
                "--run",
                name,
                "--device-batch-size=2",
                "--total-batch-size=512",
                "--num-iterations=12",
                "--eval-every=5",
                "--sample-every=0",
                "--save-every=1",
                "--keep=3"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Words sft(const std::string& name, const Words& more = {}) {
    Words words{"train",
                "sft",
                "--mixture",
                "world-arithmetic:train:4",
                "--val",
                file("val.jsonl"),
                "--run",
                name,
                "--init-lr-frac=1",
                "--examples-per-step=4",
                "--num-iterations=60",
                "--eval-every=-1",
                "--sample-every=0",
                "--save-every=5",
                "--keep=3"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Words rl(const std::string& name, const Words& more = {}) {
    Words words{"train",
                "rl",
                "--task",
                "world-arithmetic:train:4",
                "--eval-task",
                "world-arithmetic:test:3",
                "--run",
                name,
                "--examples-per-step=2",
                "--num-samples=8",
                "--max-new-tokens=40",
                "--num-iterations=8",
                "--eval-every=4",
                "--eval-samples=2",
                "--save-every=1",
                "--keep=3"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static std::string file(const std::string& name) { return (*folder_ / name).string(); }

  static std::map<int64_t, double> series(const std::string& stage, const std::string& name,
                                          const std::string& key = "train/loss") {
    std::map<int64_t, double> result;
    std::istringstream lines(test::file_bytes(run_folder(stage, name) / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json record =
          nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (record.is_object() && record.contains(key)) result[record.at("step")] = record.at(key);
    }
    return result;
  }
  /// Kills the command at some moments, lets it finish, and compares with the run that was not.
  static void expect_kills_change_nothing(const std::string& stage, const Words& whole,
                                          const Words& killed, int64_t steps, int kills) {
    run_ok(whole);
    std::mt19937 random(7);
    Words resumed = killed;
    resumed.insert(resumed.end(), {"--resume", "latest"});
    int done = 0;
    for (int tries = 0; done < kills && tries < 100; ++tries) {
      test::RunningProgram program(with_common(resumed));
      std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 600));
      program.send(SIGKILL);
      const ProgramResult r = program.wait();
      ASSERT_TRUE(r.exit_code == -SIGKILL || r.exit_code == 0) << r.err;
      done += r.exit_code == -SIGKILL;
      if (r.exit_code == 0) fs::remove_all(run_folder(stage, "killed"));  // too late: again
    }
    EXPECT_EQ(done, kills);
    run_ok(resumed);
    for (const char* const name : {"model.safetensors", "optim/rank_0.safetensors"}) {
      const std::string path = fmt::format("step_{:06}/{}", steps, name);
      EXPECT_TRUE(test::file_bytes(run_folder(stage, "whole") / path) ==
                  test::file_bytes(run_folder(stage, "killed") / path))
          << path;
    }
    EXPECT_EQ(series(stage, "whole"), series(stage, "killed"));
    EXPECT_EQ(std::ssize(series(stage, "whole")), steps);
  }

  static std::unique_ptr<test::TemporaryFolder> folder_;
};
std::unique_ptr<test::TemporaryFolder> TrainChatTest::folder_;

TEST_F(TrainChatTest, AllStagesKilledAtSomeMomentsEndTheSameToTheBit) {
  expect_kills_change_nothing("mid", mid("whole"), mid("killed"), 12, 5);
  expect_kills_change_nothing("sft", sft("whole", {"--source", "mid:whole"}),
                              sft("killed", {"--source", "mid:killed"}), 60, 5);
  expect_kills_change_nothing("rl", rl("whole", {"--source", "sft:whole"}),
                              rl("killed", {"--source", "sft:killed"}), 8, 5);
  // It was about something: some answers were right, some wrong, and the numbers are there.
  const std::map<int64_t, double> reward = series("rl", "whole", "rl/reward");
  EXPECT_TRUE(
      std::ranges::any_of(reward, [](const auto& r) { return r.second > 0 && r.second < 1; }));
  EXPECT_EQ(reward, series("rl", "killed", "rl/reward"));
  EXPECT_EQ(series("rl", "whole", "eval/pass@2").size(), 3);
  EXPECT_EQ(series("mid", "whole", "val/loss").size(), 4);
}

TEST_F(TrainChatTest, EachStageGoesOnFromTheOneBeforeUnderItsName) {
  const auto result = [](const Words& words) { return nlohmann::json::parse(run_ok(words)); };
  const std::string name = "d1";
  const nlohmann::json m =
      result({"train", "mid", "--mixture", file("talk.jsonl"), "--val", "", "--device-batch-size=2",
              "--total-batch-size=512", "--num-iterations=2", "--sample-every=0", "--json",
              "--source", "base:d1"});
  EXPECT_EQ(m.at("run"), name);
  EXPECT_TRUE(m.at("val_bpb").is_null());
  const nlohmann::json s = result({"train", "sft", "--mixture", file("talk.jsonl"), "--val",
                                   file("val.jsonl"), "--examples-per-step=20", "--json",
                                   "--sample-prompt", "7: Cid likes?", "--sample-tokens=5"});
  EXPECT_EQ(s.at("run"), name);
  EXPECT_EQ(s.at("step"), 5);  // 100 conversations, 20 a step
  EXPECT_GT(s.at("val_loss").get<double>(), 0);
  EXPECT_EQ(series("sft", name).size(), 5);
  const ProgramResult chat = run({"chat", "sft:d1", "-p", "7: Cid likes?"});
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  const nlohmann::json r =
      result({"train", "rl", "--task", "world-arithmetic:train:20", "--num-iterations=1",
              "--examples-per-step=1", "--num-samples=2", "--max-new-tokens=8", "--eval-samples=1",
              "--json", "--source", "sft:d1"});
  EXPECT_EQ(r.at("run"), name);
  EXPECT_NE(r.at("eval_task").get<std::string>().find("the last 2 of 20 examples, held out"),
            std::string::npos);
}

TEST_F(TrainChatTest, BadInputIsOneClearLine) {
  folder_->write("broken.jsonl",
                 conversations(3) + "[{\"role\": \"assistant\", \"content\": \"x\"}]\n");
  struct Case {
    Words words;
    int exit_code;
    std::string says;
  };
  const std::vector<Case> cases{
      {mid("bad", {"--source", "base:nobody"}), 4, "nobody"},
      {mid("bad", {"--source", "/nowhere/at/all"}), 4, "/nowhere/at/all"},
      {mid("bad", {"--mixture", "nosuchtask"}), 4, "nosuchtask"},
      {mid("bad", {"--mixture", "mmlu:auxiliary_train"}), 4, "nanochat data download"},
      {mid("bad", {"--mixture", file("broken.jsonl")}), 3, "broken.jsonl:4"},
      {mid("bad", {"--total-batch-size=500"}), 2, "500"},
      {mid("bad", {"--tokenizer", file("tokens/other")}), 2, "--tokenizer"},
      {mid("bad", {"--packing=tetris"}), 2, "packing"},
      {mid("a/b"), 2, "a/b"},
      {sft("bad", {"--examples-per-step=100", "--num-iterations=-1", "--source", "base:d1"}), 2,
       "--examples-per-step"},
      {rl("bad", {"--task", file("talk.jsonl"), "--source", "base:d1"}), 2, "no reward"},
      {rl("bad", {"--max-new-tokens=128", "--source", "base:d1"}), 2, "--max-new-tokens"},
      {rl("bad", {"--source", "rl:nobody"}), 4, "nobody"},
  };
  run_ok({"tok", "train", "--data", file("text"), "--vocab-size", "290", "--out",
          file("tokens/other")});
  for (const Case& c : cases) {
    const ProgramResult r = run(c.words);
    const std::string what = fmt::format("{}", fmt::join(c.words, " "));
    EXPECT_EQ(r.exit_code, c.exit_code) << what << ": " << r.err;
    EXPECT_NE(r.err.find(c.says), std::string::npos) << what << ": " << r.err;
    for (const char* const stage : {"mid", "sft", "rl"}) {
      EXPECT_FALSE(fs::exists(run_folder(stage, "bad") / "metrics.jsonl")) << what;
    }
  }
}

TEST_F(TrainChatTest, SigtermSavesAndExitsWith143) {
  Words words = mid("stopped", {"--num-iterations=100000", "--save-every=-1", "--eval-every=-1"});
  test::RunningProgram program(with_common(words));
  for (int i = 0; i < 500 && !fs::exists(run_folder("mid", "stopped") / "metrics.jsonl"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  program.send(SIGTERM);
  const ProgramResult r = program.wait();
  EXPECT_EQ(r.exit_code, 143) << r.err;
  int checkpoints = 0;
  for (const auto& entry : fs::directory_iterator(run_folder("mid", "stopped"))) {
    checkpoints += entry.path().filename().string().starts_with("step_");
  }
  EXPECT_EQ(checkpoints, 1);
}

}  // namespace
}  // namespace nanochat
