#include "train/rollout_source.h"

#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/parallel.h"
#include "engine/tools/calculator.h"
#include "support/random.h"
#include "support/refusal.h"
#include "train/toy_task.h"

namespace nanochat {
namespace {

using test::small_tokenizer;

/// Two questions with three answers each, with forced tokens and stops here and there.
std::vector<RolloutGroup> groups() {
  return {{.prompt = {1, 2, 3},
           .rollouts = {{.ids = {4, 5, 6, 7}, .sampled = {1, 0, 0, 1}},
                        {.ids = {8}, .sampled = {1}, .has_stop = true},
                        {.ids = {9, 10}, .sampled = {1, 1}}},
           .rewards = {1, 0, 0.25}},
          {.prompt = {11},
           .rollouts = {{.ids = {12, 13}, .sampled = {1, 1}},
                        {.ids = {14, 15, 16}, .sampled = {1, 1, 1}},
                        {.ids = {17}, .sampled = {1}}},
           .rewards = {0, 1, 1}}};
}

class PolicyLossTest : public ::testing::Test {
 protected:
  PolicyLossTest() : model_(test::chat_config(), reference_backend(), {.dtype = DType::kF64}) {
    set_num_threads(1);  // the models are too small for more
    uint64_t seed = 1;
    for (Parameter& p : model_.parameters()) {
      const Tensor x = test::random_normal(p.value.shape(), DType::kF64, seed++, 0.3);
      reference_backend().copy(x, p.value);
    }
    model_.refresh_compute_weights();
  }

  /// log p of every token of `ids` but the first, given those before it.
  std::vector<double> log_probabilities(const std::vector<int32_t>& ids) {
    Tape tape(reference_backend(), memory_);
    const RecordingScope off(tape, false);
    const int64_t n = std::ssize(ids) - 1;
    const TokenRuns runs = TokenRuns::uniform(1, n);
    const Tensor inputs = tensor_of(std::span(ids).first(static_cast<size_t>(n)), {n});
    const Tensor logits = model_.logits(tape, model_.forward(tape, inputs, runs).value);
    std::vector<double> result;
    for (int64_t t = 0; t < n; ++t) {
      const double* z = logits.data<double>() + t * logits.dim(1);
      double sum = 0;
      for (int64_t v = 0; v < logits.dim(1); ++v) sum += std::exp(z[v]);
      result.push_back(z[ids[static_cast<size_t>(t) + 1]] - std::log(sum));
    }
    return result;
  }
  /// As the comment of policy_rows says it.
  double objective() {
    double total = 0;
    for (const RolloutGroup& g : groups()) {
      double sum = 0, sampled = 0;
      const double mean = std::accumulate(g.rewards.begin(), g.rewards.end(), 0.0) / 3;
      for (size_t b = 0; b < 3; ++b) {
        std::vector<int32_t> ids = g.prompt;
        const Rollout& r = g.rollouts[b];
        ids.insert(ids.end(), r.ids.begin(), r.ids.end());
        const std::vector<double> logp = log_probabilities(ids);
        for (size_t t = 0; t < r.ids.size(); ++t) {
          if (r.sampled[t] == 0) continue;
          sum += (g.rewards[b] - mean) * logp[g.prompt.size() - 1 + t];
          ++sampled;
        }
      }
      total += sum / sampled / 2;
    }
    return total;
  }
  double loss_of_rows(bool with_gradient, int64_t device_batch_size = 8) {
    RowBatches batches(device_batch_size, 8);
    const std::vector<RolloutGroup> g = groups();
    const int64_t n = batches.assign(policy_rows(g));
    Tape tape(reference_backend(), memory_);
    model_.zero_grad();
    double loss = 0;
    Batch batch;
    for (int64_t i = 0; i < n; ++i) {
      batches.next(batch);
      const RecordingScope on(tape, with_gradient);
      {
        const LossResult result = model_.loss(tape, batch);
        loss += result.total.data<double>()[0];
      }
      if (with_gradient) tape.backward();
      tape.clear();
    }
    return loss;
  }

  Arena memory_;
  Gpt model_;
};

TEST_F(PolicyLossTest, IsMinusThePlainlyComputedObjective) {
  EXPECT_NEAR(loss_of_rows(false), -objective(), 1e-7);  // weights are f32
  EXPECT_NEAR(loss_of_rows(false, 1), -objective(), 1e-7);
  EXPECT_GT(std::abs(objective()), 1e-3);
}

TEST_F(PolicyLossTest, ItsGradientIsThatOfFiniteDifferences) {
  static_cast<void>(loss_of_rows(true));
  std::map<std::string, std::vector<double>> grads;
  for (const Parameter& p : model_.parameters()) {
    const auto grad = p.grad.span<double>();
    grads[p.name].assign(grad.begin(), grad.end());
  }
  constexpr double kStep = 1e-5;
  double largest = 0;
  for (Parameter& p : model_.parameters()) {
    const int64_t columns = p.columns;
    // Rows of wte and lm_head that take part, and elsewhere some elements.
    for (const int64_t i : {4 * columns + 1, 9 * columns + 2, 13 * columns + 3}) {
      double& x = p.value.data<double>()[i];
      const double before = x;
      x = before + kStep;
      const double up = -objective();
      x = before - kStep;
      const double down = -objective();
      x = before;
      const double expected = (up - down) / (2 * kStep);
      largest = std::max(largest, std::abs(expected));
      EXPECT_NEAR(grads[p.name][static_cast<size_t>(i)], expected, 1e-6 + 1e-5 * std::abs(expected))
          << p.name << " " << i;
    }
  }
  EXPECT_GT(largest, 1e-3);
}

TEST(PolicyRows, LeaveOutPromptsAndToolResultsAndAnswersWithoutAdvantage) {
  std::vector<RolloutGroup> g = groups();
  std::vector<TrainRow> rows = policy_rows(g);
  ASSERT_EQ(rows.size(), 6);
  EXPECT_EQ(rows[0].tokens.ids, (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(rows[0].tokens.mask, (std::vector<uint8_t>{0, 0, 0, 1, 0, 0, 1}));
  EXPECT_EQ(rows[1].tokens.mask, (std::vector<uint8_t>{0, 0, 0, 1}));  // the stop token
  const double mean = 1.25 / 3;
  EXPECT_NEAR(rows[0].weight, (1 - mean) / 5 / 2, 1e-15);
  EXPECT_NEAR(rows[1].weight, -mean / 5 / 2, 1e-15);
  g[0].rewards = {1, 1, 1};
  rows = policy_rows(g);
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[0].tokens.ids[0], 11);
  EXPECT_NEAR(rows[0].weight, -(2.0 / 3) / 6 / 2, 1e-15);  // the other question still counts
  g[1].rewards = {0, 0, 0};
  EXPECT_TRUE(policy_rows(g).empty());
}

TEST(PassAtK, IsTheShareOfDrawsWithARightOne) {
  EXPECT_EQ(pass_at_k(8, 0, 1), 0);
  EXPECT_EQ(pass_at_k(8, 8, 1), 1);
  EXPECT_DOUBLE_EQ(pass_at_k(8, 2, 1), 0.25);
  EXPECT_EQ(pass_at_k(8, 1, 8), 1);
  for (int64_t c = 0; c <= 6; ++c) {
    for (int64_t k = 1; k <= 6; ++k) {  // of all subsets of 6, those of k with one of the first c
      int subsets = 0, right = 0;
      for (unsigned s = 0; s < 64; ++s) {
        if (__builtin_popcount(s) != k) continue;
        ++subsets;
        right += (s & ((1U << c) - 1)) != 0;
      }
      EXPECT_NEAR(pass_at_k(6, c, k), static_cast<double>(right) / subsets, 1e-12) << c << " " << k;
    }
  }
}

class RolloutSourceTest : public ::testing::Test {
 protected:
  RolloutSourceTest() : model_(test::chat_config(), cpu_backend(), {.dtype = DType::kF32}) {
    set_num_threads(1);
    model_.init_weights(3);
  }
  static constexpr int64_t kRandomSamples = 6;
  RolloutOptions options_{.num_samples = kRandomSamples,
                          .max_new_tokens = 12,
                          .sampling = {.temperature = 1, .top_k = 0},
                          .tool = calculate};
  Gpt model_;
};

TEST_F(RolloutSourceTest, AnswersDependOnSeedStepQuestionAndSampleAlone) {
  const auto task =
      test::counting_task(10, [](int64_t, std::string_view text) { return text.size() % 2; });
  QuestionRunner runner(model_, small_tokenizer(), options_);
  RolloutOptions one_by_one = options_;
  one_by_one.slots = 1;
  QuestionRunner slow(model_, small_tokenizer(), one_by_one);
  RolloutSource a(runner, *task, 3, 4, 64, 7), b(slow, *task, 3, 4, 64, 7),
      c(runner, *task, 3, 4, 64, 8);
  const auto weights_of = [](RolloutSource& source, int64_t step) {
    std::vector<float> all;
    Batch batch;
    for (int64_t n = source.begin_step(step); n > 0; --n) {
      source.next(batch);
      for (const int32_t id : std::as_const(batch.ids).span<int32_t>())
        all.push_back(static_cast<float>(id));
      const auto w = std::as_const(batch.weights).span<float>();
      all.insert(all.end(), w.begin(), w.end());
    }
    return all;
  };
  const std::vector<float> first = weights_of(a, 0), second = weights_of(a, 1);
  EXPECT_FALSE(first.empty());
  EXPECT_NE(first, second);
  EXPECT_EQ(weights_of(b, 1), second);  // a new process at step 1, one answer at a time
  EXPECT_EQ(weights_of(b, 0), first);
  EXPECT_NE(weights_of(c, 0), first);
  EXPECT_EQ(a.stats().answers, 18);
}

TEST_F(RolloutSourceTest, EqualRewardsTeachNothing) {
  const auto task = test::counting_task(10, [](int64_t, std::string_view) { return 1; });
  QuestionRunner runner(model_, small_tokenizer(), options_);
  RolloutSource source(runner, *task, 3, 4, 64, 7);
  EXPECT_EQ(source.begin_step(0), 0);
  EXPECT_EQ(source.stats().useful, 0);
  EXPECT_EQ(source.stats().mean_reward, 1);
  EXPECT_EQ(source.stats().questions, 3);
}

TEST_F(RolloutSourceTest, QuestionsThatDoNotFitAreLeftOutAndCounted) {
  const test::ToyTask task(
      {test::asked_and_answered(std::string(80, 'q'), "a"), test::asked_and_answered("short", "a")},
      [](int64_t i, std::string_view text) {
        EXPECT_EQ(i, 1);  // the judge hears of the right question
        return text.empty() ? 0 : 1;
      });
  QuestionRunner runner(model_, small_tokenizer(), options_);
  runner.refresh();
  const std::vector<RolloutGroup> groups =
      runner.run(task, std::vector<int64_t>{0, 1}, std::vector<uint64_t>{1, 2}, options_);
  ASSERT_EQ(groups.size(), 1);
  EXPECT_EQ(groups[0].rollouts.size(), 6);
  EXPECT_EQ(runner.left_out(), 1);
}

TEST_F(RolloutSourceTest, WhatTheTaskThrowsComesOut) {
  const auto task = test::counting_task(
      2, [](int64_t, std::string_view) -> double { throw IoError("the judge is away"); });
  QuestionRunner runner(model_, small_tokenizer(), options_);
  RolloutSource source(runner, *task, 2, 4, 64, 7);
  EXPECT_SAYS(test::refusal<IoError>([&] { static_cast<void>(source.begin_step(0)); }),
              "the judge is away");
}

TEST_F(RolloutSourceTest, AnAnswerAsLongAsTheContextIsRefused) {
  options_.max_new_tokens = 63;
  EXPECT_SAYS(
      test::refusal<UsageError>([&] { QuestionRunner(model_, small_tokenizer(), options_); }),
      "--max-new-tokens 63");
}

}  // namespace
}  // namespace nanochat
