#include "train/rl.h"

#include <mutex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/refusal.h"
#include "train/stage_fixture.h"

namespace nanochat {
namespace {

using test::small_tokenizer;

class RlTest : public test::StageTest {
 protected:
  RlTest() {
    config_.num_iterations = 6;
    config_.examples_per_step = 3;
    config_.num_samples = 4;
    config_.max_new_tokens = 8;
    config_.device_batch_size = 2;
    config_.top_k = 0;
    config_.init_lr_frac = 0.5;
    config_.eval_every = 0;
    config_.dtype = "f32";
    config_.task = "toy:train";
    input_.train = task();
  }
  /// Rewards answers that begin with a byte of the first half, of which a fresh model says half.
  static TaskPtr task(int64_t n = 40) {
    return test::counting_task(n, [](int64_t, std::string_view text) {
      return !text.empty() && static_cast<unsigned char>(text[0]) < 128 && text[0] != '<' ? 1 : 0;
    });
  }
  StageResult train(const StageRun& run) {
    input_.source = source_;
    return train_rl(config_, input_, small_tokenizer(), run);
  }
  std::string refused(const std::string& name = "refused", const std::string& resume = "") {
    return test::refusal<UsageError>([&] { static_cast<void>(train(run_named(name, resume))); });
  }

  RlConfig config_;
  RlInput input_;
};

TEST_F(RlTest, RaisesTheReward) {
  config_.num_iterations = 30;
  config_.num_samples = 12;
  config_.max_new_tokens = 2;
  config_.init_lr_frac = 1;
  config_.eval_every = 30;
  config_.eval_samples = 4;
  const StageResult r = train(run_named("a"));
  EXPECT_EQ(r.step, 30);
  const std::map<int64_t, double> reward = series("a", "rl/reward");
  const auto mean = [&](int64_t begin) {
    double sum = 0;
    for (int64_t i = begin; i < begin + 5; ++i) sum += reward.at(i) / 5;
    return sum;
  };
  EXPECT_LT(mean(0), 0.75);
  EXPECT_GT(mean(25), 0.9);
  const std::map<int64_t, double> pass = series("a", "eval/pass@1");
  ASSERT_EQ(pass.size(), 2);
  EXPECT_GT(pass.at(30), pass.at(0));
  EXPECT_GE(series("a", "eval/pass@4").at(0), pass.at(0));
  EXPECT_EQ(r.measures.at("pass@1"), pass.at(30));
  for (const auto& [step, seconds] : series("a", "train/dt")) {
    EXPECT_NEAR(
        series("a", "rl/rollout_seconds").at(step) + series("a", "rl/update_seconds").at(step),
        seconds, 1e-9);
    EXPECT_GT(series("a", "rl/rollout_tok_per_sec").at(step), 0);
  }
}

TEST_F(RlTest, StoppedAndResumedItEndsTheSameToTheBit) {
  static_cast<void>(train(run_named("whole")));
  EXPECT_EQ(train(stopping_run("parts", 2)).step, 2);
  EXPECT_EQ(train(stopping_run("parts", 3, "latest")).step, 3);
  EXPECT_EQ(train(run_named("parts", "latest")).step, 6);
  expect_same_end("whole", "parts", 6);
  EXPECT_EQ(series("whole", "rl/reward"), series("parts", "rl/reward"));
  // Memory settings are not part of what is computed.
  config_.slots = 3;
  static_cast<void>(train(run_named("narrow")));
  EXPECT_EQ(series("whole", "rl/reward"), series("narrow", "rl/reward"));
}

TEST_F(RlTest, ItIsMeasuredOnHeldOutTrainingQuestionsAndSaysSo) {
  config_.eval_every = -1;
  config_.eval_samples = 2;
  config_.num_iterations = -1;
  std::set<int64_t> trained, measured;
  bool is_over = false;
  input_.train = test::counting_task(40, [&](int64_t i, std::string_view) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    (is_over ? measured : trained).insert(i);
    return 0;
  });
  StageRun run = run_named("a");
  run.interrupted = [&] {
    is_over = std::filesystem::exists(folder_of("a") / kMetricsFileName) && count_steps("a") == 12;
    return false;
  };
  const StageResult r = train(run);
  EXPECT_EQ(r.num_iterations, 36 / 3);  // a tenth is held out
  EXPECT_EQ(trained.size(), 36);
  EXPECT_EQ(*trained.rbegin(), 35);
  EXPECT_EQ(measured, (std::set<int64_t>{36, 37, 38, 39}));
  const std::string name = r.measures.at("eval_task");
  EXPECT_SAYS(name, "Toy (toy:train), the last 4 of 40 examples, held out of training");
  EXPECT_EQ(metrics_of("a").at(12).at("eval/task"), name);
}

TEST_F(RlTest, OrOnTheTaskThatIsNamed) {
  config_.eval_every = -1;
  config_.eval_samples = 2;
  config_.eval_task = "toy:test";
  config_.eval_examples = 5;
  config_.num_iterations = 1;
  input_.eval = task(20);
  const StageResult r = train(run_named("a"));
  EXPECT_EQ(r.measures.at("eval_task"), "Toy (toy:test), the first 5 of 20 examples");
  EXPECT_EQ(metrics_of("a").at(1).at("eval/questions"), 5);
}

TEST_F(RlTest, AStepThatTeachesNothingIsTakenAndChangesNoNumberToNaN) {
  input_.train = test::counting_task(10, [](int64_t, std::string_view) { return 1; });
  config_.num_iterations = 2;
  const StageResult r = train(run_named("a"));
  EXPECT_EQ(r.step, 2);
  EXPECT_EQ(series("a", "train/loss"), (std::map<int64_t, double>{{0, 0}, {1, 0}}));
  // Nothing to learn and no momentum: the weights of the source.
  EXPECT_EQ(file_of("a", 2, "model.safetensors"), file_of("source", 3, "model.safetensors"));
}

TEST_F(RlTest, WhatDoesNotFitTogetherIsRefusedInOneLine) {
  config_.max_new_tokens = 64;
  EXPECT_SAYS(refused(), "--max-new-tokens 64");
  config_.max_new_tokens = 8;
  config_.num_iterations = -1;
  config_.examples_per_step = 41;
  EXPECT_SAYS(refused(), "--examples-per-step");
  config_.examples_per_step = 3;
  config_.num_samples = 0;
  EXPECT_SAYS(refused(), "--num-samples");
  config_.num_samples = 4;
  config_.temperature = -1;
  EXPECT_SAYS(refused(), "temperature");
  config_.temperature = 1;
  config_.eval_every = 5;
  input_.train = task(9);
  EXPECT_SAYS(refused(), "--eval-task");
  input_.train = test::counting_task(40);
  EXPECT_SAYS(refused(), "no reward");
}

TEST_F(RlTest, OtherQuestionsAreNotResumed) {
  static_cast<void>(train(run_named("a")));
  config_.num_iterations = 8;
  input_.train = task(39);
  EXPECT_SAYS(refused("a", "latest"), "begun with 40 questions");
}

}  // namespace
}  // namespace nanochat
