// labels: data
// CORE over the real files, with a model that knows nothing.
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

class CoreDataTest : public ::testing::Test {
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
