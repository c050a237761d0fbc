/// Runs of the fine-tuning stages inside the test: a source to go on from, and what a run left.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "support/temporary_folder.h"
#include "train/metrics.h"
#include "train/small_run.h"
#include "train/stage.h"
#include "train/toy_task.h"

namespace nanochat::test {

class StageTest : public ::testing::Test {
 protected:
  /// A model of random weights whose optimizer has done three steps.
  void SetUp() override {
    set_num_threads(1);  // the models are too small for more
    SmallRun run(5, chat_config());
    for (int64_t i = 0; i < 3; ++i) run.step(i);
    const RunFolder folder(folder_ / "source");
    source_ = save_checkpoint(folder, 3, run.model, state_of(run.optimizer), {{"stage", "base"}});
  }

  [[nodiscard]] std::filesystem::path folder_of(const std::string& name) const {
    return folder_ / name;
  }
  [[nodiscard]] StageRun run_named(const std::string& name, const std::string& resume = "") const {
    return {.folder = folder_of(name),
            .name = name,
            .resume = resume,
            .overwrite = false,
            .profile_steps = 0,
            .command_line = "test",
            .interrupted = {}};
  }
  /// The same, stopping behind so many steps.
  [[nodiscard]] StageRun stopping_run(const std::string& name, int64_t steps,
                                      const std::string& resume = "") const {
    StageRun run = run_named(name, resume);
    run.interrupted = [this, name, steps] {
      const auto file = folder_of(name) / kMetricsFileName;
      if (!std::filesystem::exists(file)) return steps == 0;
      return count_steps(name) >= steps;
    };
    return run;
  }
  [[nodiscard]] std::map<int64_t, nlohmann::ordered_json> metrics_of(
      const std::string& name) const {
    return read_metrics(folder_of(name) / kMetricsFileName);
  }
  [[nodiscard]] int64_t count_steps(const std::string& name) const {
    int64_t n = 0;
    for (const auto& [step, record] : metrics_of(name)) n += record.contains("train/loss");
    return n;
  }
  /// Of metrics.jsonl, by step.
  [[nodiscard]] std::map<int64_t, double> series(const std::string& name,
                                                 const std::string& key) const {
    std::map<int64_t, double> result;
    for (const auto& [step, record] : metrics_of(name)) {
      if (record.contains(key)) result[step] = record.at(key);
    }
    return result;
  }
  [[nodiscard]] std::string file_of(const std::string& name, int64_t step,
                                    const std::string& file) const {
    std::ifstream in(folder_of(name) / checkpoint_name(step) / file, std::ios::binary);
    EXPECT_TRUE(in.is_open()) << name << " " << step << " " << file;
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void expect_same_end(const std::string& a, const std::string& b, int64_t step) const {
    for (const char* const file : {"model.safetensors", "optim/rank_0.safetensors"}) {
      EXPECT_TRUE(file_of(a, step, file) == file_of(b, step, file)) << file;
    }
    EXPECT_EQ(series(a, "train/loss"), series(b, "train/loss"));
  }

  TemporaryFolder folder_;
  std::filesystem::path source_;
};

}  // namespace nanochat::test
