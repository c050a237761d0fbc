// labels: data slow
// All of CORE, with a model that knows nothing.
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "eval/core_files.h"

namespace nanochat {
namespace {

using CoreWholeDataTest = test::CoreFilesTest;

TEST_F(CoreWholeDataTest, AnUntrainedModelIsAsGoodAsChanceOnEveryTask) {
  const CoreResult result = evaluate({}, 500);
  EXPECT_EQ(result.tasks.size() + result.missing.size(), 22u);
  for (const EvalScore& score : result.tasks) {
    fmt::print("{:<35} {:.4f} {:+.4f}\n", score.task, *score.accuracy(), *score.centered());
    const double error =
        std::sqrt(score.baseline * (1 - score.baseline) / static_cast<double>(score.total));
    // Some tasks' baseline is not that of guessing evenly: what the file says, it says.
    if (score.baseline > 0 && score.baseline < 0.4) {
      EXPECT_NEAR(*score.accuracy(), score.baseline, 4 * error + 0.01) << score.task;
    }
  }
  EXPECT_NEAR(*result.metric(), 0, 0.05);
}

}  // namespace
}  // namespace nanochat
