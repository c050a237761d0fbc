// The matrix products of a training step, on num_threads() cores: GFLOP/s, and the share of what a
// 4096^3 product of the same dtype reaches in the same run.
//   ./matmul_bench [--benchmark_filter=bf16]      NANOCHAT_CPU_ISA chooses the backend
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/rng.h"
#include "ops/backend.h"
#include "support/peak.h"

namespace nanochat {
namespace {

/// Y = X W^T, dX = dY W, dW += dY^T X of a layer with N tokens, `in` and `out` features.
enum class Pass { kForward, kForwardReluSquared, kInputGradient, kWeightGradient };
constexpr const char* kPassNames[] = {"forward", "forward_relu2", "dx", "dw"};
struct Layer {
  const char* name;
  int64_t tokens, in, out;
};
constexpr Layer kLayers[] = {
    {"d6_attn", 4096, 384, 1152},  {"d6_fc", 4096, 384, 1536},     {"d6_proj", 4096, 1536, 384},
    {"d12_attn", 4096, 768, 2304}, {"d12_fc", 4096, 768, 3072},    {"d12_proj", 4096, 3072, 768},
    {"d6_head", 1024, 384, 32768}, {"d12_head", 1024, 768, 32768},
};

Tensor filled(Shape shape, DType dtype, uint32_t item) {
  Tensor x(shape, dtype);
  fill_normal(x, RandomStream(1, RandomPurpose::kTest, 0, item), 0, 1);
  return x;
}

void product(benchmark::State& state, const Layer& layer, Pass pass, DType act, double square) {
  Backend& backend = cpu_backend();
  const Tensor x = filled({layer.tokens, layer.in}, act, 0);
  const Tensor w = filled({layer.out, layer.in}, act, 1);
  const Tensor dy = filled({layer.tokens, layer.out}, act, 2);
  Tensor y({layer.tokens, layer.out}, act), dx({layer.tokens, layer.in}, act);
  Tensor dw = zeros({layer.out, layer.in}, DType::kF32);
  const auto run = [&] {
    switch (pass) {
      case Pass::kForward:
        return backend.matmul(x, false, w, true, y);
      case Pass::kForwardReluSquared:
        return backend.matmul(x, false, w, true, y, 1, 0, Epilogue::kReluSquared);
      case Pass::kInputGradient:
        return backend.matmul(dy, false, w, false, dx);
      case Pass::kWeightGradient:
        return backend.matmul(dy, true, x, false, dw, 1, 1);
    }
  };
  run();
  for (auto _ : state) run();
  const double flop = 2.0 * static_cast<double>(layer.tokens * layer.in * layer.out);
  const double total = flop * static_cast<double>(state.iterations());
  state.counters["gflops"] = benchmark::Counter(total / 1e9, benchmark::Counter::kIsRate);
  state.counters["of_square"] =
      benchmark::Counter(total / 1e9 / square, benchmark::Counter::kIsRate);
}

void register_all() {
  for (const DType act : {DType::kBf16, DType::kF32}) {
    const double square = bench::square_gemm_gflops(cpu_backend(), act);
    fmt::print("4096^3 {}: {:.0f} GFLOP/s\n", name_of(act), square);
    for (const Layer& layer : kLayers) {
      for (const Pass pass : {Pass::kForward, Pass::kForwardReluSquared, Pass::kInputGradient,
                              Pass::kWeightGradient}) {
        const std::string name =
            fmt::format("{}/{}/{}", name_of(act), layer.name, kPassNames[static_cast<int>(pass)]);
        benchmark::RegisterBenchmark(
            name.c_str(),
            [=](benchmark::State& state) { product(state, layer, pass, act, square); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
}

}  // namespace
}  // namespace nanochat

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  fmt::print("{}\n", nanochat::cpu_backend().description());
  nanochat::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
