#include "report/speedrun_plan.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "report/section.h"

namespace nanochat {
namespace {

std::vector<std::string> names_of(const SpeedrunPlan& plan) {
  std::vector<std::string> names;
  for (const SpeedrunStage& stage : plan.stages) names.push_back(stage.name);
  return names;
}

std::string command_of(const SpeedrunPlan& plan, const std::string& name) {
  for (const SpeedrunStage& stage : plan.stages) {
    if (stage.name == name) return shell_text(stage.command);
  }
  ADD_FAILURE() << "no stage " << name;
  return "";
}

TEST(SpeedrunPlan, OfEveryPresetEndsWithTheReportAndNeedsOnlyWhatComesBefore) {
  std::vector<std::string> presets;
  for (const PresetInfo& preset : speedrun_presets()) {
    SCOPED_TRACE(preset.name);
    presets.emplace_back(preset.name);
    const SpeedrunPlan plan = make_speedrun_plan({.preset = std::string(preset.name), .rl = true});
    EXPECT_EQ(plan.stages.back().name, "report");
    std::set<std::string> before, sections;
    for (const SpeedrunStage& stage : plan.stages) {
      SCOPED_TRACE(stage.name);
      for (const std::string& need : stage.needs) EXPECT_TRUE(before.contains(need)) << need;
      EXPECT_TRUE(before.insert(stage.name).second) << "twice";
      if (!stage.section.empty()) {
        EXPECT_NE(find_section_info(stage.section), nullptr) << stage.section;
        EXPECT_TRUE(sections.insert(stage.section).second) << stage.section;
      }
      for (const std::string& word : stage.command) {
        EXPECT_EQ(word.find("{tag}"), std::string::npos) << word;
        EXPECT_EQ(word.find("{data}"), std::string::npos) << word;
        EXPECT_EQ(word.find('"'), std::string::npos) << word;
      }
      EXPECT_EQ(stage.trains, stage.command[0] == "train");
      if (!stage.trains) continue;
      EXPECT_EQ(stage.output, fmt::format("runs/{}/{}", stage.name, preset.name));
      EXPECT_TRUE(stage.tokens > 0 || stage.name == "base");
    }
    EXPECT_GT(make_plan(plan.base, {.name = "h100", .count = 1}).num_iterations, 0);
  }
  EXPECT_EQ(presets, (std::vector<std::string>{"tiny", "cpu", "d20", "d26", "d32", "chinese"}));
}

TEST(SpeedrunPlan, TinyGoesThroughReinforcementLearningWithoutANetwork) {
  const SpeedrunPlan plan = make_speedrun_plan({});
  EXPECT_EQ(names_of(plan),
            (std::vector<std::string>{"data", "tokenizer", "tok-eval", "base", "eval-loss", "mid",
                                      "eval-mid", "sft", "eval-sft", "rl", "eval-rl", "report"}));
  for (const SpeedrunStage& stage : plan.stages) {
    EXPECT_EQ(std::ranges::count(stage.command, "download"), 0) << stage.name;
  }
  EXPECT_EQ(plan.chat_model, "rl:tiny");
  EXPECT_EQ(plan.stages[0].output, "data/synth");
  EXPECT_FALSE(plan.for_gpu);
}

TEST(SpeedrunPlan, TheGpuPresetsHaveUpstreamsSizes) {
  struct Expected {
    const char *preset, *shards, *chars;
    int64_t depth, device_batch, iterations;
  };
  for (const Expected& e : {Expected{"d20", "240", "2000000000", 20, 32, 21400},
                            Expected{"d26", "450", "2000000000", 26, 16, 0},
                            Expected{"d32", "800", "4000000000", 32, 8, 71680}}) {
    SCOPED_TRACE(e.preset);
    const SpeedrunPlan plan = make_speedrun_plan({.preset = e.preset});
    EXPECT_EQ(command_of(plan, "data"),
              fmt::format("data download fineweb-edu-100b -n {}", e.shards));
    EXPECT_NE(command_of(plan, "tokenizer").find(fmt::format("--max-chars {} ", e.chars)),
              std::string::npos);
    EXPECT_EQ(plan.base.depth, e.depth);
    EXPECT_EQ(plan.base.vocab_size, 65536);
    EXPECT_EQ(plan.base.device_batch_size, e.device_batch);
    const Plan base = make_plan(plan.base, {.name = "h100", .count = 8});
    EXPECT_EQ(base.total_batch_size, 524288);
    EXPECT_TRUE(e.iterations == 0 || base.num_iterations == e.iterations) << base.num_iterations;
    EXPECT_TRUE(plan.for_gpu);
    EXPECT_EQ(std::ranges::count(names_of(plan), "rl"), 0) << "upstream leaves it out";
    EXPECT_EQ(plan.chat_model, fmt::format("sft:{}", e.preset));
    const std::vector<std::string> with_rl =
        names_of(make_speedrun_plan({.preset = e.preset, .rl = true}));
    EXPECT_EQ(std::ranges::count(with_rl, "rl"), 1);
  }
}

TEST(SpeedrunPlan, OnesOwnTextsTakeThePlaceOfThePresets) {
  const SpeedrunPlan plan = make_speedrun_plan({.preset = "chinese", .data = {"a b.txt", "c"}});
  EXPECT_EQ(plan.stages.front().name, "tokenizer");
  EXPECT_TRUE(plan.stages.front().needs.empty());
  EXPECT_NE(command_of(plan, "base").find("--data 'a b.txt' c --depth"), std::string::npos);
}

TEST(SpeedrunPlan, AnUnknownPresetIsRefusedWithThoseThereAre) {
  try {
    static_cast<void>(make_speedrun_plan({.preset = "d21"}));
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("tiny, cpu, d20"), std::string::npos) << e.what();
  }
}

TEST(ShellText, QuotesWhatAShellWouldTakeApart) {
  const std::vector<std::string> words{"train", "Once upon", "identity*2", "it's", "", "从前"};
  EXPECT_EQ(shell_text(words), R"(train 'Once upon' 'identity*2' 'it'\''s' '' 从前)");
}

}  // namespace
}  // namespace nanochat
