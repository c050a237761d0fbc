#include "optim/schedules.h"

#include <string>

#include <gtest/gtest.h>

#include "core/error.h"

namespace nanochat {
namespace {

TEST(SchedulesTest, RoundsHalvesToTheEvenNeighbour) {
  EXPECT_EQ(round_half_to_even(0.5), 0);
  EXPECT_EQ(round_half_to_even(1.5), 2);
  EXPECT_EQ(round_half_to_even(2.5), 2);
  EXPECT_EQ(round_half_to_even(2.51), 3);
  EXPECT_EQ(round_half_to_even(-0.5), 0);
}

TEST(SchedulesTest, LearningRateWarmsUpHoldsAndWarmsDown) {
  const LrScheduleConfig config{.warmup_ratio = 0.2, .warmdown_ratio = 0.4, .final_lr_frac = 0.1};
  const double expected[] = {0.5, 1, 1, 1, 1, 1, 1, 0.775, 0.55, 0.325, 0.1};  // N = 10
  for (int64_t i = 0; i <= 10; ++i) {
    EXPECT_NEAR(classic_lr_multiplier(i, 10, config), expected[i], 1e-15) << "step " << i;
  }
}

TEST(SchedulesTest, WarmdownLengthIsRoundedToEven) {
  // 0.25 * 10 = 2.5 -> 2 steps: step 8 is still at full rate, step 9 halfway down.
  const LrScheduleConfig config{.warmdown_ratio = 0.25};
  EXPECT_EQ(classic_lr_multiplier(8, 10, config), 1);
  EXPECT_EQ(classic_lr_multiplier(9, 10, config), 0.5);
}

TEST(SchedulesTest, ARunWithoutWarmdownEndsAtFullRate) {
  EXPECT_EQ(classic_lr_multiplier(10, 10, {.warmdown_ratio = 0}), 1);
}

TEST(SchedulesTest, MuonMomentumRisesOverThreeHundredSteps) {
  EXPECT_DOUBLE_EQ(classic_muon_momentum(0), 0.85);
  EXPECT_DOUBLE_EQ(classic_muon_momentum(150), 0.9);
  EXPECT_DOUBLE_EQ(classic_muon_momentum(300), 0.95);
  EXPECT_DOUBLE_EQ(classic_muon_momentum(100000), 0.95);
}

TEST(SchedulesTest, TheFirstPositiveHorizonCounts) {
  EXPECT_EQ(classic_num_iterations({.num_iterations = 7, .target_flops = 1e18}, 1000, 10, 100), 7);
  EXPECT_EQ(classic_num_iterations({.target_flops = 2500}, 1000, 10, 100), 2);  // 2.5, to even
  EXPECT_EQ(classic_num_iterations({.target_param_data_ratio = 1.99}, 1000, 10, 100), 19);
}

template <typename F>
std::string usage_error_of(F&& f) {
  try {
    f();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no UsageError";
}

TEST(SchedulesTest, AHorizonOfNothingIsRefused) {
  EXPECT_NE(usage_error_of([] {
              (void)classic_num_iterations({.target_param_data_ratio = -1}, 1000, 10, 100);
            }).find("no length"),
            std::string::npos);
  EXPECT_NE(usage_error_of([] {
              (void)classic_num_iterations({.target_param_data_ratio = 1}, 99, 10, 100);
            }).find("less than one step"),
            std::string::npos);
  EXPECT_NE(usage_error_of([] {
              (void)classic_num_iterations({.target_flops = 400}, 99, 10, 100);
            }).find("raise the target"),
            std::string::npos);
  EXPECT_THROW((void)classic_num_iterations({.num_iterations = 3}, 99, 10, 0), UsageError);
}

TEST(SchedulesTest, GradAccumulationDividesTheTotalBatch) {
  EXPECT_EQ(grad_accum_steps(524288, 32, 2048, 1), 8);
  EXPECT_EQ(grad_accum_steps(524288, 32, 2048, 8), 1);
}

TEST(SchedulesTest, ATotalBatchThatDoesNotDivideNamesOnesThatDo) {
  const std::string between = usage_error_of([] { (void)grad_accum_steps(100, 2, 16, 1); });
  EXPECT_NE(between.find("choose 96 or 128"), std::string::npos) << between;
  const std::string small = usage_error_of([] { (void)grad_accum_steps(16, 2, 16, 2); });
  EXPECT_NE(small.find("choose 64,"), std::string::npos) << small;
  EXPECT_THROW((void)grad_accum_steps(0, 2, 16, 1), UsageError);
  EXPECT_THROW((void)grad_accum_steps(-64, 2, 16, 1), UsageError);
  EXPECT_THROW((void)grad_accum_steps(64, 0, 16, 1), UsageError);
}

TEST(SchedulesTest, FinetuningFallsInAStraightLine) {
  EXPECT_EQ(mid_lr_multiplier(0.79), 1);
  EXPECT_NEAR(mid_lr_multiplier(0.9), 0.5, 1e-15);
  EXPECT_EQ(linear_lr_multiplier(0, 40), 1);
  EXPECT_EQ(linear_lr_multiplier(30, 40), 0.25);
}

}  // namespace
}  // namespace nanochat
