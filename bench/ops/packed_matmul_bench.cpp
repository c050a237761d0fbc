/// Products with packed weights: what decoding and prefill are made of. Weights are those of twelve
/// layers, one after the other, so that they come from memory as they do in a model.
///
///   packed_matmul_bench --benchmark_filter='bf16.*f32.*/rows:1'
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/rng.h"
#include "ops/backend.h"

namespace nanochat {
namespace {

constexpr int64_t kIn = 768, kOut = 3072, kLayers = 24;

void packed_matmul(benchmark::State& state, WeightFormat format, DType act) {
  const int64_t rows = state.range(0);
  Backend& backend = cpu_backend();
  Tensor w({kOut, kIn}, DType::kF32);
  fill_normal(w, RandomStream(1, RandomPurpose::kTest), 0, 0.02F);
  std::vector<PackedWeights> layers;
  for (int64_t i = 0; i < kLayers; ++i) {
    layers.push_back(PackedWeights::zeros(format, kOut, kIn));
    layers.back().pack_rows(w, 0);
  }
  Tensor x({rows, kIn}, act), y({rows, kOut}, act), ones({rows, kIn}, DType::kF32);
  fill_normal(ones, RandomStream(2, RandomPurpose::kTest), 0, 1);
  if (act == DType::kF32) {
    x = ones;
  } else {
    backend.cast(ones, x);
  }
  for (auto _ : state) {
    for (const PackedWeights& layer : layers) backend.matmul_packed(x, layer, y);
  }
  const double times = static_cast<double>(state.iterations() * kLayers);
  state.counters["GB/s"] = benchmark::Counter(
      times * static_cast<double>(layers[0].size_bytes()) * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] = benchmark::Counter(
      times * 2e-9 * static_cast<double>(rows * kIn * kOut), benchmark::Counter::kIsRate);
}

void register_all() {
  for (const auto format : {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kInt8}) {
    for (const DType act : {DType::kF32, DType::kBf16}) {
      auto* const b = benchmark::RegisterBenchmark(
          fmt::format("packed_matmul/{}/{}", name_of(format), name_of(act)).c_str(),
          [=](benchmark::State& state) { packed_matmul(state, format, act); });
      b->ArgName("rows")->UseRealTime()->Unit(benchmark::kMillisecond);
      for (const int64_t rows : {1, 4, 8, 16, 64, 512}) b->Arg(rows);
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
}
