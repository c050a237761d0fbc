#include "train/trainer.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "support/compare.h"

namespace nanochat {
namespace {

constexpr GptConfig kConfig{
    .sequence_len = 8, .vocab_size = 32, .n_layer = 2, .n_head = 2, .n_kv_head = 2, .n_embd = 32};

/// Micro-batch i is a function of i alone.
class CountingSource final : public BatchSource {
 public:
  explicit CountingSource(int64_t next, int64_t micro_batches)
      : next_(next), micro_batches_(micro_batches) {}
  [[nodiscard]] int64_t begin_step(int64_t /*step*/) override { return micro_batches_; }
  void next(Batch& batch) override {
    constexpr int64_t kN = 16;
    batch = {Tensor({kN}, DType::kI32), Tensor({kN}, DType::kI32), Tensor({kN}, DType::kF32),
             TokenRuns::uniform(2, 8)};
    const RandomStream random(3, RandomPurpose::kTest, static_cast<uint32_t>(next_++));
    for (int64_t n = 0; n < kN; ++n) {
      batch.ids.data<int32_t>()[n] = static_cast<int32_t>(random.bits(n) % 32);
      batch.targets.data<int32_t>()[n] = (5 * batch.ids.data<int32_t>()[n] + 1) % 32;
    }
    set_mean_weights(batch, micro_batches_);
    wait_ += 0.25;
  }
  [[nodiscard]] int64_t tokens() const override { return 16 * next_; }
  [[nodiscard]] double wait_seconds() const override { return wait_; }
  [[nodiscard]] std::string place() const override { return std::to_string(next_); }

 private:
  int64_t next_, micro_batches_;
  double wait_ = 0;
};

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest()
      : model_(kConfig, cpu_backend()),
        optimizer_(cpu_backend(), model_.parameters(), {.n_embd = kConfig.n_embd}) {
    model_.init_weights(1);
    options_ = {.num_iterations = 12,
                .lr_multiplier = [](int64_t) { return 0.5; },
                .on_step = [this](const StepStats& stats) { steps_.push_back(stats); }};
  }
  Trainer::End run(const LoopState& state = {}) {
    constexpr int64_t kMicroBatches = 2;
    CountingSource source(state.step * kMicroBatches, kMicroBatches);
    Trainer trainer(model_, optimizer_, source, memory_, options_, state);
    const Trainer::End end = trainer.run();
    state_ = trainer.state();
    return end;
  }

  Arena memory_;
  Gpt model_;
  ClassicOptimizer optimizer_;
  TrainerOptions options_;
  std::vector<StepStats> steps_;
  LoopState state_;
};

TEST_F(TrainerTest, LowersTheLossAndReportsEachStep) {
  options_.num_iterations = 40;
  options_.flops_per_token = 1e6;
  options_.peak_flops = 1e12;
  EXPECT_EQ(run(), Trainer::End::kFinished);
  ASSERT_EQ(steps_.size(), 40);
  EXPECT_NEAR(steps_[0].loss, std::log(32.0), 1e-5);  // lm_head starts at zero
  EXPECT_LT(steps_.back().smooth_loss, steps_[0].loss);
  for (size_t i = 0; i < steps_.size(); ++i) {
    EXPECT_EQ(steps_[i].step, static_cast<int64_t>(i));
    EXPECT_EQ(steps_[i].lr_multiplier, 0.5);
    EXPECT_GT(steps_[i].grad_norm, 0);
    EXPECT_NEAR(steps_[i].tokens_per_second * steps_[i].seconds, 32, 1e-9);
    EXPECT_NEAR(steps_[i].mfu, steps_[i].tokens_per_second * 1e6 / 1e12, 1e-12);
    EXPECT_EQ(steps_[i].wait_seconds, 0.5);  // of two micro-batches
  }
  EXPECT_EQ(state_.step, 40);
}

TEST_F(TrainerTest, TheSmoothedLossIsTheAverageWithoutItsBias) {
  run();
  double smoothed = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    smoothed = 0.9 * smoothed + 0.1 * steps_[i].loss;
    EXPECT_DOUBLE_EQ(steps_[i].smooth_loss,
                     smoothed / (1 - std::pow(0.9, static_cast<double>(i + 1))));
  }
  EXPECT_NEAR(steps_[0].smooth_loss, steps_[0].loss, 1e-12);
}

TEST_F(TrainerTest, GoesOnFromItsStateAsIfItHadNotStopped) {
  options_.num_iterations = 5;
  run();
  options_.num_iterations = 12;
  run(state_);
  const std::vector<StepStats> resumed = std::exchange(steps_, {});

  Gpt model(kConfig, cpu_backend());
  model.init_weights(1);
  ClassicOptimizer optimizer(cpu_backend(), model.parameters(), {.n_embd = kConfig.n_embd});
  CountingSource source(0, 2);
  Arena memory;
  Trainer trainer(model, optimizer, source, memory, options_);
  EXPECT_EQ(trainer.run(), Trainer::End::kFinished);
  ASSERT_EQ(resumed.size(), steps_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    EXPECT_EQ(resumed[i].loss, steps_[i].loss);
    EXPECT_EQ(resumed[i].smooth_loss, steps_[i].smooth_loss);
  }
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    EXPECT_TRUE(test::same_bits(model_.parameters()[i].value, model.parameters()[i].value));
  }
}

TEST_F(TrainerTest, EventsComeBeforeTheStepsTheyAreDueAtInTheOrderOfTheList) {
  std::vector<std::string> happened;
  const auto event = [&](const std::string& name, int64_t every, bool at_start, bool at_end) {
    options_.events.push_back({.name = name,
                               .every = every,
                               .at_start = at_start,
                               .at_end = at_end,
                               .run = [&happened, name](int64_t step) {
                                 happened.push_back(name + std::to_string(step));
                               }});
  };
  event("a", 4, true, true);
  event("b", 4, false, false);
  event("c", -1, false, true);
  event("d", -1, true, false);
  options_.num_iterations = 8;
  run();
  EXPECT_EQ(happened, (std::vector<std::string>{"a0", "d0", "a4", "b4", "a8", "c8"}));
}

TEST_F(TrainerTest, StopsBetweenStepsWhenInterruptedAndDoesNoEventTwice) {
  int events = 0;
  options_.events.push_back(
      {.name = "e", .every = 1, .at_start = true, .run = [&](int64_t) { ++events; }});
  options_.interrupted = [this] { return steps_.size() == 3; };
  EXPECT_EQ(run(), Trainer::End::kInterrupted);
  EXPECT_EQ(state_.step, 3);
  EXPECT_EQ(events, 3);
}

TEST_F(TrainerTest, ALossThatIsNotFiniteStopsTheRunBeforeAnyWeightChanges) {
  Tensor before = model_.parameter("lm_head.weight").value.clone();
  for (Parameter& p : model_.parameters()) {
    if (p.name == "transformer.h.1.mlp.c_proj.weight") {
      p.value.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  model_.refresh_compute_weights();
  try {
    run();
    FAIL() << "no error";
  } catch (const NumericError& e) {
    EXPECT_NE(std::string(e.what()).find("step 0"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(test::same_bits(model_.parameter("lm_head.weight").value, before));
}

}  // namespace
}  // namespace nanochat
