#include "autograd/tape.h"

#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "core/arena.h"
#include "support/compare.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::random_normal;
using test::same_bits;

class TapeTest : public ::testing::Test {
 protected:
  Arena arena_;
  Tape tape_{reference_backend(), arena_};
};

Tensor filled(float value) { return tensor_of<float>(std::array{value, value, value}, {3}); }

TEST_F(TapeTest, RunsStepsNewestFirst) {
  std::string order;
  const RecordingScope on(tape_, true);
  tape_.record([&order](Tape&) { order += "a"; });
  tape_.record([&order](Tape&) { order += "b"; });
  tape_.backward();
  EXPECT_EQ(order, "ba");
  tape_.backward();
  EXPECT_EQ(order, "ba") << "a step runs once";
}

TEST_F(TapeTest, RecordsNothingWhenOff) {
  tape_.record([](Tape&) { ADD_FAILURE() << "recorded"; });
  EXPECT_LT(tape_.variable(filled(1)).slot, 0);
  tape_.backward();
}

TEST_F(TapeTest, GradientsAddUpAndSharedTensorsStayUntouched) {
  const RecordingScope on(tape_, true);
  const Var a = tape_.variable(filled(0)), b = tape_.variable(filled(0));
  const Tensor shared = filled(1);
  tape_.add_grad(a.slot, shared);
  tape_.add_grad(b.slot, shared);
  tape_.add_grad(a.slot, filled(2));
  tape_.add_grad(a.slot, shared);
  EXPECT_TRUE(same_bits(tape_.take_grad(a.slot), filled(4)));
  EXPECT_TRUE(same_bits(tape_.take_grad(b.slot), filled(1)));
  EXPECT_TRUE(same_bits(shared, filled(1)));
  EXPECT_FALSE(tape_.take_grad(a.slot)) << "taking empties the slot";
}

TEST_F(TapeTest, AStepFreesWhatItKeptAsSoonAsItHasRun) {
  const RecordingScope on(tape_, true);
  for (int i = 0; i < 4; ++i) {
    tape_.record([kept = tape_.empty({1000}, DType::kF32)](Tape&) {});
  }
  const int64_t full = arena_.in_use_bytes();
  int64_t before_last = -1;
  const Tape::Mark mark{1, 0};
  tape_.backward_to(mark);
  before_last = arena_.in_use_bytes();
  EXPECT_EQ(before_last, full / 4);
  tape_.clear();
  EXPECT_EQ(arena_.in_use_bytes(), 0) << "clear() destroys steps that never ran";
}

TEST_F(TapeTest, ManyStepsSpanManyChunks) {
  const RecordingScope on(tape_, true);
  int64_t sum = 0;
  for (int64_t i = 0; i < 5000; ++i) {
    tape_.record([&sum, i, pad = std::array<char, 100>{}](Tape&) { sum += i + pad[0]; });
  }
  tape_.backward();
  EXPECT_EQ(sum, 5000 * 4999 / 2);
}

TEST_F(TapeTest, CheckpointGivesTheSameBitsAndKeepsLess) {
  const int64_t N = 7, C = 6;
  Tensor w1 = random_normal({4 * C, C}, DType::kF32, 1),
         w2 = random_normal({C, 4 * C}, DType::kF32, 2);
  const Tensor x = random_normal({N, C}, DType::kF32, 3),
               dy = random_normal({N, C}, DType::kF32, 4);
  const auto run = [&](bool use_checkpoint, int64_t* kept_bytes) {
    Weight up{w1, zeros(w1.shape(), DType::kF32)}, down{w2, zeros(w2.shape(), DType::kF32)};
    const RecordingScope on(tape_, true);
    const auto block = [up, down](Tape& t, const Var& in) {
      return add(t, in, linear(t, linear_relu_squared(t, rms_norm(t, in, 1e-6F), up), down));
    };
    const Var input = tape_.variable(x);
    const int32_t out_slot =
        (use_checkpoint ? checkpoint(tape_, input, block) : block(tape_, input)).slot;
    *kept_bytes = arena_.in_use_bytes();
    tape_.add_grad(out_slot, dy);
    tape_.backward();
    Tensor dx = tape_.take_grad(input.slot).clone();
    tape_.clear();
    return std::array{dx, up.grad, down.grad};
  };
  int64_t kept_whole = 0, kept_checkpointed = 0;
  const auto whole = run(false, &kept_whole), checkpointed = run(true, &kept_checkpointed);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(same_bits(checkpointed[i], whole[i])) << i;
  EXPECT_LT(kept_checkpointed, kept_whole);
  EXPECT_GT(test::frobenius(whole[0], zeros(x.shape(), DType::kF32)), 1) << "gradients are not 0";
}

TEST_F(TapeTest, CheckpointsNest) {
  Tensor w = random_normal({5, 5}, DType::kF32, 1);
  const Tensor x = random_normal({3, 5}, DType::kF32, 2),
               dy = random_normal({3, 5}, DType::kF32, 3);
  const auto run = [&](bool nested) {
    Weight weight{w, zeros(w.shape(), DType::kF32)};
    const RecordingScope on(tape_, true);
    const auto inner = [weight](Tape& t, const Var& in) {
      return add(t, in, linear(t, rms_norm(t, in, 1e-6F), weight));
    };
    const auto outer = [&](Tape& t, const Var& in) {
      if (!nested) return inner(t, inner(t, in));
      return checkpoint(t, checkpoint(t, in, inner), inner);
    };
    const Var input = tape_.variable(x);
    tape_.add_grad((nested ? checkpoint(tape_, input, outer) : outer(tape_, input)).slot, dy);
    tape_.backward();
    Tensor dx = tape_.take_grad(input.slot).clone();
    tape_.clear();
    return std::array{dx, weight.grad};
  };
  const auto plain = run(false), nested = run(true);
  EXPECT_TRUE(same_bits(nested[0], plain[0]));
  EXPECT_TRUE(same_bits(nested[1], plain[1]));
}

}  // namespace
}  // namespace nanochat
