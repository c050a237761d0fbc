// labels: data slow
/// All of HumanEval, in the sandbox: half a minute.
#include <string>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/fixtures.h"
#include "tasks/registry.h"

namespace nanochat {
namespace {

TEST(HumanEvalSlow, EveryCanonicalSolutionPassesAndEveryEmptyBodyFails) {
  TaskPtr task;
  try {
    task =
        make_task("humaneval", {.base_dir = "/nowhere", .folders = {test::data_dir() / "tasks"}});
  } catch (const NotFoundError&) {
    GTEST_SKIP() << test::missing_data("tasks/humaneval");
  }
  EXPECT_GT(task->size(), 100);
  try {
    for (int64_t i = 0; i < task->size(); ++i) {
      const auto& messages = task->example(i).conversation.messages;
      const std::string prompt = std::get<std::string>(messages.front().content);
      const std::string solution = std::get<std::string>(messages.back().content);
      EXPECT_TRUE(task->evaluate(i, solution)) << solution;
      EXPECT_FALSE(task->evaluate(i, prompt + "\n    pass")) << prompt;
      EXPECT_FALSE(task->evaluate(i, prompt + "\n    return 'no'")) << prompt;
    }
  } catch (const DeviceError& e) {
    GTEST_SKIP() << "no sandbox here: " << e.what();
  }
}

}  // namespace
}  // namespace nanochat
