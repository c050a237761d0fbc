// What is bound by memory: GB/s that each operation reads and writes, on num_threads() cores,
// beside a plain copy of the same size.
//   ./rows_bench [--benchmark_filter=rms]      NANOCHAT_CPU_ISA chooses the backend
#include <functional>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/rng.h"
#include "ops/backend.h"

namespace nanochat {
namespace {

constexpr int64_t kTokens = 8192, kChannels = 768;
constexpr int64_t kElements = kTokens * kChannels;  // 25 MB in f32: beyond most caches

Tensor filled(Shape shape, DType dtype, uint32_t item) {
  Tensor x(shape, dtype);
  fill_normal(x, RandomStream(1, RandomPurpose::kTest, 0, item), 0, 1);
  return x;
}

void add_case(const std::string& name, double bytes, const std::function<void()>& run) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 run();
                                 for (auto _ : state) run();
                                 state.SetBytesProcessed(static_cast<int64_t>(
                                     bytes * static_cast<double>(state.iterations())));
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void register_all() {
  Backend& backend = cpu_backend();
  constexpr auto n = static_cast<double>(kElements);
  const Tensor f = filled({kTokens, kChannels}, DType::kF32, 0);
  const Tensor g = filled({kTokens, kChannels}, DType::kF32, 1);
  static Tensor f_out = f.clone(), m = f.clone(), v = zeros(f.shape(), DType::kF32);
  static Tensor b_out({kTokens, kChannels}, DType::kBf16);
  static Tensor rstd({kTokens}, DType::kF32), sum({1}, DType::kF64);

  add_case("copy/f32", 8 * n, [=, &backend] { backend.copy(f, f_out); });
  add_case("cast/f32_to_bf16", 6 * n, [=, &backend] { backend.cast(f, b_out); });
  add_case("dot/f32", 4 * n, [=, &backend] { backend.dot(f, f, 0, sum); });
  add_case("adamw", 28 * n, [=, &backend] {
    backend.adamw(f_out, g, m, v, {}, {.lr = 1e-3F, .beta1 = 0.9F, .beta2 = 0.95F, .eps = 1e-8F});
  });
  add_case("nesterov/bf16", 14 * n, [=, &backend] { backend.nesterov(g, m, {}, 0.95F, b_out); });

  for (const DType act : {DType::kBf16, DType::kF32}) {
    const auto size = static_cast<double>(size_of(act));
    const Tensor x = filled({kTokens, kChannels}, act, 2), dy = filled(x.shape(), act, 3);
    const Tensor y(x.shape(), act);
    const std::string type(name_of(act));
    add_case("add/" + type, 3 * size * n, [=, &backend]() mutable {
      Tensor out = y;
      backend.add(x, dy, out);
    });
    add_case("rms_norm/" + type, 2 * size * n, [=, &backend] {
      Tensor out = y;
      backend.rms_norm(x, out, rstd, 1e-6F);
    });
    add_case("rms_norm_backward/" + type, 4 * size * n, [=, &backend] {
      Tensor out = y;
      backend.rms_norm_backward(dy, x, rstd, dy, out);
    });
    add_case("relu_squared_backward/" + type, 3 * size * n, [=, &backend] {
      Tensor out = y;
      backend.relu_squared_backward(dy, x, out);
    });
    const AttentionShape shape{.n_head = 6, .n_kv_head = 6, .head_dim = 128};
    const TokenRuns runs = TokenRuns::uniform(8, kTokens / 24);
    const int64_t rows = runs.n_tokens();
    const Tensor qkv = filled({rows, shape.qkv_dim()}, act, 4);
    const Tensor cos = filled({runs.end_position(), 64}, DType::kF32, 5);
    const Tensor head_rstd({rows, 12}, DType::kF32);
    add_case("rope_qk_norm/" + type, 2 * size * static_cast<double>(rows * 12 * shape.head_dim),
             [=, &backend] {
               Tensor in_place = qkv, out = head_rstd;
               backend.rope_qk_norm(in_place, runs, shape, cos, cos, 1, 1e-6F, out);
             });
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
