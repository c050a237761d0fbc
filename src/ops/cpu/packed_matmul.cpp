#include <algorithm>

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {
namespace {

// Bytes of x that stay in L2 while panels pass by.
constexpr int64_t kBlockBytes = 512 * 1024;
// Panels that a thread takes at a time: enough bytes in a row for the prefetcher.
constexpr int64_t kItemBytes = 64 * 1024;

}  // namespace

void CpuBackend::matmul_packed(const Tensor& x, const PackedWeights& w, Tensor& y,
                               Epilogue epilogue) {
  const int64_t N = x.dim(0);
  if (N == 0 || w.out == 0) return;
  const PackedKernels::Format& kernels = kernels_.packed.of[static_cast<int>(w.format)][type_of(x)];
  const int64_t steps = w.padded_in() / kernels.elements_per_word;
  // Rows of x start on cache lines, but not all on the same line of L1.
  const int64_t stride = (steps + 15) / 16 * 16 + 16;
  char* const words = static_cast<char*>(workspace_.reserve(N * stride * 4));
  for_rows(N, w.in, [&](int64_t begin, int64_t count) {
    kernels.prepare(at(x, begin * w.in), count, w.in, words + begin * stride * 4, stride);
  });

  const int64_t block_rows = std::max(kernels_.packed.tile_rows, kBlockBytes / (stride * 4));
  const int64_t n_blocks = (N + block_rows - 1) / block_rows;
  const int64_t grain = std::max<int64_t>(1, kItemBytes / w.panel_bytes());
  for (int64_t block = 0; block < n_blocks; ++block) {
    const int64_t begin = N * block / n_blocks, end = N * (block + 1) / n_blocks;
    parallel_for(w.panels(), grain, [&](int64_t panel_begin, int64_t panel_end) {
      kernels.multiply[type_of(y)]({.x = words + begin * stride * 4,
                                    .x_stride = stride,
                                    .rows = end - begin,
                                    .steps = steps,
                                    .panels = w.data.raw(),
                                    .panel_bytes = w.panel_bytes(),
                                    .scales = w.scales ? w.scales.data<float>() : nullptr,
                                    .y = at(y, begin * w.out),
                                    .out = w.out,
                                    .panel_begin = panel_begin,
                                    .panel_end = panel_end,
                                    .relu_squared = epilogue == Epilogue::kReluSquared});
    });
  }
}

}  // namespace nanochat::cpu
