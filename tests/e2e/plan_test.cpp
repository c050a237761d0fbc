// labels: e2e
// nanochat plan, as people and scripts call it.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace nanochat {
namespace {

using nlohmann::json;
using test::ProgramResult;
using test::run_program;

void expect_refusal(const std::vector<std::string>& arguments, const std::string& text) {
  const ProgramResult result = run_program(arguments);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
}

json plan_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "plan");
  arguments.emplace_back("--json");
  const ProgramResult result = run_program(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return json::parse(result.out);
}

TEST(PlanCommand, OneDepthIsAPlanAndSeveralAreATable) {
  const ProgramResult one = run_program({"plan", "--depth", "20", "--gpus", "8"});
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_EQ(one.err, "");
  EXPECT_NE(one.out.find("560,988,160"), std::string::npos) << one.out;
  EXPECT_NE(one.out.find("21,400"), std::string::npos) << one.out;
  EXPECT_NE(one.out.find("8 x h100"), std::string::npos) << one.out;
  const ProgramResult all = run_program({"plan"});
  EXPECT_EQ(all.exit_code, 0);
  for (const char* depth : {"d4 ", "d20 ", "d32 "}) {
    EXPECT_NE(all.out.find(depth), std::string::npos) << all.out;
  }
}

TEST(PlanCommand, JsonHasEveryNumber) {
  const json result = plan_json({"--depth", "4,8", "--gpu", "a100", "--gpus", "4"});
  EXPECT_EQ(result.at("device").at("name"), "a100");
  EXPECT_EQ(result.at("device").at("peak_flops"), 312e12);
  ASSERT_EQ(result.at("plans").size(), 2U);
  const json& plan = result.at("plans").at(0);
  EXPECT_EQ(plan.at("num_params"), 36700160);
  EXPECT_EQ(plan.at("num_iterations"), 1400);
  EXPECT_EQ(plan.at("grad_accum_steps"), 2);
  EXPECT_EQ(plan.at("model_config").at("n_embd"), 256);
  EXPECT_GT(plan.at("memory_per_device").at("total_bytes").get<int64_t>(), 0);
  EXPECT_GT(plan.at("data").at("train_shards").get<int64_t>(), 0);
  EXPECT_TRUE(plan.at("seconds").is_number());
  EXPECT_TRUE(plan.at("cost_dollars").is_null()) << "nobody said what an a100 costs";
}

TEST(PlanCommand, ModernIsAFlagAway) {
  const json result = plan_json(
      {"--depth", "24", "--recipe", "modern", "--gpus", "8", "--target-param-data-ratio", "8"});
  const json& plan = result.at("plans").at(0);
  EXPECT_EQ(plan.at("num_iterations"), 5568);
  EXPECT_EQ(plan.at("total_batch_size"), 1048576);
  EXPECT_EQ(plan.at("param_counts").at("value_embeds"), 603979776);
}

TEST(PlanCommand, ThisCpuIsPlannedForWhenItsSpeedIsGivenOrMeasured) {
  const std::vector<std::string> small{"--depth",
                                       "4",
                                       "--sequence-len",
                                       "512",
                                       "--device-batch-size",
                                       "8",
                                       "--total-batch-size",
                                       "16384",
                                       "--dtype",
                                       "f32"};
  auto stated = small;
  stated.insert(stated.end(), {"--gflops", "100"});
  const json result = plan_json(stated);
  EXPECT_EQ(result.at("device").at("kind"), "cpu");
  EXPECT_NEAR(result.at("plans").at(0).at("seconds").get<double>(),
              result.at("plans").at(0).at("total_flops").get<double>() / 80e9, 1);
  auto measured = small;
  measured.emplace_back("--measure");
  EXPECT_GT(plan_json(measured).at("device").at("peak_flops").get<double>(), 1e8);
  auto neither = small;
  neither.insert(neither.end(), {"--device", "cpu"});
  EXPECT_TRUE(plan_json(neither).at("plans").at(0).at("seconds").is_null());
}

TEST(PlanCommand, ARangeLeavesOutWhatCannotBeAndSaysSo) {
  const ProgramResult result = run_program({"plan", "--depth", "4..8:1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("d7 "), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("d5 "), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("left out depth 5"), std::string::npos) << result.err;
  EXPECT_EQ(run_program({"plan", "--depth", "4..8:1", "--quiet"}).exit_code, 0);
}

TEST(PlanCommand, WhatMakesNoSenseIsOneLineAndExitCode2) {
  expect_refusal({"plan", "--depth", "5"}, "choose depth 4 or 6");
  expect_refusal({"plan", "--depth", "5..5"}, "choose depth 4 or 6");
  expect_refusal({"plan", "--depth", "twelve"}, "'twelve' is not a depth");
  expect_refusal({"plan", "--depth", "4,,8"}, "'' is not a depth");
  expect_refusal({"plan", "--depth", "8..4"}, "below the first");
  expect_refusal({"plan", "--depth", "4..8:0"}, "'0' is not a depth");
  expect_refusal({"plan", "--depth", "99999999999999999999"}, "is not a depth");
  expect_refusal({"plan", "--gpu", "voodoo"}, "not in the table");
  expect_refusal({"plan", "--gpus", "3"}, "3 ranks");
  expect_refusal({"plan", "--gpus", "0"}, "devices is 0");
  expect_refusal({"plan", "--mfu", "2"}, "MFU");
  expect_refusal({"plan", "--mfu", "nan"}, "--mfu");
  expect_refusal({"plan", "--price", "-3"}, "--price");
  expect_refusal({"plan", "--memory-gib", "0"}, "--memory-gib");
  expect_refusal({"plan", "--gflops", "-5"}, "--gflops");
  expect_refusal({"plan", "--measure", "--gpu", "h100"}, "--measure");
  expect_refusal({"plan", "--device", "cpu", "--gpu", "h100"}, "--gpu h100");
  expect_refusal({"plan", "--device", "cpu", "--gpus", "2"}, "--gpus 2");
  expect_refusal({"plan", "--recipe", "baroque"}, "--recipe");
  expect_refusal({"plan", "--total-batch-size", "1000"}, "multiple");
  expect_refusal({"plan", "--window-pattern", "SXL", "--recipe", "modern"}, "'SXL'");
  expect_refusal({"plan", "--target-param-data-ratio", "-1"}, "no length");
  expect_refusal({"plan", "--vocab-size", "0"}, "the vocabulary is 0");
  expect_refusal({"plan", "--total-batch-size", "0"}, "the total batch, in tokens, is 0");
}

TEST(PlanCommand, AnUnlistedGpuNeedsItsFigures) {
  const json result =
      plan_json({"--depth", "4", "--gpu", "voodoo 2", "--gflops", "100000", "--memory-gib", "12"});
  EXPECT_EQ(result.at("device").at("name"), "voodoo 2");
  EXPECT_EQ(result.at("device").at("peak_flops"), 1e14);
}

}  // namespace
}  // namespace nanochat
