// labels: e2e fault
// nanochat train base as its users meet it: what it leaves behind, killed and resumed runs, bad
// input, full disks.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/mount.h>

#include "eval/core_bundle.h"
#include "support/program.h"
#include "support/refusal.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using test::ProgramResult;
using test::run_program;
using Words = std::vector<std::string>;

/// Sentences of a few words: enough to be learned, and different enough to tell batches apart.
std::string make_documents(int n, unsigned seed) {
  const Words subjects{"the cat", "a dog", "my aunt", "the old king", "every bird"};
  const Words verbs{"sees", "eats", "likes", "hides", "finds"};
  const Words objects{"a fish.", "the red ball.", "some bread.", "an apple.", "the moon."};
  std::mt19937 random(seed);
  std::string lines;
  for (int i = 0; i < n; ++i) {
    std::string text;
    for (unsigned k = 0; k < 3 + random() % 6; ++k) {
      text += fmt::format("{} {} {} ", subjects[random() % 5], verbs[random() % 5],
                          objects[random() % 5]);
    }
    lines += nlohmann::json{{"text", text}}.dump() + "\n";
  }
  return lines;
}

class TrainBaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("text/a.jsonl", make_documents(200, 1));
    folder_.write("text/b.jsonl", make_documents(200, 2));
    folder_.write("text/c.jsonl", make_documents(100, 3));
    const ProgramResult r = run_program(
        {"tok", "train", "--data", text(), "--vocab-size", "300", "--base-dir", base(), "--quiet"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
  }

  [[nodiscard]] std::string base() const { return (folder_ / "base").string(); }
  [[nodiscard]] std::string text() const { return (folder_ / "text").string(); }
  [[nodiscard]] fs::path run_folder(const std::string& name) const {
    return folder_ / "base" / "runs" / "base" / name;
  }
  /// A run of a few seconds.
  [[nodiscard]] Words command(const std::string& name, const Words& more = {}) const {
    Words words{"train", "base", "--base-dir", base(), "--data", text(), "--run", name};
    const Words defaults{"--depth=1",
                         "--sequence-len=32",
                         "--device-batch-size=4",
                         "--total-batch-size=256",
                         "--num-iterations=40",
                         "--eval-every=20",
                         "--eval-tokens=512",
                         "--sample-every=0",
                         "--save-every=1",
                         "--keep=3"};
    for (const std::string& flag : defaults) {
      const std::string key = flag.substr(0, flag.find('='));
      const bool given = std::ranges::any_of(
          more, [&](const std::string& m) { return m == key || m.starts_with(key + "="); });
      if (!given) words.push_back(flag);
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] ProgramResult train(const std::string& name, const Words& more = {}) const {
    return run_program(command(name, more));
  }
  /// The last record of every step, which is what a reader of metrics.jsonl goes by.
  [[nodiscard]] std::map<int64_t, double> losses(const std::string& name) const {
    std::map<int64_t, double> result;
    std::istringstream lines(test::file_bytes(run_folder(name) / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json record =
          nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (record.is_object() && record.contains("train/loss")) {
        result[record.at("step")] = record.at("train/loss");
      }
    }
    return result;
  }
  [[nodiscard]] std::string checkpoint_file(const std::string& name, int64_t step,
                                            const std::string& file) const {
    return test::file_bytes(run_folder(name) / fmt::format("step_{:06}", step) / file);
  }
  /// Same weights, optimizer state and losses.
  void expect_same_end(const std::string& a, const std::string& b, int64_t step) const {
    EXPECT_TRUE(checkpoint_file(a, step, "model.safetensors") ==
                checkpoint_file(b, step, "model.safetensors"));
    EXPECT_TRUE(checkpoint_file(a, step, "optim/rank_0.safetensors") ==
                checkpoint_file(b, step, "optim/rank_0.safetensors"));
    EXPECT_EQ(losses(a), losses(b));
  }

  test::TemporaryFolder folder_;
};

TEST_F(TrainBaseTest, LeavesACheckpointThatLearnedAndSaysWhatItDid) {
  const ProgramResult r = train("d1", {"--json", "--num-iterations=60"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const nlohmann::json result = nlohmann::json::parse(r.out);
  EXPECT_EQ(result.at("step"), 60);
  EXPECT_EQ(result.at("tokens"), 60 * 256);
  EXPECT_LT(result.at("val_bpb").get<double>(), 2.0);
  EXPECT_GT(result.at("tokens_per_second").get<double>(), 0);
  EXPECT_LE(result.at("data_wait_frac").get<double>(), 1);
  EXPECT_EQ(losses("d1").size(), 60);
  EXPECT_LT(losses("d1").at(59), losses("d1").at(0) / 2);
  EXPECT_TRUE(fs::exists(run_folder("d1") / "config.toml"));
  EXPECT_TRUE(fs::exists(run_folder("d1") / "step_000060" / "manifest.json"));
  // --keep 3
  EXPECT_TRUE(fs::exists(run_folder("d1") / "step_000058"));
  EXPECT_FALSE(fs::exists(run_folder("d1") / "step_000057"));
}

TEST_F(TrainBaseTest, TheResolvedConfigGivesTheSameRun) {
  ASSERT_EQ(train("a").exit_code, 0);
  const std::string config = (run_folder("a") / "config.toml").string();
  const ProgramResult r =
      run_program({"train", "base", "--base-dir", base(), "--config", config, "--run", "b"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  expect_same_end("a", "b", 40);
}

TEST_F(TrainBaseTest, KilledAtTwentyMomentsItEndsTheSameToTheBit) {
  ASSERT_EQ(train("whole").exit_code, 0);
  std::mt19937 random(7);
  int kills = 0;
  for (int tries = 0; kills < 20 && tries < 200; ++tries) {
    test::RunningProgram program(command("killed", {"--resume", "latest"}));
    // From before the first step to a good way into the run; with a checkpoint at every step most
    // moments fall into the writing of one.
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 500));
    program.send(SIGKILL);
    const ProgramResult r = program.wait();
    if (r.exit_code == -SIGKILL) ++kills;
    ASSERT_TRUE(r.exit_code == -SIGKILL || r.exit_code == 0) << r.err;
    if (r.exit_code == 0) fs::remove_all(run_folder("killed"));  // too late: again
  }
  EXPECT_EQ(kills, 20);
  const ProgramResult r = train("killed", {"--resume", "latest"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  expect_same_end("whole", "killed", 40);
  for (const fs::directory_entry& entry : fs::directory_iterator(run_folder("killed"))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST_F(TrainBaseTest, ResumesExactlyWithPackedRowsAndActivationCheckpointing) {
  const Words more{"--packing", "bestfit", "--save-every=7"};
  ASSERT_EQ(train("whole", more).exit_code, 0);
  Words first = more;
  first.insert(first.end(), {"--num-iterations=40", "--activation-checkpointing"});
  ASSERT_EQ(train("parts", first).exit_code, 0);
  expect_same_end("whole", "parts", 40);
  fs::remove_all(run_folder("parts") / "step_000040");
  ASSERT_EQ(train("parts",
                  [&] {
                    Words w = more;
                    w.insert(w.end(), {"--resume", "28"});
                    return w;
                  }())
                .exit_code,
            0);
  expect_same_end("whole", "parts", 40);
}

TEST_F(TrainBaseTest, SigtermSavesAndExitsWith143AndTheRunGoesOn) {
  const Words more{"--save-every=-1", "--num-iterations=400", "--eval-every=-1"};
  ASSERT_EQ(train("whole", more).exit_code, 0);
  {
    test::RunningProgram program(command("stopped", more));
    for (int i = 0; i < 500 && !fs::exists(run_folder("stopped") / "metrics.jsonl"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    program.send(SIGTERM);
    const ProgramResult r = program.wait();
    ASSERT_EQ(r.exit_code, 143) << r.err;
    EXPECT_NE(r.err.find("--resume latest"), std::string::npos) << r.err;
  }
  Words resumed = more;
  resumed.insert(resumed.end(), {"--resume", "latest"});
  const ProgramResult r = train("stopped", resumed);
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_NE(r.err.find("going on from"), std::string::npos) << r.err;
  expect_same_end("whole", "stopped", 400);
}

TEST_F(TrainBaseTest, AFullDiskIsOneErrorAndTheEarlierCheckpointsAreWhole) {
  const fs::path small = folder_ / "small";
  fs::create_directory(small);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=3m") != 0) {
    GTEST_SKIP() << "cannot mount a small tmpfs (not root?)";
  }
  const Words words{"train",
                    "base",
                    "--base-dir",
                    small.string(),
                    "--data",
                    text(),
                    "--tokenizer",
                    (folder_ / "base/tokenizer/default").string(),
                    "--run",
                    "full",
                    "--depth=1",
                    "--sequence-len=32",
                    "--device-batch-size=4",
                    "--total-batch-size=256",
                    "--num-iterations=40",
                    "--eval-every=-1",
                    "--sample-every=0",
                    "--save-every=1"};
  const ProgramResult r = run_program(words);
  EXPECT_EQ(r.exit_code, 5) << r.err;
  EXPECT_NE(r.err.find("No space left"), std::string::npos) << r.err;
  const fs::path run = small / "runs/base/full";
  int checkpoints = 0;
  std::string newest;
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(name.find("tmp"), std::string::npos) << name;
    if (name.starts_with("step_")) {
      ++checkpoints;
      newest = std::max(newest, name);
    }
  }
  EXPECT_GE(checkpoints, 1);
  const ProgramResult sample =
      run_program({"sample", (run / newest).string(), "--prompt", "the cat", "--base-dir",
                   small.string(), "--max-new-tokens", "4"});
  EXPECT_EQ(sample.exit_code, 0) << sample.err;
  ::umount(small.c_str());
}

TEST_F(TrainBaseTest, NumbersThatGoWrongStopTheRunWithTheLastGoodCheckpoint) {
  const ProgramResult r = train("wild", {"--embedding-lr=2e38", "--warmup-ratio=1"});
  EXPECT_EQ(r.exit_code, 8) << r.err;
  EXPECT_NE(r.err.find("last good checkpoint"), std::string::npos) << r.err;
}

TEST_F(TrainBaseTest, AnEarlierRunIsNeitherContinuedNorDeletedUnasked) {
  ASSERT_EQ(train("d1", {"--num-iterations=5"}).exit_code, 0);
  const ProgramResult again = train("d1");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("--overwrite"), std::string::npos) << again.err;
  EXPECT_TRUE(fs::exists(run_folder("d1") / "step_000005"));
  EXPECT_EQ(train("d1", {"--overwrite", "--num-iterations=4"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(run_folder("d1") / "step_000005"));
  EXPECT_EQ(losses("d1").size(), 4);
}

TEST_F(TrainBaseTest, WhatWasTrainedGeneratesAndIsMeasuredInEightBitsToo) {
  ASSERT_EQ(train("d1").exit_code, 0);
  const std::string model = (run_folder("d1") / "").string();
  const ProgramResult loss =
      run_program({"eval", "loss", model, "--split-tokens", "2000", "--device-batch-size", "2",
                   "--quantize", "int8", "--json", "--base-dir", base()});
  ASSERT_EQ(loss.exit_code, 0) << loss.err;
  const nlohmann::json result = nlohmann::json::parse(loss.out);
  const double exact = result.at("val").at("bpb"), rounded = result.at("int8").at("bpb");
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.02 * exact);
  EXPECT_NEAR(result.at("int8").at("loss").get<double>(), rounded - exact, 1e-12);

  const auto sample = [&](const Words& more) {
    Words words{"sample", model, "--prompt", "the cat", "--base-dir", base(), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult r = run_program(words);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return r.out;
  };
  const std::string first = sample({"--quantize", "int8"});  // packs the weights,
  EXPECT_EQ(sample({"--quantize", "int8"}), first);          // maps them
  EXPECT_FALSE(sample({"--dtype", "f32"}).empty());

  const ProgramResult bench =
      run_program({"bench", "infer", model, "--prompt-tokens", "8", "--decode-tokens", "4",
                   "--batch-sizes", "1,3", "--json", "--base-dir", base()});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const nlohmann::json batches = nlohmann::json::parse(bench.out).at("batches");
  ASSERT_EQ(batches.size(), 2);
  EXPECT_EQ(batches[1].at("batch"), 3);
  EXPECT_GT(batches[1].at("tokens_per_second"), 0);
  EXPECT_EQ(run_program({"bench", "infer", model, "--depth", "2"}).exit_code, 2);
}

TEST_F(TrainBaseTest, AFinishedRunThatIsResumedSaysWhereItIs) {
  ASSERT_EQ(train("d1", {"--num-iterations=5"}).exit_code, 0);
  const ProgramResult r = train("d1", {"--num-iterations=5", "--resume", "latest", "--json"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(nlohmann::json::parse(r.out).at("checkpoint"),
            (run_folder("d1") / "step_000005").string());
}

TEST_F(TrainBaseTest, AnotherModelIsNotResumed) {
  ASSERT_EQ(train("d1", {"--num-iterations=5"}).exit_code, 0);
  const ProgramResult r = train("d1", {"--depth=2", "--resume", "latest"});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_NE(r.err.find("--depth is 2, the run was begun with 1"), std::string::npos) << r.err;
  const ProgramResult missing = train("d1", {"--resume", "77"});
  EXPECT_EQ(missing.exit_code, 4) << missing.err;
}

TEST_F(TrainBaseTest, ADamagedCheckpointIsRefusedByFile) {
  ASSERT_EQ(train("d1", {"--num-iterations=5"}).exit_code, 0);
  const fs::path file = run_folder("d1") / "step_000005/model.safetensors";
  std::string bytes = test::file_bytes(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
  const ProgramResult r = train("d1", {"--resume", "latest"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_NE(r.err.find("model.safetensors"), std::string::npos) << r.err;
}

TEST_F(TrainBaseTest, BadInputIsOneClearLine) {
  struct Case {
    Words flags;
    int exit_code;
    std::string says;
  };
  folder_.write("empty/x.jsonl", "");
  folder_.write("bad/a.jsonl", "{\"text\": \"x\"}\n{\"text\": 7}\n");
  folder_.write("bad/b.jsonl", make_documents(100, 5));
  folder_.write("config.toml", "depht = 3\n");
  folder_.write("broken.toml", "depth = = 3\n");
  const std::vector<Case> cases{
      {{"--total-batch-size=100"}, 2, "100"},
      {{"--num-iterations=0", "--target-param-data-ratio=-1"}, 2, "length"},
      {{"--depth=0"}, 2, "depth"},
      {{"--tokenizer=nobody"}, 4, "nobody"},
      {{"--val-data=/nowhere"}, 4, "/nowhere"},
      {{"--packing=tetris"}, 2, "packing"},
      {{"--device=cuda"}, 7, "cuda"},
      {{"--run=a/b"}, 2, "a/b"},
      {{"--data=" + (folder_ / "empty").string()}, 3, "empty"},
      {{"--data=" + (folder_ / "bad").string()}, 3, "a.jsonl"},
      {{"--config=" + (folder_ / "config.toml").string()}, 2, "depht"},
      {{"--config=" + (folder_ / "broken.toml").string()}, 3, "broken.toml:1"},
      {{"--config=/nowhere.toml"}, 4, "/nowhere.toml"},
      {{"--eval-tokens=x"}, 2, "eval-tokens"},
  };
  for (const Case& c : cases) {
    Words words = command("bad", c.flags);
    if (c.flags[0].starts_with("--data=")) std::erase(words, "--data"), std::erase(words, text());
    if (c.flags[0].starts_with("--run=")) std::erase(words, "--run"), std::erase(words, "bad");
    const ProgramResult r = run_program(words);
    EXPECT_EQ(r.exit_code, c.exit_code) << c.flags[0] << ": " << r.err;
    EXPECT_NE(r.err.find(c.says), std::string::npos) << c.flags[0] << ": " << r.err;
    EXPECT_FALSE(fs::exists(run_folder("bad") / "step_000001")) << c.flags[0];
  }
}

TEST_F(TrainBaseTest, AProfileIsATraceOfSomeSteps) {
  ASSERT_EQ(train("d1", {"--num-iterations=6", "--profile=2"}).exit_code, 0);
  const nlohmann::json trace =
      nlohmann::json::parse(test::file_bytes(run_folder("d1") / "trace.json"));
  const nlohmann::json& events = trace.is_array() ? trace : trace.at("traceEvents");
  EXPECT_TRUE(std::ranges::any_of(
      events, [](const nlohmann::json& e) { return e.at("name") == "matmul"; }));
}

TEST_F(TrainBaseTest, TheCoreMetricIsMeasuredWhereItsBundleIs) {
  const test::CoreBundle bundle;
  const ProgramResult r =
      train("core", {"--core-bundle", bundle.path().string(), "--core-metric-every=20",
                     "--core-metric-max-per-task=-1", "--num-iterations=30"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  std::vector<int64_t> steps;
  std::istringstream lines(test::file_bytes(run_folder("core") / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    if (!record.contains("core_metric")) continue;
    steps.push_back(record.at("step"));
    EXPECT_EQ(record.at("core_tasks"), 3);  // of four: one has no file
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{20, 30}));

  const ProgramResult without = train("none", {"--num-iterations=1"});
  EXPECT_EQ(without.exit_code, 0) << without.err;
  EXPECT_SAYS(without.err, "no CORE metric: ");
  EXPECT_EQ(train("lost", {"--core-bundle", base()}).exit_code, 4);
}

}  // namespace
}  // namespace nanochat
