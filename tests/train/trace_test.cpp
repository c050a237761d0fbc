#include "train/trace.h"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/arena.h"
#include "core/file.h"
#include "support/temporary_folder.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// What chrome://tracing and Perfetto ask of an array of complete events.
void expect_chrome_trace(const Json& trace) {
  ASSERT_TRUE(trace.is_array());
  for (const Json& event : trace) {
    SCOPED_TRACE(event.dump());
    ASSERT_TRUE(event.is_object());
    ASSERT_TRUE(event["name"].is_string());
    ASSERT_TRUE(event["ph"].is_string());
    ASSERT_TRUE(event["pid"].is_number_integer());
    ASSERT_TRUE(event["tid"].is_number_integer());
    ASSERT_TRUE(!event.contains("args") || event["args"].is_object());
    if (event["ph"] == "M") continue;
    ASSERT_EQ(event["ph"], "X");
    ASSERT_TRUE(event["cat"].is_string());
    ASSERT_TRUE(event["ts"].is_number());
    ASSERT_TRUE(event["dur"].is_number());
    ASSERT_GE(event["ts"].get<double>(), 0);
    ASSERT_GE(event["dur"].get<double>(), 0);
  }
}

TEST(Trace, IsSortedByBeginInMicrosecondsWithTheOuterEventFirst) {
  const Trace::Clock::time_point t{};
  Trace trace;
  trace.add(
      {.name = "inner \"quoted\"", .category = "operation", .begin = t + 5us, .end = t + 6us});
  trace.add({.name = "second",
             .category = "phase",
             .begin = t + 7us,
             .end = t + 9500ns,
             .detail = "[2, 3]"});
  trace.add({.name = "outer", .category = "phase", .begin = t + 5us, .end = t + 7us});
  const Json json = Json::parse(trace.to_json());
  expect_chrome_trace(json);
  ASSERT_EQ(json.size(), 4U);
  EXPECT_EQ(json[0]["args"]["name"], "nanochat");
  EXPECT_EQ(json[1]["name"], "outer");
  EXPECT_EQ(json[1]["ts"], 0.0);
  EXPECT_EQ(json[1]["dur"], 2.0);
  EXPECT_EQ(json[2]["name"], "inner \"quoted\"");
  EXPECT_EQ(json[3]["ts"], 2.0);
  EXPECT_EQ(json[3]["dur"], 2.5);
  EXPECT_EQ(json[3]["args"]["detail"], "[2, 3]");
}

TEST(Trace, WithoutEventsIsStillOne) { expect_chrome_trace(Json::parse(Trace().to_json())); }

/// One training step of a small model on the profiler's backend.
class ProfiledRun {
 public:
  explicit ProfiledRun(StepProfiler& profiler)
      : profiler_(profiler),
        model_(test::small_config(), profiler.backend()),
        tape_(profiler.backend(), arena_) {
    model_.init_weights(1);
    const std::vector<int32_t> ids{1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<float> weights(8, 0.125F);
    batch_.ids = tensor_of<int32_t>(ids, {8});
    batch_.targets = tensor_of<int32_t>(ids, {8});
    batch_.weights = tensor_of<float>(weights, {8});
    batch_.runs = TokenRuns::uniform(1, 8);
  }
  bool step(int64_t i) {
    profiler_.begin_step(i);
    profiler_.begin_phase("forward");
    const RecordingScope on(tape_, true);
    { const LossResult loss = model_.loss(tape_, batch_); }
    profiler_.begin_phase("backward");
    tape_.backward();
    tape_.clear();
    return profiler_.end_step();
  }

 private:
  StepProfiler& profiler_;
  Gpt model_;
  Arena arena_;
  Tape tape_;
  Batch batch_;
};

TEST(StepProfiler, RecordsTheWantedStepsWithTheirPhasesAndOperations) {
  const test::TemporaryFolder temporary;
  StepProfiler profiler(cpu_backend(), temporary / "trace.json", {.skip_steps = 1, .n_steps = 2});
  ProfiledRun run(profiler);
  EXPECT_FALSE(run.step(10));
  EXPECT_FALSE(run.step(11));
  EXPECT_FALSE(std::filesystem::exists(profiler.file()));
  EXPECT_TRUE(run.step(12)) << "the last one writes";
  EXPECT_FALSE(run.step(13));
  EXPECT_FALSE(profiler.finish()) << "nothing is left to write";

  const Json trace = Json::parse(read_file(profiler.file(), 1 << 20));
  expect_chrome_trace(trace);
  std::map<std::string, int> n;
  const Json* outer = nullptr;
  for (const Json& event : trace) {
    if (event["ph"] == "M") continue;
    ++n[event["cat"].get<std::string>() + " " + event["name"].get<std::string>()];
    if (event["cat"] == "step") outer = &event;
    // Everything lies within its step, up to the rounding of the text.
    ASSERT_NE(outer, nullptr);
    const double begin = (*outer)["ts"], end = begin + (*outer)["dur"].get<double>();
    EXPECT_GE(event["ts"].get<double>(), begin - 0.01);
    EXPECT_LE(event["ts"].get<double>() + event["dur"].get<double>(), end + 0.01);
  }
  EXPECT_EQ(n["step step 11"], 1);
  EXPECT_EQ(n["step step 12"], 1);
  EXPECT_EQ(n.count("step step 10") + n.count("step step 13"), 0U);
  EXPECT_EQ(n["phase forward"], 2);
  EXPECT_EQ(n["phase backward"], 2);
  EXPECT_EQ(n["operation attention"], 2);
  EXPECT_EQ(n["operation attention_backward"], 2);
  EXPECT_GT(n["operation matmul"], 8);
}

TEST(StepProfiler, ARunThatEndsEarlyStillGetsItsTrace) {
  const test::TemporaryFolder temporary;
  StepProfiler profiler(cpu_backend(), temporary / "trace.json", {.skip_steps = 0, .n_steps = 5});
  ProfiledRun run(profiler);
  EXPECT_FALSE(run.step(0));
  EXPECT_TRUE(profiler.finish());
  expect_chrome_trace(Json::parse(read_file(profiler.file(), 1 << 20)));
}

}  // namespace
}  // namespace nanochat
