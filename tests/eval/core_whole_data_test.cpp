// labels: data slow
// All of CORE, with a model that knows nothing.
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/small_model.h"
#include "eval/core.h"
#include "support/backends.h"
#include "support/fixtures.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

class CoreWholeDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) GTEST_SKIP() << test::missing_data("core");
  }
  CoreResult evaluate(const std::vector<std::string>& labels, int64_t max_per_task) {
    // Texts are many tokens of this vocabulary: only their ends are looked at.
    return evaluate_core(*model_, tokenizer_, select_core_tasks(read_core_tasks(folder_), labels),
                         {.max_per_task = max_per_task, .max_tokens = 256});
  }

  const std::filesystem::path folder_ = test::data_dir() / "core";
  const Tokenizer tokenizer_{test::small_vocabulary()};
  std::unique_ptr<Gpt> model_ =
      test::random_model(test::small_config(), cpu_backend(), DType::kF32, WeightFormat::kBf16);
};

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
