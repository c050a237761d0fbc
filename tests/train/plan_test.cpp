#include "train/plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "train/gpu_table.h"
#include "train/plan_text.h"

namespace nanochat {
namespace {

PlanDevice h100(int64_t count = 1) {
  return {.name = "h100",
          .count = count,
          .peak_flops = 989e12,
          .memory_bytes = int64_t{80} << 30,
          .price_per_hour = 3};
}

std::string refusal(const PlanOptions& options, const PlanDevice& device = h100()) {
  try {
    static_cast<void>(make_plan(options, device));
  } catch (const UsageError& e) {
    return e.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(PlanTest, TimeAndCostFollowFromFlops) {
  const Plan one = make_plan({.depth = 20}, h100()), eight = make_plan({.depth = 20}, h100(8));
  EXPECT_DOUBLE_EQ(one.seconds, one.total_flops / (0.5 * 989e12));
  EXPECT_NEAR(one.seconds, 8 * eight.seconds, 1e-9 * one.seconds);
  EXPECT_NEAR(one.cost, eight.cost, 1e-9 * one.cost) << "dollars are for each device";
  EXPECT_NEAR(eight.cost, eight.seconds / 3600 * 3 * 8, 1e-9);
  PlanDevice unknown = h100();
  unknown.peak_flops = 0;
  EXPECT_EQ(make_plan({}, unknown).seconds, 0);
}

TEST(PlanTest, ShardsAreUpstreamsRuleOfThumb) {
  EXPECT_EQ(make_plan({.depth = 20}, h100(8)).shards, 216);  // speedrun: 54G characters
  // Modern's speedrun downloads 170 and a margin is in it.
  PlanOptions speedrun{.recipe = Recipe::kModern, .depth = 24, .device_batch_size = 16};
  speedrun.target_param_data_ratio = 8;
  EXPECT_NEAR(static_cast<double>(make_plan(speedrun, h100(8)).shards), 170, 3);
  const Plan too_long = make_plan({.depth = 32, .target_param_data_ratio = 200}, h100());
  EXPECT_EQ(too_long.shards, too_long.corpus.train_shards);
  EXPECT_NEAR(too_long.epochs, 3.96, 0.01);
}

TEST(PlanTest, TheLargestBatchFitsAndTheNextDoesNot) {
  const PlanOptions options{.depth = 26};
  const Plan p = make_plan(options, h100());
  ASSERT_EQ(p.largest_device_batch, 32);
  const auto fits = [&](int64_t batch) {
    PlanOptions o = options;
    o.device_batch_size = batch;
    return make_plan(o, h100()).fits;
  };
  EXPECT_TRUE(fits(32));
  EXPECT_FALSE(fits(64));
  EXPECT_GT(p.largest_device_batch_checkpointing, p.largest_device_batch);
  PlanDevice tiny = h100();
  tiny.memory_bytes = int64_t{1} << 30;
  EXPECT_EQ(make_plan(options, tiny).largest_device_batch, 0);
  EXPECT_FALSE(make_plan(options, tiny).fits);
  tiny.memory_bytes = 0;
  EXPECT_EQ(make_plan(options, tiny).largest_device_batch, -1);
}

TEST(PlanTest, OddDepthsAreThoseOfUpstream) {
  for (const int64_t depth : {1, 3, 7, 15, 31}) {
    EXPECT_EQ(refusal({.depth = depth}), "accepted") << depth;
  }
  EXPECT_EQ(refusal({.depth = 5}),
            "depth 5 gives 320 channels, which do not divide into 3 heads of about 128 each: "
            "choose depth 4 or 6 (every even one will do)");
  EXPECT_EQ(refusal({.recipe = Recipe::kModern, .depth = 5}), "accepted") << "it rounds up";
}

TEST(PlanTest, WhatMakesNoSenseIsRefused) {
  EXPECT_TRUE(contains(refusal({.depth = 0}), "depth is 0: expected 1 to 1024"));
  EXPECT_TRUE(contains(refusal({.vocab_size = -3}), "the vocabulary is -3"));
  EXPECT_TRUE(contains(refusal({.sequence_len = 0}), "the sequence length is 0"));
  EXPECT_TRUE(contains(refusal({.device_batch_size = 0}), "the device batch"));
  EXPECT_TRUE(contains(refusal({.device_batch_size = int64_t{1} << 60}), "the device batch"));
  EXPECT_TRUE(contains(refusal({.total_batch_size = 1000}), "not a positive multiple of 65536"));
  EXPECT_TRUE(contains(refusal({.total_batch_size = int64_t{1} << 60}), "the total batch"));
  EXPECT_TRUE(contains(refusal({.total_batch_size = 0}), "the total batch, in tokens, is 0"));
  EXPECT_TRUE(contains(refusal({.vocab_size = 0}), "the vocabulary is 0"));
  EXPECT_TRUE(contains(refusal({.target_param_data_ratio = 0}), "no length"));
  EXPECT_TRUE(
      contains(refusal({.recipe = Recipe::kModern, .target_param_data_ratio = 0}), "0 tokens"));
  EXPECT_TRUE(contains(refusal({.num_iterations = int64_t{1} << 62}), "at most 1e12"));
  EXPECT_TRUE(contains(refusal({.target_flops = 1e40}), "at most 1e12"));
  EXPECT_TRUE(contains(refusal({.target_param_data_ratio = -1}), "no length"));
  EXPECT_TRUE(contains(refusal({.target_param_data_ratio = 1e30}), "finite"));
  EXPECT_TRUE(contains(refusal({.chars_per_token = 0}), "characters per token"));
  EXPECT_TRUE(contains(refusal({}, h100(0)), "devices is 0"));
  EXPECT_TRUE(contains(refusal({}, h100(3)), "3 ranks"));
  PlanDevice device = h100();
  device.mfu = 1.5;
  EXPECT_TRUE(contains(refusal({}, device), "1.5"));
  EXPECT_TRUE(contains(refusal({.recipe = Recipe::kModern, .window_pattern = "XX"}), "'XX'"));
}

TEST(PlanTest, TheLargestPlanThereIsDoesNotOverflow) {
  for (const Recipe recipe : {Recipe::kClassic, Recipe::kModern}) {
    PlanOptions o{.recipe = recipe, .depth = 1024, .vocab_size = int64_t{1} << 24};
    o.sequence_len = int64_t{1} << 31;
    o.device_batch_size = 1;
    o.total_batch_size = int64_t{1} << 31;
    o.num_iterations = 1'000'000'000;
    const Plan p = make_plan(o, h100());
    EXPECT_GT(p.memory.activations, int64_t{1} << 60);
    EXPECT_GT(p.memory.total(), p.memory.activations);
    EXPECT_GT(p.total_tokens, 0);
    EXPECT_GT(p.flops_per_token, 0);
  }
}

TEST(GpuTableTest, NamesOfDriversAndOfPeopleAreFound) {
  const auto peak = [](const char* name) { return find_gpu(name).value_or(GpuSpec{}).peak_flops; };
  EXPECT_EQ(peak("NVIDIA H100 80GB HBM3"), 989e12);
  EXPECT_EQ(peak("NVIDIA H100 PCIe"), 756e12);
  EXPECT_EQ(peak("NVIDIA H100 NVL"), 835e12);
  EXPECT_EQ(peak("NVIDIA H200"), 989e12);
  EXPECT_EQ(peak("NVIDIA H200 NVL"), 836e12);
  EXPECT_EQ(peak("NVIDIA GB200"), 2.5e15);
  EXPECT_EQ(peak("NVIDIA B200"), 2.25e15);
  EXPECT_EQ(peak("NVIDIA A100-SXM4-40GB"), 312e12) << "not an a10 or an a40";
  EXPECT_EQ(peak("NVIDIA L40S"), 362e12) << "not an l4";
  EXPECT_EQ(peak("l40 s"), 362e12);
  EXPECT_EQ(peak("NVIDIA L4"), 121e12);
  EXPECT_EQ(peak("NVIDIA GeForce RTX 4090"), 165.2e12);
  EXPECT_EQ(peak("AMD Instinct MI250X"), 383e12);
  EXPECT_EQ(peak("GeForce 256"), 0);
  EXPECT_EQ(peak(""), 0);
  EXPECT_TRUE(contains(known_gpus(), "h100, h800"));
}

TEST(PlanTextTest, NumbersAreForPeople) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(560988160), "560,988,160");
  EXPECT_EQ(with_commas(-123456), "-123,456");
  EXPECT_EQ(duration(0.5), "0.5 s");
  EXPECT_EQ(duration(90), "1.5 min");
  EXPECT_EQ(duration(3600 * 3.86), "3.9 h");
  EXPECT_EQ(duration(86400 * 41), "41 days");
  EXPECT_EQ(duration(86400 * 365.25 * 12), "12 years");
  EXPECT_EQ(dollars(0.3), "$0.30");
  EXPECT_EQ(dollars(1234.4), "$1,234");
}

TEST(PlanTextTest, APlanSaysWhatDoesNotFitAndWhatWould) {
  const std::string text = plan_text(make_plan({.depth = 32}, h100(8)));
  EXPECT_TRUE(contains(text, "1,879,048,192")) << text;
  EXPECT_TRUE(contains(text, "does NOT fit in 80.0 GiB")) << text;
  EXPECT_TRUE(contains(text, "with --activation-checkpointing 32")) << text;
  EXPECT_TRUE(contains(text, "71,680")) << text;
}

TEST(PlanTextTest, TheTablesColumnsAreAligned) {
  std::vector<Plan> plans;
  for (const int64_t depth : {4, 32}) plans.push_back(make_plan({.depth = depth}, h100(8)));
  const std::string text = plan_table(plans);
  const auto line_with = [&](const std::string& start) {
    const size_t at = text.find(start);
    return text.substr(at, text.find('\n', at) - at);
  };
  const std::string header = line_with("depth  channels"), d32 = line_with("  d32");
  EXPECT_EQ(header.size(), d32.size()) << text;
  EXPECT_TRUE(contains(d32, "71,680")) << text;
  EXPECT_TRUE(contains(d32, "!")) << text;
  EXPECT_TRUE(contains(text, "! does not fit")) << text;
}

}  // namespace
}  // namespace nanochat
