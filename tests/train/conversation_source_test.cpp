#include "train/conversation_source.h"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/arena.h"
#include "core/parallel.h"
#include "support/random.h"
#include "train/toy_task.h"

namespace nanochat {
namespace {

using test::small_tokenizer;

/// Loss and gradients of a step, summed over its micro-batches.
struct StepSum {
  double loss = 0;
  std::map<std::string, std::vector<double>> grads;
  int64_t micro_batches = 0;
};

class ConversationSourceTest : public ::testing::Test {
 protected:
  ConversationSourceTest()
      : model_(test::chat_config(), reference_backend(), {.dtype = DType::kF64}) {
    set_num_threads(1);  // the models are too small for more
    uint64_t seed = 1;
    for (Parameter& p : model_.parameters()) {
      const Tensor x = test::random_normal(p.value.shape(), DType::kF64, seed++, 0.3);
      reference_backend().copy(x, p.value);
    }
    model_.refresh_compute_weights();
  }

  StepSum run(BatchSource& source) {
    StepSum sum;
    Tape tape(reference_backend(), memory_);
    model_.zero_grad();
    Batch batch;
    sum.micro_batches = source.begin_step(0);
    for (int64_t i = 0; i < sum.micro_batches; ++i) {
      source.next(batch);
      const RecordingScope on(tape, true);
      {
        const LossResult loss = model_.loss(tape, batch);
        sum.loss += loss.total.data<double>()[0];
      }
      tape.backward();
      tape.clear();
    }
    for (const Parameter& p : model_.parameters()) {
      const auto grad = p.grad.span<double>();
      sum.grads[p.name].assign(grad.begin(), grad.end());
    }
    return sum;
  }
  /// One row padded to the longest, as upstream lays them out: everything written by hand.
  double padded_mean_loss(const Task& task, int64_t n) {
    std::vector<RenderedConversation> rows;
    size_t longest = 0;
    for (int64_t i = 0; i < n; ++i) {
      rows.push_back(render_conversation(small_tokenizer(), task.example(i).conversation));
      longest = std::max(longest, rows.back().ids.size());
    }
    const auto T = static_cast<int64_t>(longest) - 1;
    Batch batch{Tensor({n * T}, DType::kI32), Tensor({n * T}, DType::kI32),
                Tensor({n * T}, DType::kF32), TokenRuns::uniform(n, T)};
    int64_t active = 0;
    for (int64_t r = 0; r < n; ++r) {
      const RenderedConversation& row = rows[static_cast<size_t>(r)];
      for (int64_t t = 0; t < T; ++t) {
        const auto k = static_cast<size_t>(t);
        const bool inside = k + 1 < row.ids.size();
        batch.ids.data<int32_t>()[r * T + t] = k < row.ids.size() ? row.ids[k] : 0;
        batch.targets.data<int32_t>()[r * T + t] =
            inside && row.mask[k + 1] != 0 ? row.ids[k + 1] : -1;
        active += inside && row.mask[k + 1] != 0;
      }
    }
    for (float& w : batch.weights.span<float>()) w = 1;
    Tape tape(reference_backend(), memory_);
    const RecordingScope off(tape, false);
    const LossResult loss = model_.loss(tape, batch);
    return loss.total.data<double>()[0] / static_cast<double>(active);
  }

  Arena memory_;
  Gpt model_;
  std::set<int64_t> sizes_;
};

TEST_F(ConversationSourceTest, TheLossOfAStepIsTheMeanOverItsSupervisedTokens) {
  const auto task = test::counting_task(12);
  ConversationSource source(*task, small_tokenizer(), {.sequence_len = 64}, 2, 12);
  const StepSum sum = run(source);
  EXPECT_GT(sum.micro_batches, 1);
  EXPECT_NEAR(sum.loss, padded_mean_loss(*task, 12), 1e-6);  // weights are f32
}

TEST_F(ConversationSourceTest, HowAStepIsCutIntoMicroBatchesChangesNothing) {
  const auto task = test::counting_task(12);
  for (const auto packing :
       {ConversationPacking::kRows, ConversationPacking::kBestFit, ConversationPacking::kStream}) {
    const ConversationRowsOptions options{.packing = packing, .sequence_len = 64};
    ConversationSource one(*task, small_tokenizer(), options, 12, 12);
    const StepSum a = run(one);
    for (const int64_t device_batch_size : {1, 3}) {
      ConversationSource several(*task, small_tokenizer(), options, device_batch_size, 12);
      const StepSum b = run(several);
      EXPECT_GT(b.micro_batches, a.micro_batches);
      EXPECT_NEAR(a.loss, b.loss, 1e-12);
      for (const auto& [name, grad] : a.grads) {
        for (size_t i = 0; i < grad.size(); ++i) ASSERT_NEAR(grad[i], b.grads.at(name)[i], 1e-12);
      }
    }
  }
}

TEST_F(ConversationSourceTest, AStepWithoutASupervisedTokenIsZeroAndNotNaN) {
  // The questions fill the rows, so that all of the answers is cut off. (Upstream: NaN.)
  const test::ToyTask task(
      std::vector<Conversation>(8, test::asked_and_answered(std::string(60, 'q'), "lost")));
  ConversationSource source(task, small_tokenizer(), {.sequence_len = 32}, 2, 8);
  const StepSum sum = run(source);
  EXPECT_EQ(source.supervised(), 0);
  EXPECT_EQ(sum.loss, 0);
  for (const auto& [name, grad] : sum.grads) {
    for (const double g : grad) ASSERT_EQ(g, 0) << name;
  }
}

TEST_F(ConversationSourceTest, AFullyMaskedMicroBatchLeavesTheOthersAsTheyAre) {
  std::vector<Conversation> conversations;
  for (int i = 0; i < 2; ++i) {
    conversations.push_back(test::asked_and_answered(std::string(60, 'q'), "lost"));
  }
  for (int i = 0; i < 2; ++i) conversations.push_back(test::asked_and_answered("q", "kept"));
  const test::ToyTask all(conversations);
  const test::ToyTask kept({conversations[2], conversations[3]});
  ConversationSource a(all, small_tokenizer(), {.sequence_len = 32}, 1, 4);
  ConversationSource b(kept, small_tokenizer(), {.sequence_len = 32}, 1, 2);
  const StepSum x = run(a), y = run(b);
  EXPECT_GT(y.loss, 0);
  EXPECT_NEAR(x.loss, y.loss, 1e-12);
}

TEST_F(ConversationSourceTest, BatchesComeInFewSizesAndCountRealTokensOnly) {
  const auto task = test::counting_task(200);
  ConversationSource source(*task, small_tokenizer(), {.sequence_len = 64}, 4, 9);
  int64_t expected = 0;
  Batch batch;
  for (int64_t step = 0; step < 20; ++step) {
    for (int64_t n = source.begin_step(step); n > 0; --n) {
      source.next(batch);
      sizes_.insert(batch.ids.numel());
    }
  }
  for (int64_t i = 0; i < 180; ++i) {
    expected +=
        std::ssize(render_conversation(small_tokenizer(), task->example(i).conversation).ids) - 1;
  }
  EXPECT_EQ(source.tokens(), expected);
  EXPECT_LE(sizes_.size(), 16);
  EXPECT_LE(*sizes_.rbegin(), 4 * 64);
}

TEST_F(ConversationSourceTest, AnEvaluationGoesOnceThroughAllOfThem) {
  const auto task = test::counting_task(50);
  ConversationSource source(*task, small_tokenizer(), {.sequence_len = 64, .epochs = 1}, 2, 16);
  Batch batch;
  int64_t targets = 0, expected = 0;
  while (source.try_next(batch)) {
    for (const int32_t t : std::as_const(batch.targets).span<int32_t>()) targets += t >= 0;
  }
  for (int64_t i = 0; i < 50; ++i) {
    expected +=
        supervised_tokens(render_conversation(small_tokenizer(), task->example(i).conversation));
  }
  EXPECT_EQ(targets, expected);
}

}  // namespace
}  // namespace nanochat
