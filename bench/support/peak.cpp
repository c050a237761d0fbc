#include "support/peak.h"

#include <algorithm>
#include <chrono>

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
// 12 chains of 512 bits hide a latency of 6 cycles at one instruction a cycle twice over.
constexpr int64_t kChains = 12;
constexpr int64_t kRounds = 20'000'000;

#define NC_KEEP(x) asm volatile("" : "+v"(x))

__attribute__((target("avx512f,avx512bf16"), noinline)) void bf16_chains() {
  __m512 sum[kChains];
  const __m512bh a = reinterpret_cast<__m512bh>(_mm512_setzero_si512());
  for (auto& s : sum) s = _mm512_setzero_ps();
  for (int64_t i = 0; i < kRounds / kChains; ++i) {
#pragma GCC unroll 12
    for (int64_t c = 0; c < kChains; ++c) {
      sum[c] = _mm512_dpbf16_ps(sum[c], a, a);
      NC_KEEP(sum[c]);
    }
  }
}

__attribute__((target("avx2,fma"), noinline)) void fma_chains() {
  __m256 sum[kChains];
  const __m256 a = _mm256_setzero_ps();
  for (auto& s : sum) s = _mm256_setzero_ps();
  for (int64_t i = 0; i < kRounds / kChains; ++i) {
#pragma GCC unroll 12
    for (int64_t c = 0; c < kChains; ++c) {
      sum[c] = _mm256_fmadd_ps(a, a, sum[c]);
      NC_KEEP(sum[c]);
    }
  }
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
  const double flops = static_cast<double>(kRounds) * (bf16 ? 64 : 16);
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = Clock::now();
    parallel_for(num_threads(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) bf16 ? bf16_chains() : fma_chains();
    });
    best = std::max(best, flops * num_threads() / seconds_since(start) / 1e9);
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
