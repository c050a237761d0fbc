#include "eval/core.h"

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/small_model.h"
#include "eval/core_bundle.h"
#include "support/backends.h"
#include "support/refusal.h"
#include "tokenizer/small_vocabulary.h"

namespace nanochat {
namespace {

class CoreTest : public ::testing::Test {
 protected:
  using Record = std::tuple<std::string, int64_t, std::string, bool, int64_t, std::vector<double>,
                            std::vector<int32_t>>;
  CoreResult evaluate(CoreOptions options = {}, std::vector<Record>* records = nullptr) {
    options.on_record = [&](const CoreRecord& r) {
      if (records == nullptr) return;
      records->push_back(
          {r.task->label, r.index, r.place, r.correct, r.predicted, r.losses, r.answer});
    };
    return evaluate_core(*model_, tokenizer_, read_core_tasks(bundle_.path()), options);
  }

  const test::CoreBundle bundle_;
  const Tokenizer tokenizer_{test::small_vocabulary()};
  std::unique_ptr<Gpt> model_ =
      test::random_model(test::small_config(), cpu_backend(), DType::kF32, WeightFormat::kBf16);
};

TEST_F(CoreTest, TheBatchChangesNoBit) {
  std::vector<Record> expected;
  const CoreResult result = evaluate({.scoring = {.reuse_prefixes = false}}, &expected);
  EXPECT_EQ(expected.size(), 36u);
  for (const int64_t block : {1, 5, 100}) {
    for (const int64_t slots : {1, 4, 32}) {
      std::vector<Record> records;
      const CoreResult other = evaluate(
          {.block_examples = block, .scoring = {.slots = slots, .batch_tokens = 100}}, &records);
      EXPECT_EQ(records, expected) << block << " examples, " << slots << " slots";
      EXPECT_EQ(other.metric(), result.metric());
    }
  }
}

TEST_F(CoreTest, TheChoicesOfAQuestionShareItsBeginning) {
  const CoreTask task = read_core_tasks(bundle_.path())[0];
  SequenceScorer scorer(*model_);
  static_cast<void>(evaluate_core_task(scorer, tokenizer_, task, read_core_examples(task), {}));
  EXPECT_LT(3 * scorer.stats().computed, scorer.stats().tokens);
}

TEST_F(CoreTest, SharesOfSeveralProcessesAddUp) {
  std::vector<Record> whole;
  const CoreResult result = evaluate({.max_per_task = 10}, &whole);
  std::vector<Record> parts;
  std::vector<EvalScore> sums(3);
  for (int64_t rank = 0; rank < 3; ++rank) {
    const CoreResult part = evaluate({.max_per_task = 10, .rank = rank, .world_size = 3}, &parts);
    for (size_t t = 0; t < 3; ++t) {
      sums[t].correct += part.tasks[t].correct;
      sums[t].total += part.tasks[t].total;
    }
  }
  for (size_t t = 0; t < 3; ++t) {
    EXPECT_EQ(sums[t].correct, result.tasks[t].correct);
    EXPECT_EQ(sums[t].total, 10);
  }
  std::ranges::sort(whole);
  std::ranges::sort(parts);
  EXPECT_EQ(parts, whole);
}

TEST_F(CoreTest, ATaskWhoseFileIsMissingIsNamedAndDoesNotCount) {
  const CoreResult result = evaluate();
  EXPECT_EQ(result.missing, std::vector<std::string>{"lost"});
  ASSERT_EQ(result.tasks.size(), 3u);
  double sum = 0;
  for (const EvalScore& score : result.tasks) sum += *score.centered();
  EXPECT_DOUBLE_EQ(*result.metric(), sum / 3);
}

TEST_F(CoreTest, NothingToDoIsNoNumber) {
  const CoreResult result = evaluate_core(*model_, tokenizer_, {}, {});
  EXPECT_EQ(result.metric(), std::nullopt);
  bundle_.write("eval_data/numbers/sums.jsonl", "\n");
  const CoreTask task = read_core_tasks(bundle_.path())[0];
  const CoreResult empty = evaluate_core(*model_, tokenizer_, {&task, 1}, {});
  EXPECT_EQ(empty.tasks[0].accuracy(), std::nullopt);
  EXPECT_EQ(empty.metric(), std::nullopt);
  EXPECT_SAYS(core_csv(empty), "CORE");
}

TEST_F(CoreTest, TheTableIsUpstreams) {
  CoreResult result;
  result.tasks = {{.task = "sums", .baseline = 0.25, .correct = 1, .total = 2},
                  {.task = "rhymes", .baseline = 0, .correct = 1, .total = 3}};
  EXPECT_EQ(core_csv(result),
            "Task                               , Accuracy  , Centered  \n"
            "sums                               , 0.500000  , 0.333333  \n"
            "rhymes                             , 0.333333  , 0.333333  \n"
            "CORE                               ,           , 0.333333  \n");
}

TEST_F(CoreTest, TextsTooLongForTheModelLoseTheirFrontAndAreCounted) {
  const CoreResult result = evaluate({.max_tokens = 60});
  EXPECT_GT(result.cropped_examples, 0);
  EXPECT_LT(result.cropped_examples, 36);
  EXPECT_EQ(evaluate().cropped_examples, 0);
}

TEST_F(CoreTest, TheModelThatKnowsTheAnswerGetsIt) {
  // "th" is followed by "ing", surely; "in" by "the".
  const std::map<int32_t, int32_t> follows{{256, 260}, {259, 257}};
  model_ = test::bigram_model(follows, 272, cpu_backend());
  const CoreTask choose{
      .label = "choose",
      .file =
          bundle_.write("choose.jsonl", R"({"query": "th", "choices": ["e x", "ing"], "gold": 1})"
                                        "\n"
                                        R"({"query": "th", "choices": ["ing", "e x"], "gold": 1})"
                                        "\n"),
      .delimiter = ""};
  std::vector<CoreRecord> records;
  CoreOptions options{.on_record = [&](const CoreRecord& r) { records.push_back(r); }};
  CoreResult result = evaluate_core(*model_, tokenizer_, {&choose, 1}, options);
  EXPECT_EQ(result.tasks[0].total, 2);
  for (const CoreRecord& r : records) {
    EXPECT_EQ(r.correct, r.place.ends_with("choose.jsonl:1"));
    EXPECT_EQ(r.predicted, r.correct ? 1 : 0);
  }
}

TEST_F(CoreTest, BrokenWeightsAreAnErrorAndNoScore) {
  Gpt broken(test::small_config(), cpu_backend(), {.trainable = true});
  broken.init_weights(1);
  broken.parameter("lm_head.weight").value.data<float>()[0] =
      std::numeric_limits<float>::quiet_NaN();
  broken.refresh_compute_weights();
  const auto tasks = read_core_tasks(bundle_.path());
  EXPECT_THROW(static_cast<void>(evaluate_core(broken, tokenizer_, tasks)), NumericError);
}

}  // namespace
}  // namespace nanochat
