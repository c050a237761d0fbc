// labels: gpu
// Training and decoding of a small model on the GPU: two runs are one, the CPU's losses, and a run
// that moves from the CPU to the GPU and back.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/arena.h"
#include "core/rng.h"
#include "model/gpt.h"
#include "optim/classic.h"
#include "support/backends.h"
#include "support/compare.h"

namespace nanochat {
namespace {

using test::expect_close;
using test::same_bits;

/// Head size 64 takes the tensor-core kernels in bf16; grouped query heads, a window.
GptConfig small_config(int64_t window = -1) {
  GptConfig config = GptConfig::from_depth(3, 515, 192);
  config.n_embd = 256;
  config.n_head = 4;
  config.n_kv_head = 2;
  config.window = window;
  config.validate();
  return config;
}

/// Rows of different lengths, one target in ten ignored.
Batch batch_at(const GptConfig& config, int64_t step) {
  const std::vector<int32_t> lengths{192, 65, 1, 130};
  std::vector<Run> runs;
  int32_t N = 0;
  for (const int32_t length : lengths) {
    runs.push_back({.row_begin = N, .length = length});
    N += length;
  }
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns(runs, N)};
  const RandomStream random(5, RandomPurpose::kTest, static_cast<uint32_t>(step));
  for (int64_t n = 0; n < N; ++n) {
    const float u = random.uniform(2 * n);
    const auto vocab = static_cast<float>(config.vocab_size);
    batch.ids.data<int32_t>()[n] = static_cast<int32_t>(u * u * vocab);
    const bool ignored = random.uniform(2 * n + 1) < 0.1F;
    batch.targets.data<int32_t>()[n] =
        ignored ? -1 : static_cast<int32_t>((1 - u) * vocab * 0.999F);
  }
  set_mean_weights(batch);
  return batch;
}

/// All of an optimizer's state by name, on the host.
class StateCopy final : public StateVisitor {
 public:
  std::map<std::string, Tensor, std::less<>> tensors;
  std::map<std::string, int64_t, std::less<>> integers;
  std::map<std::string, double, std::less<>> reals;
  Backend* backend = nullptr;
  bool is_writing = false;

  void tensor(std::string_view name, Tensor& value) override {
    if (is_writing) {
      backend->copy(tensors.find(name)->second, value);
    } else {
      tensors.emplace(name, on_host(*backend, value).clone());
    }
  }
  void integer(std::string_view name, int64_t& value) override {
    if (is_writing) {
      value = integers.find(name)->second;
    } else {
      integers.emplace(name, value);
    }
  }
  void real(std::string_view name, double& value) override {
    if (is_writing) {
      value = reals.find(name)->second;
    } else {
      reals.emplace(name, value);
    }
  }
};

/// A model that trains on one backend.
class TrainingRun {
 public:
  TrainingRun(Backend& backend, const GptConfig& config, DType dtype)
      : backend_(backend),
        config_(config),
        model_(config, backend, {.dtype = dtype}),
        optimizer_(backend, model_.parameters(),
                   {.n_embd = config.n_embd, .newton_schulz = {.dtype = dtype}},
                   backend.allocator()),
        memory_(backend.reserve_addresses()),
        tape_(backend, memory_) {
    model_.init_weights(11);
  }

  double step(int64_t i) {
    const Batch batch = batch_at(config_, i);  // its runs are needed until backward
    model_.zero_grad();
    double loss = 0;
    {
      const RecordingScope on(tape_, true);
      const Tensor total = model_.loss(tape_, batch).total;
      loss = test::to_doubles(total)[0];
      tape_.backward();
    }
    tape_.clear();
    static_cast<void>(optimizer_.step(i, 1.0));
    model_.refresh_compute_weights();
    return loss;
  }
  std::vector<double> steps(int64_t begin, int64_t end) {
    std::vector<double> losses;
    for (int64_t i = begin; i < end; ++i) losses.push_back(step(i));
    return losses;
  }

  /// Takes weights and optimizer state of another, as a checkpoint brings them.
  void take(TrainingRun& other) {
    for (size_t i = 0; i < model_.parameters().size(); ++i) {
      const Tensor value = on_host(other.backend_, other.model_.parameters()[i].value);
      backend_.copy(value, model_.parameters()[i].value);
    }
    model_.refresh_compute_weights();
    StateCopy state;
    state.backend = &other.backend_;
    other.optimizer_.visit_state(state);
    state.backend = &backend_;
    state.is_writing = true;
    optimizer_.visit_state(state);
    backend_.synchronize();
  }
  Gpt& model() { return model_; }
  [[nodiscard]] int64_t extent() const { return memory_.extent_bytes(); }

 private:
  Backend& backend_;
  GptConfig config_;
  Gpt model_;
  ClassicOptimizer optimizer_;
  Arena memory_;
  Tape tape_;
};

class GpuTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override { NC_SKIP_WITHOUT("cuda"); }
  static Backend& gpu() { return cuda_backend(); }
};

TEST_F(GpuTrainingTest, TwoRunsHaveTheSameBits) {
  for (const DType dtype : {DType::kBf16, DType::kF32}) {
    SCOPED_TRACE(name_of(dtype));
    TrainingRun a(gpu(), small_config(), dtype), b(gpu(), small_config(), dtype);
    EXPECT_EQ(a.steps(0, 5), b.steps(0, 5));
    for (size_t i = 0; i < a.model().parameters().size(); ++i) {
      const Parameter& p = a.model().parameters()[i];
      EXPECT_TRUE(same_bits(p.value, b.model().parameters()[i].value)) << p.name;
    }
  }
}

TEST_F(GpuTrainingTest, LossesFollowTheCpus) {
  for (const int64_t window : {-1, 40}) {
    TrainingRun cpu(cpu_backend(), small_config(window), DType::kF32);
    TrainingRun f32(gpu(), small_config(window), DType::kF32);
    TrainingRun bf16(gpu(), small_config(window), DType::kBf16);
    const std::vector<double> expected = cpu.steps(0, 6), wide = f32.steps(0, 6),
                              narrow = bf16.steps(0, 6);
    EXPECT_NE(expected.back(), expected.front());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(wide[i], expected[i], 1e-3 * expected[i]) << "step " << i;
      EXPECT_NEAR(narrow[i], expected[i], 3e-2 * expected[i]) << "step " << i;
    }
  }
}

TEST_F(GpuTrainingTest, ARunMovesFromTheCpuToTheGpuAndBack) {
  const GptConfig config = small_config();
  TrainingRun all(cpu_backend(), config, DType::kF32);
  const std::vector<double> expected = all.steps(0, 9);
  TrainingRun first(cpu_backend(), config, DType::kF32), second(gpu(), config, DType::kF32),
      third(cpu_backend(), config, DType::kF32);
  std::vector<double> losses = first.steps(0, 3);
  second.take(first);
  for (size_t i = 0; i < first.model().parameters().size(); ++i) {
    EXPECT_TRUE(
        same_bits(second.model().parameters()[i].value, first.model().parameters()[i].value));
  }
  for (const double loss : second.steps(3, 6)) losses.push_back(loss);
  third.take(second);
  for (const double loss : third.steps(6, 9)) losses.push_back(loss);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], expected[i], 1e-3 * expected[i]) << "step " << i;
  }
}

TEST_F(GpuTrainingTest, MemoryStandsStillAfterTheFirstStep) {
  TrainingRun run(gpu(), small_config(), DType::kBf16);
  static_cast<void>(run.steps(0, 2));
  const int64_t extent = run.extent(), workspace = gpu().workspace_bytes();
  static_cast<void>(run.steps(2, 5));
  EXPECT_EQ(run.extent(), extent);
  EXPECT_EQ(gpu().workspace_bytes(), workspace);
}

TEST_F(GpuTrainingTest, DecodingWithACacheGivesTheLogitsOfAWholePass) {
  Gpt source(small_config(), gpu(), {.trainable = false});
  source.init_weights(3);
  // The matrices that begin as zeros would hide what comes before them.
  for (Parameter& p : source.parameters()) {
    Tensor x(p.value.shape(), DType::kF32);
    fill_normal(x, RandomStream(4, RandomPurpose::kTest), 0, 0.05F);
    gpu().copy(x, p.value);
  }
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    SCOPED_TRACE(name_of(dtype));
    Gpt model(small_config(), gpu(), {.dtype = dtype, .trainable = false});
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      gpu().cast(source.parameters()[i].value, model.parameters()[i].value);
    }
    model.refresh_compute_weights();
    Arena memory(gpu().reserve_addresses());
    Tape tape(gpu(), memory);
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 150; ++i) ids.push_back(i * 37 % 515);
    const auto feed = [&](std::vector<KvCache>& caches, int32_t begin, int32_t end) {
      const nanochat::Run run{.row_begin = 0, .length = end - begin, .position = begin, .slot = 1};
      const TokenRuns runs(std::span(&run, 1), end - begin);
      const std::span<const int32_t> part(ids.data() + begin, static_cast<size_t>(end - begin));
      const Var hidden = model.forward(tape, tensor_of(part, {end - begin}), runs, caches);
      return on_host(gpu(), model.logits(tape, hidden.value));
    };
    const TokenRuns whole = TokenRuns::uniform(1, 150);
    const Var hidden = model.forward(tape, tensor_of(std::span<const int32_t>(ids), {150}), whole);
    const Tensor expected = on_host(gpu(), model.logits(tape, hidden.value));
    std::vector<KvCache> caches = model.make_caches(2, 160);
    for (KvCache& cache : caches) {
      gpu().zero(cache.k);
      gpu().zero(cache.v);
    }
    // Of logits of size 3; a 16-bit number is rounded some ten times on its way through a layer.
    const test::Tolerance tolerance{
        .abs = dtype == DType::kF32 ? 1e-3 : 30 * test::unit_roundoff(dtype)};
    expect_close(feed(caches, 0, 100), expected.rows(0, 100), tolerance);
    for (int32_t i = 100; i < 150; ++i) {
      expect_close(feed(caches, i, i + 1), expected.rows(i, i + 1), tolerance);
    }
  }
}

}  // namespace
}  // namespace nanochat
