// The sums of train/memory_plan.h against the bytes that training really takes.
#include "train/memory_plan.h"

#include <gtest/gtest.h>

#include "core/arena.h"
#include "core/parallel.h"
#include "model/gpt.h"
#include "optim/classic.h"

namespace nanochat {
namespace {

struct Taken {
  int64_t weights = 0, gradients = 0, optimizer_state = 0, kept = 0, peak = 0;
};

Taken train_one_step(const GptConfig& config, const MemoryOptions& options) {
  set_num_threads(1);
  Backend& backend = cpu_backend();
  Gpt model(config, backend,
            {.dtype = options.dtype, .activation_checkpointing = options.activation_checkpointing});
  model.init_weights(1);
  ClassicOptimizer optimizer(backend, model.parameters(), {.n_embd = config.n_embd});
  const int64_t N = options.device_batch_size * config.sequence_len;
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns::uniform(options.device_batch_size, config.sequence_len)};
  for (int64_t n = 0; n < N; ++n) {
    batch.ids.data<int32_t>()[n] = static_cast<int32_t>(n % config.vocab_size);
    batch.targets.data<int32_t>()[n] = static_cast<int32_t>((n + 1) % config.vocab_size);
  }
  set_mean_weights(batch);
  Arena arena;
  Tape tape(backend, arena);
  const RecordingScope on(tape, true);
  Taken taken;
  taken.weights = model.weight_bytes();
  taken.gradients = model.grad_bytes();
  { const LossResult loss = model.loss(tape, batch); }
  taken.kept = arena.in_use_bytes();
  tape.backward();
  tape.clear();
  optimizer.step(0, 1);
  taken.optimizer_state = optimizer.state_bytes() + optimizer.muon.scratch_bytes();
  taken.peak = arena.peak_bytes();
  return taken;
}

void expect_planned(const GptConfig& config, const MemoryOptions& options) {
  const Taken taken = train_one_step(config, options);
  const MemoryPlan plan = classic_memory(config, options);
  EXPECT_EQ(plan.weights, taken.weights);
  EXPECT_EQ(plan.gradients, taken.gradients);
  EXPECT_NEAR(static_cast<double>(plan.optimizer_state), static_cast<double>(taken.optimizer_state),
              1024);  // norms, alignment
  // Backward begins with what was kept and the gradient of the hidden states.
  const int64_t N = options.device_batch_size * config.sequence_len;
  const int64_t hidden = N * config.n_embd * size_of(options.dtype);
  const auto kept = static_cast<double>(taken.kept - hidden);
  EXPECT_NEAR(static_cast<double>(plan.activations), kept, 0.01 * kept);
  const auto peak = static_cast<double>(taken.peak);
  EXPECT_NEAR(static_cast<double>(plan.activations + plan.workspace), peak, 0.01 * peak);
}

GptConfig small(int64_t n_layer, int64_t vocab_size, int64_t sequence_len) {
  GptConfig config = GptConfig::from_depth(2, vocab_size, sequence_len);
  config.n_layer = n_layer;
  return config;
}

TEST(MemoryPlanTest, TrainingTakesWhatIsPlannedWhenTheLogitsAreLarge) {
  expect_planned(small(2, 4096, 64), {.device_batch_size = 4});
}

TEST(MemoryPlanTest, TrainingTakesWhatIsPlannedWhenBackwardIsLarge) {
  expect_planned(small(3, 64, 96), {.device_batch_size = 6});
}

TEST(MemoryPlanTest, TrainingTakesWhatIsPlannedWithCheckpointing) {
  expect_planned(small(4, 64, 128), {.device_batch_size = 4, .activation_checkpointing = true});
  expect_planned(small(4, 4096, 32), {.device_batch_size = 2, .activation_checkpointing = true});
}

TEST(MemoryPlanTest, TrainingTakesWhatIsPlannedInBf16) {
  expect_planned(small(2, 128, 64), {.dtype = DType::kBf16, .device_batch_size = 4});
}

TEST(MemoryPlanTest, TrainingTakesWhatIsPlannedWithGroupedQueriesAndPadding) {
  GptConfig config = small(2, 100, 64);
  config.n_head = 4;
  config.n_kv_head = 1;
  expect_planned(config, {.device_batch_size = 4});
}

TEST(MemoryPlanTest, DevicesShareTheOptimizersStateAndNothingElse) {
  const GptConfig config = GptConfig::from_depth(4, 4096, 64);
  const MemoryPlan one = classic_memory(config, {.world_size = 1});
  const MemoryPlan eight = classic_memory(config, {.world_size = 8});
  EXPECT_LT(eight.optimizer_state, one.optimizer_state);
  EXPECT_EQ(one.total() - one.optimizer_state, eight.total() - eight.optimizer_state);
}

TEST(MemoryPlanTest, ModernsValueEmbeddingsCount) {
  const ModernConfig config = ModernConfig::from_depth(4, 32768, 512);
  const MemoryPlan plan = modern_memory(config, {});
  EXPECT_EQ(plan.weights, 4 * config.num_params().total());
  EXPECT_EQ(plan.gradients, plan.weights);
  EXPECT_GT(plan.activations, classic_memory(GptConfig::from_depth(4, 32768, 512), {}).activations);
}

}  // namespace
}  // namespace nanochat
