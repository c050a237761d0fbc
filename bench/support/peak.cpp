#include "support/peak.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/parallel.h"
#include "core/rng.h"
#include "core/tensor.h"

namespace nanochat::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

#if defined(__x86_64__)
// Independent sums hide the latency: 24 zmm at one instruction a cycle, 12 ymm at two. The factor
// comes from memory, so that nothing can be worked out ahead. Each returns the operations it did.
constexpr int kRounds = 40000;

__attribute__((target("avx512f,avx512bf16"), noinline)) double bf16_loop(float* sink) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_loadu_ps(sink);
  const auto a = reinterpret_cast<__m512bh>(_mm512_loadu_si512(sink));
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], a, a);
  }
  for (int j = 1; j < 24; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  _mm512_storeu_ps(sink, sums[0]);
  return 64.0 * 24 * kRounds;
}

__attribute__((target("avx2,fma"), noinline)) double f32_loop(float* sink) {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_loadu_ps(sink);
  const __m256 a = _mm256_loadu_ps(sink);
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm256_fmadd_ps(a, a, sums[j]);
  }
  for (int j = 1; j < 12; ++j) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  _mm256_storeu_ps(sink, sums[0]);
  return 16.0 * 12 * kRounds;
}
#endif

}  // namespace

double register_peak_gflops(DType dtype) {
#if defined(__x86_64__)
  const bool bf16 = dtype == DType::kBf16;
  if (bf16 ? !__builtin_cpu_supports("avx512bf16")
           : !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) {
    return 0;
  }
  const auto loop = bf16 ? bf16_loop : f32_loop;
  const int threads = num_threads();
  double best = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::array<double, 256> operations{};
    const auto start = Clock::now();
    parallel_for(std::min(threads, 256), 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        std::array<float, 16> sink{};
        operations[static_cast<size_t>(t)] = loop(sink.data());
      }
    });
    const double all = std::accumulate(operations.begin(), operations.end(), 0.0);
    best = std::max(best, all / seconds_since(start) / 1e9);
  }
  return best;
#else
  static_cast<void>(dtype);
  return 0;
#endif
}

double square_gemm_gflops(Backend& backend, DType dtype, int repeats) {
  constexpr int64_t kSize = 4096;
  Tensor a({kSize, kSize}, dtype), b({kSize, kSize}, dtype), c({kSize, kSize}, DType::kF32);
  fill_normal(a, RandomStream(1, RandomPurpose::kTest), 0, 1);
  fill_normal(b, RandomStream(2, RandomPurpose::kTest), 0, 1);
  backend.matmul(a, false, b, true, c);
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    backend.matmul(a, false, b, true, c);
    backend.synchronize();
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds_since(start) / 1e9);
  }
  return best;
}

}  // namespace nanochat::bench
