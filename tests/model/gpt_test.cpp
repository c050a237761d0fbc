#include "model/gpt.h"

#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "support/backends.h"
#include "support/compare.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::same_bits;

GptConfig small_config() {
  return {.sequence_len = 16,
          .vocab_size = 37,
          .n_layer = 2,
          .n_head = 4,
          .n_kv_head = 2,
          .n_embd = 24,
          .qk_gain = 1.2F,
          .window = 5};
}

/// Weights that are random everywhere, also where the initialisation says zero.
void randomize(Gpt& model, double std = 0.3) {
  uint64_t seed = 100;
  for (Parameter& p : model.parameters()) {
    const Tensor x = test::random_normal(p.value.shape(), p.value.dtype(), seed++, std);
    model.backend().copy(x, p.value);
  }
  model.refresh_compute_weights();
}

Batch small_batch(int64_t vocab_size) {
  // Runs of awkward length, one empty, one that starts later than position 0.
  const std::vector<nanochat::Run> runs{{.row_begin = 0, .length = 7},
                                        {.row_begin = 7, .length = 0},
                                        {.row_begin = 7, .length = 1},
                                        {.row_begin = 8, .length = 11, .position = 3}};
  const int64_t N = 19;
  Batch batch{test::random_ids(N, vocab_size, 1), test::random_ids(N, vocab_size, 2, 0.2),
              test::random_uniform({N}, DType::kF32, 3, 0.01, 0.1), TokenRuns(runs, N)};
  return batch;
}

struct Result {
  double loss;
  std::vector<Tensor> grads;
};
Result run(Gpt& model, const Batch& batch) {
  Arena arena;
  Tape tape(model.backend(), arena);
  const RecordingScope on(tape, true);
  model.zero_grad();
  const double loss = model.loss(tape, batch).total.data<double>()[0];
  tape.backward();
  Result result{loss, {}};
  for (const Parameter& p : model.parameters()) result.grads.push_back(p.grad.clone());
  tape.clear();
  return result;
}

void expect_same(const Result& a, const Result& b) {
  EXPECT_EQ(a.loss, b.loss);
  for (size_t i = 0; i < a.grads.size(); ++i) EXPECT_TRUE(same_bits(a.grads[i], b.grads[i])) << i;
}

// The whole model, every parameter, against finite differences in double.
TEST(GptTest, GradientsAreTheDerivativesOfTheLoss) {
  Gpt model(small_config(), reference_backend(), {.dtype = DType::kF64});
  randomize(model);
  const Batch batch = small_batch(model.config().vocab_size);
  const Result result = run(model, batch);
  Tape tape(model.backend(), host_allocator());
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    Parameter& p = model.parameters()[i];
    const Tensor direction = test::random_normal(p.value.shape(), DType::kF64, 500 + i);
    double analytic = 0;
    for (int64_t j = 0; j < p.value.numel(); ++j) {
      analytic += result.grads[i].data<double>()[j] * direction.data<double>()[j];
    }
    const auto loss_at = [&](double h) {
      for (int64_t j = 0; j < p.value.numel(); ++j) {
        p.value.data<double>()[j] += h * direction.data<double>()[j];
      }
      const double loss = model.loss(tape, batch).total.data<double>()[0];
      for (int64_t j = 0; j < p.value.numel(); ++j) {
        p.value.data<double>()[j] -= h * direction.data<double>()[j];
      }
      return loss;
    };
    const double h = 1e-5;
    const double numeric = (loss_at(h) - loss_at(-h)) / (2 * h);
    EXPECT_NEAR(analytic, numeric, 1e-7 + 1e-6 * std::abs(numeric)) << p.name;
    EXPECT_GT(std::abs(analytic), 1e-6) << p.name << ": a gradient of zero proves nothing";
  }
}

class GptBackendTest : public ::testing::TestWithParam<std::string> {
 protected:
  Backend& backend_ = test::backend_named(GetParam());
};
INSTANTIATE_TEST_SUITE_P(, GptBackendTest, test::BothBackends(), test::backend_name);

TEST_P(GptBackendTest, TwoRunsAreBitIdentical) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    SCOPED_TRACE(name_of(dtype));
    Gpt a(small_config(), backend_, {.dtype = dtype}),
        b(small_config(), backend_, {.dtype = dtype});
    randomize(a);
    randomize(b);
    const Batch batch = small_batch(a.config().vocab_size);
    const Result first = run(a, batch);
    expect_same(run(b, batch), first);
    expect_same(run(a, batch), first);
  }
}

TEST_P(GptBackendTest, ActivationCheckpointingChangesNoBit) {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    SCOPED_TRACE(name_of(dtype));
    Gpt plain(small_config(), backend_, {.dtype = dtype});
    Gpt checkpointed(small_config(), backend_, {.dtype = dtype, .activation_checkpointing = true});
    randomize(plain);
    randomize(checkpointed);
    const Batch batch = small_batch(plain.config().vocab_size);
    expect_same(run(checkpointed, batch), run(plain, batch));
  }
}

TEST_P(GptBackendTest, MicroBatchesAddUpToTheWholeBatch) {
  Gpt model(small_config(), backend_);
  randomize(model);
  const int64_t T = 6, V = model.config().vocab_size;
  Batch whole{test::random_ids(2 * T, V, 1), test::random_ids(2 * T, V, 2),
              Tensor({2 * T}, DType::kF32), TokenRuns::uniform(2, T)};
  set_mean_weights(whole);
  const Result expected = run(model, whole);
  model.zero_grad();
  Tape tape(backend_, host_allocator());
  const RecordingScope on(tape, true);
  double loss = 0;
  for (int64_t half = 0; half < 2; ++half) {
    Batch part{whole.ids.rows(half * T, (half + 1) * T),
               whole.targets.rows(half * T, (half + 1) * T), Tensor({T}, DType::kF32),
               TokenRuns::uniform(1, T)};
    set_mean_weights(part, 2);
    loss += model.loss(tape, part).total.data<double>()[0];
    tape.backward();
    tape.clear();
  }
  EXPECT_NEAR(loss, expected.loss, 1e-6 * expected.loss);
  for (size_t i = 0; i < expected.grads.size(); ++i) {
    test::expect_close(model.parameters()[i].grad, expected.grads[i], {.rel_of_max = 1e-5});
  }
}

TEST_P(GptBackendTest, Bf16StaysCloseToF32) {
  Gpt f32(small_config(), backend_), bf16(small_config(), backend_, {.dtype = DType::kBf16});
  randomize(f32);
  randomize(bf16);
  const Batch batch = small_batch(f32.config().vocab_size);
  const Result a = run(f32, batch), b = run(bf16, batch);
  EXPECT_NEAR(b.loss, a.loss, 0.02 * a.loss);
  for (size_t i = 0; i < a.grads.size(); ++i) {
    EXPECT_LT(test::frobenius(b.grads[i], a.grads[i]), 0.1) << f32.parameters()[i].name;
  }
}

TEST(GptTest, CpuAgreesWithReference) {
  Gpt cpu(small_config(), cpu_backend()), reference(small_config(), reference_backend());
  randomize(cpu);
  randomize(reference);
  const Batch batch = small_batch(cpu.config().vocab_size);
  const Result a = run(cpu, batch), b = run(reference, batch);
  EXPECT_NEAR(a.loss, b.loss, 1e-6 * b.loss);
  for (size_t i = 0; i < a.grads.size(); ++i) {
    test::expect_close(a.grads[i], b.grads[i], {.rel_of_max = 2e-5});
  }
}

TEST(GptTest, InitialisationFollowsUpstream) {
  const GptConfig config = GptConfig::from_depth(4, 1000, 64);
  Gpt model(config, cpu_backend()), again(config, cpu_backend());
  model.init_weights(7);
  again.init_weights(7);
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& p = model.parameters()[i];
    SCOPED_TRACE(p.name);
    EXPECT_TRUE(same_bits(p.value, again.parameters()[i].value));
    double mean = 0, square = 0;
    for (const double x : test::to_doubles(p.value)) mean += x, square += x * x;
    const auto n = static_cast<double>(p.value.numel());
    const double std = std::sqrt(square / n);
    double expected = 1 / std::sqrt(static_cast<double>(config.n_embd));  // fan_in = n_embd
    if (p.name.ends_with("c_proj.weight") || p.name == "lm_head.weight") expected = 0;
    if (p.name.ends_with("wte.weight")) expected = 1;
    EXPECT_NEAR(std, expected, 0.01 * expected);
    EXPECT_NEAR(mean / n, 0, 4 * expected / std::sqrt(n) + 1e-12);
  }
  // All logits start at 0, so the loss is ln V.
  Tape tape(model.backend(), host_allocator());
  const Batch batch = [&] {
    Batch b{test::random_ids(20, 1000, 1), test::random_ids(20, 1000, 2), Tensor({20}, DType::kF32),
            TokenRuns::uniform(2, 10)};
    set_mean_weights(b);
    return b;
  }();
  EXPECT_NEAR(model.loss(tape, batch).total.data<double>()[0], std::log(1000.0), 1e-5);
}

TEST(GptTest, ParametersBearUpstreamsNamesInItsOrder) {
  Gpt model(small_config(), cpu_backend());
  std::vector<std::string> expected{"transformer.wte.weight"};
  for (int i = 0; i < 2; ++i) {
    for (const char* name :
         {"attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}) {
      expected.push_back(fmt::format("transformer.h.{}.{}.weight", i, name));
    }
  }
  expected.push_back("lm_head.weight");
  std::vector<std::string> names;
  int64_t numbers = 0;
  for (const Parameter& p : model.parameters()) {
    names.push_back(p.name);
    numbers += p.value.numel();
  }
  EXPECT_EQ(names, expected);
  EXPECT_EQ(numbers, model.config().num_params());
  EXPECT_EQ(model.parameter("lm_head.weight").value.shape(), (Shape{64, 24})) << "37 padded to 64";
  EXPECT_THROW(static_cast<void>(model.parameter("lm_head")), NotFoundError);
}

// A prompt in chunks, two conversations in one batch, then token by token, against the full
// forward.
TEST(GptTest, CachedForwardEqualsTheFullOne) {
  for (Backend* backend : {&reference_backend(), &cpu_backend()}) {
    SCOPED_TRACE(backend->name());
    Gpt model(small_config(), *backend, {.trainable = false});
    randomize(model);
    const int64_t T = 14;
    const Tensor ids = test::random_ids(2 * T, model.config().vocab_size, 5);
    Tape tape(*backend, host_allocator());
    const TokenRuns all = TokenRuns::uniform(2, T);
    const Tensor expected = model.logits(tape, model.forward(tape, ids, all).value);
    std::vector<KvCache> caches = model.make_caches(3, T);
    std::array<int32_t, 2> done{0, 0};
    for (const auto& [a, b] : {std::pair{5, 0}, {1, 3}, {0, 9}, {1, 1}, {6, 0}, {1, 1}}) {
      std::vector<nanochat::Run> runs;
      std::vector<int32_t> chunk;
      const std::array<int, 2> lengths{a, b};
      for (size_t s = 0; s < 2; ++s) {
        runs.push_back({.row_begin = static_cast<int32_t>(chunk.size()),
                        .length = lengths[s],
                        .position = done[s],
                        .slot = s == 0 ? 2 : 0});
        for (int i = 0; i < lengths[s]; ++i) {
          chunk.push_back(ids.data<int32_t>()[static_cast<int64_t>(s) * T + done[s] + i]);
        }
      }
      const auto n = static_cast<int64_t>(chunk.size());
      const TokenRuns token_runs(runs, n);
      const Tensor logits = model.logits(
          tape,
          model.forward(tape, tensor_of(std::span<const int32_t>(chunk), {n}), token_runs, caches)
              .value);
      for (size_t s = 0; s < 2; ++s) {
        const int64_t row = runs[s].row_begin, from = static_cast<int64_t>(s) * T + done[s];
        test::expect_close(logits.rows(row, row + lengths[s]),
                           expected.rows(from, from + lengths[s]), {.rel_of_max = 1e-5});
        done[s] += lengths[s];
      }
    }
  }
}

TEST(GptTest, PositionsBeyondTheRotaryTablesAreRefused) {
  Gpt model(small_config(), cpu_backend(), {.trainable = false});
  randomize(model);
  Tape tape(model.backend(), host_allocator());
  const int64_t T = model.config().max_positions() + 1;
  const TokenRuns runs = TokenRuns::uniform(1, T);
  EXPECT_THROW(static_cast<void>(model.forward(tape, test::random_ids(T, 37, 1), runs)),
               ShapeError);
}

TEST(GptTest, ADtypeTheBackendLacksIsRefused) {
  EXPECT_THROW(Gpt(small_config(), cpu_backend(), {.dtype = DType::kF64}), DeviceError);
}

}  // namespace
}  // namespace nanochat
