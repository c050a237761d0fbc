/// Flash attention, forward and backward, on all cores or OMP_NUM_THREADS of them: GFLOP/s and the
/// share of what the same cores reach in a loop of multiply-adds on registers, measured just before
/// each case. Operations are those of the causal half: 2 products forward, 5 backward (S is
/// computed again), T (T + 1) / 2 pairs of query and key each, 2 D per pair. exp is not counted.
///
///   OMP_NUM_THREADS=1 attention_bench --benchmark_filter='T:512' --benchmark_repetitions=5
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/parallel.h"
#include "core/rng.h"
#include "ops/cpu/attention.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nanochat {
namespace {

#if defined(__x86_64__)
// 24 independent sums hide the latency. Each returns the operations it did.
__attribute__((target("avx512f,avx512bf16"))) double bf16_loop(float* sink) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_set1_ps(0);
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f803f80));
  for (int i = 0; i < 20000; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], a, a);
  }
  for (int j = 1; j < 24; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  _mm512_storeu_ps(sink, sums[0]);
  return 20000.0 * 24 * 64;
}
__attribute__((target("avx512f"))) double avx512_loop(float* sink) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_set1_ps(0);
  const __m512 a = _mm512_set1_ps(sink[0]);
  for (int i = 0; i < 20000; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_fmadd_ps(a, a, sums[j]);
  }
  for (int j = 1; j < 24; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  _mm512_storeu_ps(sink, sums[0]);
  return 20000.0 * 24 * 32;
}
__attribute__((target("avx2,fma"))) double avx2_loop(float* sink) {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_set1_ps(0);
  const __m256 a = _mm256_set1_ps(sink[0]);
  for (int i = 0; i < 40000; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm256_fmadd_ps(a, a, sums[j]);
  }
  for (int j = 1; j < 12; ++j) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  _mm256_storeu_ps(sink, sums[0]);
  return 40000.0 * 12 * 16;
}
#endif

/// Operations per second of all threads, the best of a few tries; 0 where no loop is at hand.
double measure_peak(cpu::Isa isa, DType dtype) {
#if defined(__x86_64__)
  if (isa == cpu::Isa::kPortable) return 0;
  const bool bf16 = isa == cpu::Isa::kAvx512Bf16 && dtype == DType::kBf16;
  const auto loop = bf16 ? bf16_loop : isa == cpu::Isa::kAvx512Bf16 ? avx512_loop : avx2_loop;
  double best = 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const int n = num_threads();
    std::vector<double> done(static_cast<size_t>(n));
    const auto start = std::chrono::steady_clock::now();
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float sink[16] = {};
        done[static_cast<size_t>(t)] = loop(sink);
        benchmark::DoNotOptimize(sink);
      }
    });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    double sum = 0;
    for (const double operations : done) sum += operations;
    best = std::max(best, sum / time.count());
  }
  return best;
#else
  static_cast<void>(isa);
  static_cast<void>(dtype);
  return 0;
#endif
}

struct Case {
  int64_t B = 0, T = 0, H = 0, Hkv = 0, D = 0;
  int64_t window = -1;
  cpu::Isa isa = cpu::Isa::kPortable;
  DType dtype = DType::kF32;
  bool backward = false;
};

double pairs_of_row(const Case& c, int64_t i) {
  return static_cast<double>(c.window < 0 ? i + 1 : std::min(i, c.window) + 1);
}

void run_case(benchmark::State& state, const Case& c) {
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(c.isa);
  const AttentionShape shape{.n_head = c.H,
                             .n_kv_head = c.Hkv,
                             .head_dim = c.D,
                             .window = c.window,
                             .scale = 1 / std::sqrt(static_cast<float>(c.D))};
  const int64_t N = c.B * c.T;
  const TokenRuns runs = TokenRuns::uniform(c.B, c.T);
  Tensor qkv({N, shape.qkv_dim()}, c.dtype);
  Tensor dout({N, shape.q_dim()}, c.dtype);
  fill_normal(qkv, {1, RandomPurpose::kTest}, 0, 1);
  fill_normal(dout, {2, RandomPurpose::kTest}, 0, 1);
  Tensor out({N, shape.q_dim()}, c.dtype);
  Tensor dqkv({N, shape.qkv_dim()}, c.dtype);
  Tensor lse({N, c.H}, DType::kF32);
  cpu::Workspace workspace;
  cpu::attention(kernels, qkv, runs, shape, out, lse, workspace);
  const auto once = [&] {
    if (c.backward) {
      cpu::attention_backward(kernels, dout, qkv, out, lse, runs, shape, dqkv, workspace);
    } else {
      cpu::attention(kernels, qkv, runs, shape, out, lse, workspace);
    }
  };
  once();

  const double peak = measure_peak(c.isa, c.dtype);
  // The best of the iterations: other programs on the machine only ever take time away.
  double best = 1e30;
  double best_cpu = 1e30;
  for (auto _ : state) {
    const std::clock_t cpu_start = std::clock();
    const auto start = std::chrono::steady_clock::now();
    once();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
    best_cpu = std::min(best_cpu, static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
  }
  double pairs = 0;
  for (int64_t i = 0; i < c.T; ++i) pairs += pairs_of_row(c, i);
  const double operations = pairs * static_cast<double>(c.B * c.H * c.D) * 2 * (c.backward ? 5 : 2);
  state.counters["best_ms"] = best * 1e3;
  state.counters["GFLOP/s"] = operations / best / 1e9;
  if (peak == 0) return;
  state.counters["of_peak"] = operations / best / peak;
  // The same by the time that this process had a core, for a machine that is shared.
  state.counters["of_peak_by_cpu_time"] = operations * num_threads() / best_cpu / peak;
}

/// One row of each run against a full cache; the figure is bytes of keys and values read.
void run_decode(benchmark::State& state, cpu::Isa isa, DType dtype, int64_t B, int64_t T, int64_t H,
                int64_t Hkv, int64_t D) {
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(isa);
  const AttentionShape shape{
      .n_head = H, .n_kv_head = Hkv, .head_dim = D, .scale = 1 / std::sqrt(static_cast<float>(D))};
  std::vector<Run> rows;
  for (int32_t b = 0; b < B; ++b) rows.push_back({b, 1, static_cast<int32_t>(T - 1), b});
  const TokenRuns runs(rows, B);
  Tensor qkv({B, shape.qkv_dim()}, dtype);
  Tensor out({B, shape.q_dim()}, dtype);
  KvCache cache{Tensor({B, T, shape.kv_dim()}, dtype), Tensor({B, T, shape.kv_dim()}, dtype)};
  fill_normal(qkv, {1, RandomPurpose::kTest}, 0, 1);
  fill_normal(cache.k, {2, RandomPurpose::kTest}, 0, 1);
  fill_normal(cache.v, {3, RandomPurpose::kTest}, 0, 1);
  cpu::Workspace workspace;
  for (auto _ : state) {
    cpu::attention_cached(kernels, qkv, cache, runs, shape, out, workspace);
  }
  state.SetBytesProcessed(state.iterations() * (cache.k.size_bytes() + cache.v.size_bytes()));
}

void register_all() {
  for (const cpu::Isa isa : {cpu::Isa::kAvx512Bf16, cpu::Isa::kAvx2, cpu::Isa::kPortable}) {
    if (!cpu::is_supported(isa)) continue;
    for (const DType dtype : {DType::kBf16, DType::kF32}) {
      const auto add = [&](Case c) {
        c.isa = isa;
        c.dtype = dtype;
        for (const bool backward : {false, true}) {
          c.backward = backward;
          const auto name = fmt::format(
              "{}/{}/{}/B:{}/T:{}/H:{}/Hkv:{}/D:{}/window:{}", backward ? "backward" : "forward",
              cpu::name_of(isa), nanochat::name_of(dtype), c.B, c.T, c.H, c.Hkv, c.D, c.window);
          benchmark::RegisterBenchmark(name.c_str(), run_case, c)
              ->Unit(benchmark::kMillisecond)
              ->UseRealTime();
        }
      };
      add({.B = 8, .T = 512, .H = 3, .Hkv = 3, .D = 128});
      if (isa == cpu::Isa::kPortable) continue;
      add({.B = 8, .T = 512, .H = 6, .Hkv = 6, .D = 64});
      add({.B = 8, .T = 512, .H = 6, .Hkv = 2, .D = 128});
      add({.B = 1, .T = 2048, .H = 6, .Hkv = 6, .D = 128});
      add({.B = 1, .T = 2048, .H = 6, .Hkv = 6, .D = 128, .window = 512});
      for (const int64_t Hkv : {6, 2}) {
        const auto name = fmt::format("decode/{}/{}/B:8/T:2048/H:6/Hkv:{}/D:128", cpu::name_of(isa),
                                      nanochat::name_of(dtype), Hkv);
        benchmark::RegisterBenchmark(name.c_str(), run_decode, isa, dtype, 8, 2048, 6, Hkv, 128)
            ->Unit(benchmark::kMicrosecond)
            ->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace nanochat

int main(int argc, char** argv) {
  nanochat::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
