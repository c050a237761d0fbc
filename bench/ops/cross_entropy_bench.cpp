// Softcap cross-entropy at the size of the real vocabulary, one core. The goal is 30,000 tokens/s
// with the gradient and bf16 logits. Rates are per second of CPU time, so that a busy machine
// counts less.
//   ./cross_entropy_bench [--benchmark_filter=avx512]
#include <string>

#include <benchmark/benchmark.h>

#include "core/parallel.h"
#include "core/rng.h"
#include "ops/backend.h"

namespace nanochat {
namespace {

constexpr int64_t kVocab = 32768;
constexpr int64_t kRows = 64;
constexpr float kCap = 15;

void cross_entropy(benchmark::State& state, const std::string& isa, DType act, bool with_gradient) {
  set_num_threads(1);
  const auto backend = make_cpu_backend(isa);
  Tensor source({kRows, kVocab}, act), logits({kRows, kVocab}, act);
  fill_normal(source, RandomStream(1, RandomPurpose::kTest), 0, 2);
  Tensor targets({kRows}, DType::kI32), weight({kRows}, DType::kF32), loss({kRows}, DType::kF32);
  for (int64_t n = 0; n < kRows; ++n) {
    targets.data<int32_t>()[n] = static_cast<int32_t>(n * 509 % kVocab);
    weight.data<float>()[n] = 1.0F / kRows;
  }
  for (auto _ : state) {
    state.PauseTiming();
    backend->copy(source, logits);
    state.ResumeTiming();
    backend->softcap_cross_entropy(logits, targets, weight, kCap, with_gradient, loss);
    benchmark::DoNotOptimize(loss.raw());
  }
  const auto tokens = static_cast<double>(state.iterations() * kRows);
  state.counters["tokens_per_s_core"] = benchmark::Counter(tokens, benchmark::Counter::kIsRate);
  state.counters["ns_per_logit"] = benchmark::Counter(
      tokens * kVocab / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void register_all() {
  for (const std::string isa : {"avx512_bf16", "avx2", "portable"}) {
    try {
      static_cast<void>(make_cpu_backend(isa));
    } catch (const DeviceError&) {
      continue;
    }
    for (const DType act : {DType::kBf16, DType::kF32}) {
      for (const bool with_gradient : {true, false}) {
        const std::string name = "cross_entropy/" + isa + "/" + std::string(name_of(act)) +
                                 (with_gradient ? "/with_gradient" : "/loss_only");
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          cross_entropy(state, isa, act, with_gradient);
        })->Unit(benchmark::kMillisecond);
      }
    }
  }
}

}  // namespace
}  // namespace nanochat

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nanochat::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
