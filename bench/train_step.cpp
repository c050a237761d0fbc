/// One full optimizer step of the classic model on all cores, as the README's figures: tokens per
/// second, model FLOP/s and their share of what the machine can do, the breakdown, and the memory.
///
///   train_step --depth 6                     bf16 where the CPU has it
///   train_step --depth 6 --dtype f32
///   train_step --depth 6 --compare           bf16 against f32, all cores against one
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "model/gpt.h"
#include "ops/profiling_backend.h"
#include "optim/classic.h"
#include "optim/schedules.h"
#include "support/peak.h"

namespace nanochat::bench {
namespace {

struct Options {
  int64_t depth = 6;
  int64_t vocab_size = 32768;
  int64_t sequence_len = 512;
  int64_t total_batch_size = 16384;  // tokens
  int64_t device_batch_size = 8;     // sequences
  int64_t steps = 3;
  bool activation_checkpointing = false;
};

struct Measured {
  double step_seconds = 0;  // best
  double gflops = 0;        // model FLOPs, attention as if not causal (upstream's count)
  int64_t weights = 0, gradients = 0, optimizer_state = 0, kept_activations = 0;
  int64_t arena_extent = 0, workspace = 0;
  std::map<std::pair<std::string, std::string>, double> seconds;  // of one step, profiled
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Measured measure(Backend& inner, DType dtype, const Options& o, bool with_profile) {
  std::string phase;
  std::map<std::pair<std::string, std::string>, double> seconds;  // by phase and operation
  ProfilingBackend profiling(inner, [&](const ProfilingBackend::Operation& operation) {
    seconds[{phase, operation.name}] +=
        std::chrono::duration<double>(operation.end - operation.begin).count();
  });
  const GptConfig config = GptConfig::from_depth(o.depth, o.vocab_size, o.sequence_len);
  const int64_t micro_batches =
      grad_accum_steps(o.total_batch_size, o.device_batch_size, o.sequence_len, 1);
  const int64_t N = o.device_batch_size * o.sequence_len;

  Gpt model(config, profiling,
            {.dtype = dtype, .activation_checkpointing = o.activation_checkpointing});
  model.init_weights(42);
  ClassicOptimizer optimizer(profiling, model.parameters(), {.n_embd = config.n_embd});
  Batch batch{Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
              TokenRuns::uniform(o.device_batch_size, o.sequence_len)};
  const RandomStream random(1, RandomPurpose::kTest);
  for (int64_t n = 0; n < N; ++n) {
    // Mostly small ids, as text has; the gradients of wte then meet the same rows again.
    const auto id = [&](int64_t i) {
      const double u = static_cast<double>(random.uniform(i));
      return static_cast<int32_t>(static_cast<double>(o.vocab_size) * u * u * u);
    };
    batch.ids.data<int32_t>()[n] = id(n);
    batch.targets.data<int32_t>()[n] = id(n + 1);
  }
  set_mean_weights(batch, micro_batches);

  Arena arena;
  Tape tape(profiling, arena);
  Measured m;
  const auto step = [&](int64_t i) {
    phase = "zero_grad";
    model.zero_grad();
    for (int64_t b = 0; b < micro_batches; ++b) {
      const RecordingScope on(tape, true);
      phase = "forward";
      { const LossResult loss = model.loss(tape, batch); }
      m.kept_activations = std::max(m.kept_activations, arena.in_use_bytes());
      phase = "backward";
      tape.backward();
      tape.clear();
    }
    phase = "optimizer";
    optimizer.step(i, 1.0);
    phase = "refresh";
    model.refresh_compute_weights();
  };
  step(0);  // creates primitives and memory
  m.step_seconds = 1e30;
  for (int64_t i = 1; i <= o.steps; ++i) {
    seconds.clear();
    const auto start = std::chrono::steady_clock::now();
    step(i);
    const double s = seconds_since(start);
    if (s < m.step_seconds) {
      m.step_seconds = s;
      if (with_profile) m.seconds = seconds;
    }
  }
  m.gflops = static_cast<double>(config.flops_per_token()) *
             static_cast<double>(o.total_batch_size) / m.step_seconds / 1e9;
  m.weights = model.weight_bytes();
  m.gradients = model.grad_bytes();
  m.optimizer_state = optimizer.state_bytes();
  m.arena_extent = arena.extent_bytes();
  m.workspace = inner.workspace_bytes();
  return m;
}

double mebibytes(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_breakdown(const Measured& m) {
  std::vector<std::pair<double, std::string>> rows;
  double sum = 0;
  for (const auto& [key, s] : m.seconds) {
    rows.emplace_back(s, fmt::format("{:<10} {}", key.first, key.second));
    sum += s;
  }
  std::ranges::sort(rows, std::greater<>());
  rows.emplace_back(m.step_seconds - sum, "everything outside operations");
  for (const auto& [s, name] : rows) {
    fmt::print("  {:>6.1f} %  {:>9.1f} ms  {}\n", 100 * s / m.step_seconds, 1000 * s, name);
  }
}

void print_memory(const Measured& m) {
  const int64_t needed = m.weights + m.gradients + m.optimizer_state + m.kept_activations;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const int64_t peak = int64_t{usage.ru_maxrss} * 1024;
  fmt::print(
      "memory   weights {:.0f} MiB (compute copies included), gradients {:.0f}, optimizer state "
      "{:.0f}, kept for backward {:.0f}: {:.0f} in all\n"
      "         arena {:.0f}, kernels' workspace {:.0f}\n"
      "         peak of the process {:.0f} MiB = {:.2f} x what must be held\n",
      mebibytes(m.weights), mebibytes(m.gradients), mebibytes(m.optimizer_state),
      mebibytes(m.kept_activations), mebibytes(needed), mebibytes(m.arena_extent),
      mebibytes(m.workspace), mebibytes(peak),
      static_cast<double>(peak) / static_cast<double>(needed));
}

int run(int argc, char** argv) {
  Options o;
  std::string dtype_name, isa;
  int threads = num_threads();
  bool compare = false;
  CLI::App app("One optimizer step of the classic model, against the machine's ceilings");
  app.add_option("--depth", o.depth)->capture_default_str();
  app.add_option("--vocab-size", o.vocab_size)->capture_default_str();
  app.add_option("--sequence-len", o.sequence_len, "tokens")->capture_default_str();
  app.add_option("--total-batch-size", o.total_batch_size, "tokens a step")->capture_default_str();
  app.add_option("--device-batch-size", o.device_batch_size, "sequences a micro-batch")
      ->capture_default_str();
  app.add_option("--steps", o.steps, "timed; the best counts")->capture_default_str();
  app.add_option("--dtype", dtype_name, "f32 or bf16");
  app.add_option("--isa", isa, "avx512_bf16, avx2 or portable");
  app.add_option("--threads", threads)->capture_default_str();
  app.add_flag("--activation-checkpointing", o.activation_checkpointing);
  app.add_flag("--compare", compare, "bf16 against f32, all cores against one");
  CLI11_PARSE(app, argc, argv);

  const std::unique_ptr<Backend> named = isa.empty() ? nullptr : make_cpu_backend(isa);
  Backend& backend = named ? *named : cpu_backend();
  const DType dtype =
      dtype_name.empty() ? backend.preferred_dtype() : parse_dtype(dtype_name).value_or(DType::kU8);
  if (!backend.supports(dtype)) throw UsageError("--dtype is f32 or bf16, not '{}'", dtype_name);
  set_num_threads(threads);

  const GptConfig config = GptConfig::from_depth(o.depth, o.vocab_size, o.sequence_len);
  fmt::print("backend  {}, {} threads\n", backend.description(), threads);
  fmt::print(
      "model    depth {}, n_embd {}, vocabulary {}, T {}, {} tokens a step, {} a micro-batch\n",
      o.depth, config.n_embd, o.vocab_size, o.sequence_len, o.total_batch_size,
      o.device_batch_size * o.sequence_len);
  const auto report = [&](DType d, int n) {
    set_num_threads(n);
    // Memory is read right after the run that it belongs to; the ceilings come later.
    const Measured m = measure(backend, d, o, true);
    if (!compare) print_memory(m);
    const double peak = register_peak_gflops(d), gemm = square_gemm_gflops(backend, d);
    fmt::print(
        "{:<4} x{}  {:>8.0f} tokens/s  {:>6.1f} model GFLOP/s = {:.3f} of register peak ({:.0f}), "
        "{:.3f} of a 4096^3 GEMM ({:.0f})\n",
        name_of(d), n, static_cast<double>(o.total_batch_size) / m.step_seconds, m.gflops,
        m.gflops / peak, peak, m.gflops / gemm, gemm);
    return m;
  };
  const Measured m = report(dtype, threads);
  print_breakdown(m);
  if (compare) {
    const Measured f32 = report(DType::kF32, threads), one = report(dtype, 1);
    fmt::print("{} against f32: {:.2f}x;  {} threads against one: {:.2f}x\n", name_of(dtype),
               f32.step_seconds / m.step_seconds, threads, one.step_seconds / m.step_seconds);
  }
  return 0;
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  try {
    return nanochat::bench::run(argc, argv);
  } catch (const nanochat::Error& e) {
    fmt::print(stderr, "train_step: {}\n", e.what());
    return static_cast<int>(e.exit_code());
  }
}
