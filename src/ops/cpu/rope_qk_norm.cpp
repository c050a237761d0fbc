#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

template <typename F>
void CpuBackend::for_rope_rows(const Tensor& qkv, const TokenRuns& runs,
                               const AttentionShape& shape, const Tensor& cos, const Tensor& sin,
                               F&& f) {
  const int64_t half = shape.head_dim / 2;
  for_rows(runs.n_tokens(), qkv.dim(-1), [&](int64_t row, int64_t n_rows) {
    for (const Run& run : runs.runs()) {
      const int64_t begin = std::max<int64_t>(row, run.row_begin);
      const int64_t end = std::min<int64_t>(row + n_rows, int64_t{run.row_begin} + run.length);
      if (begin >= end) continue;
      const int64_t position = run.position + (begin - run.row_begin);
      f(begin, RopeArgs{.n_rows = end - begin,
                        .n_heads = shape.n_head + shape.n_kv_head,
                        .head_dim = shape.head_dim,
                        .row_stride = shape.qkv_dim(),
                        .cos = cos.data<float>() + position * half,
                        .sin = sin.data<float>() + position * half,
                        .gain = 1,
                        .eps = 0});
    }
  });
}

void CpuBackend::rope_qk_norm(Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape,
                              const Tensor& cos, const Tensor& sin, float gain, float eps,
                              Tensor& rstd) {
  const auto kernel = kernels_.rope.rope_qk_norm[type_of(qkv)];
  for_rope_rows(qkv, runs, shape, cos, sin, [&](int64_t row, RopeArgs args) {
    args.gain = gain;
    args.eps = eps;
    kernel(at(qkv, row * args.row_stride), rstd.data<float>() + row * args.n_heads, args);
  });
}

void CpuBackend::rope_qk_norm_backward(Tensor& dqkv, const Tensor& qkv, const TokenRuns& runs,
                                       const AttentionShape& shape, const Tensor& cos,
                                       const Tensor& sin, float gain, const Tensor& rstd) {
  const auto kernel = kernels_.rope.rope_qk_norm_backward[type_of(dqkv)];
  for_rope_rows(qkv, runs, shape, cos, sin, [&](int64_t row, RopeArgs args) {
    args.gain = gain;
    kernel(at(dqkv, row * args.row_stride), at(qkv, row * args.row_stride),
           rstd.data<float>() + row * args.n_heads, args);
  });
}

}  // namespace nanochat::cpu
