// labels: data
// CORE over the real files, with a model that knows nothing.
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "eval/core_files.h"

namespace nanochat {
namespace {

using CoreDataTest = test::CoreFilesTest;

TEST_F(CoreDataTest, AnUntrainedModelIsAsGoodAsChance) {
  const CoreResult result = evaluate(
      {"copa", "openbook_qa", "winograd", "bigbench_operators", "bigbench_repeat_copy_logic"}, 250);
  ASSERT_EQ(result.tasks.size(), 5u);
  for (const EvalScore& score : result.tasks) {
    const double error =
        std::sqrt(score.baseline * (1 - score.baseline) / static_cast<double>(score.total));
    EXPECT_NEAR(*score.accuracy(), score.baseline, 3.5 * error + 0.01) << score.task;
  }
  EXPECT_NEAR(*result.metric(), 0, 0.06);
}

TEST_F(CoreDataTest, ATaskWithoutItsFileIsNamed) {
  const CoreResult result = evaluate({"coqa", "copa"}, 5);
  EXPECT_EQ(result.missing, std::vector<std::string>{"coqa"});
  EXPECT_EQ(result.tasks.size(), 1u);
}

}  // namespace
}  // namespace nanochat
