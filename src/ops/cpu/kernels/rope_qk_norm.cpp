/// Rotary positions and QK norm of one head after another, in place. A head is turned twice, once
/// for its length and once to be written, which costs less than a place to keep it.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

template <typename T>
void rope_qk_norm(void* qkv_bytes, float* rstd, const RopeArgs& args) {
  const int64_t half = args.head_dim / 2;
  for (int64_t row = 0; row < args.n_rows; ++row) {
    const float* cos = args.cos + row * half;
    const float* sin = args.sin + row * half;
    for (int64_t head = 0; head < args.n_heads; ++head) {
      T* x = static_cast<T*>(qkv_bytes) + row * args.row_stride + head * args.head_dim;
      F32 sum = zero();
      for_vectors(half, [&](int64_t i, auto part) {
        const F32 x0 = load_at(x + i, part), x1 = load_at(x + half + i, part);
        const F32 c = load_at(cos + i, part), s = load_at(sin + i, part);
        const F32 z0 = fma(x0, c, x1 * s);
        const F32 z1 = fma(x1, c, -(x0 * s));
        sum = fma(z0, z0, fma(z1, z1, sum));
      });
      const float mean = reduce_add(sum) / static_cast<float>(args.head_dim);
      const float r = 1.0F / __builtin_sqrtf(mean + args.eps);
      rstd[row * args.n_heads + head] = r;
      const F32 scale = set1(args.gain * r);
      for_vectors(half, [&](int64_t i, auto part) {
        const F32 x0 = load_at(x + i, part), x1 = load_at(x + half + i, part);
        const F32 c = load_at(cos + i, part), s = load_at(sin + i, part);
        store_at(x + i, scale * fma(x0, c, x1 * s), part);
        store_at(x + half + i, scale * fma(x1, c, -(x0 * s)), part);
      });
    }
  }
}

/// With o = gain z rstd the output and d its gradient:
///   dz = gain rstd (d - o mean(d o) / gain^2),   then turned back by +theta.
template <typename T>
void rope_qk_norm_backward(void* dqkv_bytes, const void* qkv_bytes, const float* rstd,
                           const RopeArgs& args) {
  const int64_t half = args.head_dim / 2;
  const float per_element = 1.0F / (static_cast<float>(args.head_dim) * args.gain * args.gain);
  for (int64_t row = 0; row < args.n_rows; ++row) {
    const float* cos = args.cos + row * half;
    const float* sin = args.sin + row * half;
    for (int64_t head = 0; head < args.n_heads; ++head) {
      const int64_t at = row * args.row_stride + head * args.head_dim;
      T* d = static_cast<T*>(dqkv_bytes) + at;
      const T* o = static_cast<const T*>(qkv_bytes) + at;
      F32 sum = zero();
      for_vectors(args.head_dim, [&](int64_t i, auto part) {
        sum = fma(load_at(d + i, part), load_at(o + i, part), sum);
      });
      const F32 mean = set1(reduce_add(sum) * per_element);
      const F32 scale = set1(args.gain * rstd[row * args.n_heads + head]);
      for_vectors(half, [&](int64_t i, auto part) {
        const F32 dz0 = scale * (load_at(d + i, part) - mean * load_at(o + i, part));
        const F32 dz1 = scale * (load_at(d + half + i, part) - mean * load_at(o + half + i, part));
        const F32 c = load_at(cos + i, part), s = load_at(sin + i, part);
        store_at(d + i, fma(dz0, c, -(dz1 * s)), part);
        store_at(d + half + i, fma(dz0, s, dz1 * c), part);
      });
    }
  }
}

}  // namespace

constinit const RopeKernels kRopeKernels = {
    .rope_qk_norm = {rope_qk_norm<float>, rope_qk_norm<bf16>},
    .rope_qk_norm_backward = {rope_qk_norm_backward<float>, rope_qk_norm_backward<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
