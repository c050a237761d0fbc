/// Attention without tensor cores, for every dtype and head size that the others do not take: one
/// warp to a query (or, for the gradients of keys and values, to a key) of one head. Lanes take 32
/// keys side by side for the inner products, then the head's columns for the sums.
#include <cmath>

#include "ops/cuda/kernels/attention_mask.h"
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

/// As many as a block's shared memory has room for; one needs 2 D or 4 D floats.
constexpr int kMostWarps = 4;
constexpr int kSharedBytes = 48 << 10;

int warps_for(int floats_per_warp) {
  const int fit = kSharedBytes / (floats_per_warp * static_cast<int>(sizeof(float)));
  return fit < 1 ? 1 : fit < kMostWarps ? fit : kMostWarps;
}

template <typename T>
__device__ __forceinline__ float inner_product(const float* a, const T* b, int D) {
  float sum = 0;
  for (int d = 0; d < D; ++d) sum += a[d] * widen<float>(b[d]);
  return sum;
}

/// Where a warp works: row `row` of the batch, which is row t of its run.
struct Place {
  int64_t row;
  int head, t;
  DeviceRun run;
};
__device__ __forceinline__ bool find_place(const AttentionArguments& a, int n_heads, Place& place) {
  const int64_t item = int64_t{blockIdx.x} * (blockDim.x / kWarp) + threadIdx.x / kWarp;
  if (item >= a.N * n_heads) return false;
  place.row = item / n_heads;
  place.head = static_cast<int>(item % n_heads);
  place.run = a.runs[a.run_of_row[place.row]];
  place.t = static_cast<int>(place.row - place.run.row_begin);
  return true;
}

template <typename T>
__global__ void simple_forward_kernel(const T* qkv, AttentionArguments a, T* out, float* lse) {
  extern __shared__ float memory[];
  const HeadLayout heads = a.heads;
  const int D = heads.head_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float* const q = memory + static_cast<int>(threadIdx.x) / kWarp * 2 * D;  // (D)
  float* const sums = q + D;                                                // (D)
  Place at;
  if (!find_place(a, heads.n_head, at)) return;
  const int kv_head = at.head / (heads.n_head / heads.n_kv_head);
  const int64_t stride = heads.qkv_dim();
  const T* const rows = qkv + int64_t{at.run.row_begin} * stride;
  const T* const k = rows + heads.q_dim() + int64_t{kv_head} * D;
  const T* const v = k + heads.kv_dim();
  for (int d = lane; d < D; d += kWarp) {
    q[d] = widen<float>(rows[int64_t{at.t} * stride + int64_t{at.head} * D + d]);
    sums[d] = 0;
  }
  __syncwarp();

  float largest = -INFINITY, sum = 0;
  const KeyRange range = keys_of_queries(at.t, 1, at.run.length, a.window, 1);
  for (int j0 = range.begin; j0 < range.end; j0 += kWarp) {
    const int j = j0 + lane;
    const float logit =
        j < range.end ? a.scale * inner_product(q, k + int64_t{j} * stride, D) : -INFINITY;
    float m = logit;
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      m = fmaxf(m, __shfl_xor_sync(0xffffffffU, m, offset));
    }
    m = fmaxf(m, largest);
    const float rescale = expf(largest - m);  // 0 at first: largest is -inf, m is not
    const float p = expf(logit - m);
    sum = sum * rescale + warp_sum(p);
    largest = m;
    const int n = min(kWarp, range.end - j0);
    for (int d0 = 0; d0 < D; d0 += kWarp) {  // all lanes take part in the shuffles
      const int d = d0 + lane;
      float part = d < D ? sums[d] * rescale : 0.0F;
      for (int i = 0; i < n; ++i) {
        const float p_i = __shfl_sync(0xffffffffU, p, i);
        if (d < D) part += p_i * widen<float>(v[int64_t{j0 + i} * stride + d]);
      }
      if (d < D) sums[d] = part;
    }
  }
  T* const to = out + at.row * heads.q_dim() + int64_t{at.head} * D;
  for (int d = lane; d < D; d += kWarp) to[d] = round_to<T>(sums[d] / sum);
  if (lse != nullptr && lane == 0) lse[at.row * heads.n_head + at.head] = largest + logf(sum);
}

/// dq of one query.
template <typename T>
__global__ void simple_backward_queries_kernel(const T* dout, const T* qkv, const float* lse,
                                               const float* delta, AttentionArguments a, T* dqkv) {
  extern __shared__ float memory[];
  const HeadLayout heads = a.heads;
  const int D = heads.head_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float* const q = memory + static_cast<int>(threadIdx.x) / kWarp * 4 * D;  // (D)
  float* const gradient = q + D;                                            // (D)
  float* const dq = gradient + D;                                           // (D)
  Place at;
  if (!find_place(a, heads.n_head, at)) return;
  const int kv_head = at.head / (heads.n_head / heads.n_kv_head);
  const int64_t stride = heads.qkv_dim();
  const int64_t column = int64_t{at.head} * D;
  const T* const rows = qkv + int64_t{at.run.row_begin} * stride;
  const T* const k = rows + heads.q_dim() + int64_t{kv_head} * D;
  const T* const v = k + heads.kv_dim();
  for (int d = lane; d < D; d += kWarp) {
    q[d] = widen<float>(rows[int64_t{at.t} * stride + column + d]);
    gradient[d] = widen<float>(dout[at.row * heads.q_dim() + column + d]);
    dq[d] = 0;
  }
  __syncwarp();
  const float row_lse = lse[at.row * heads.n_head + at.head];
  const float row_delta = delta[at.row * heads.n_head + at.head];
  const KeyRange range = keys_of_queries(at.t, 1, at.run.length, a.window, 1);
  for (int j0 = range.begin; j0 < range.end; j0 += kWarp) {
    const int j = j0 + lane;
    float ds = 0;
    if (j < range.end) {
      const float p = expf(a.scale * inner_product(q, k + int64_t{j} * stride, D) - row_lse);
      ds = p * (inner_product(gradient, v + int64_t{j} * stride, D) - row_delta);
    }
    const int n = min(kWarp, range.end - j0);
    for (int d0 = 0; d0 < D; d0 += kWarp) {
      const int d = d0 + lane;
      float part = d < D ? dq[d] : 0.0F;
      for (int i = 0; i < n; ++i) {
        const float ds_i = __shfl_sync(0xffffffffU, ds, i);
        if (d < D) part += ds_i * widen<float>(k[int64_t{j0 + i} * stride + d]);
      }
      if (d < D) dq[d] = part;
    }
  }
  T* const to = dqkv + at.row * stride + column;
  for (int d = lane; d < D; d += kWarp) to[d] = round_to<T>(a.scale * dq[d]);
}

/// dk and dv of one key: the queries that see it, of all heads that read its head.
template <typename T>
__global__ void simple_backward_keys_kernel(const T* dout, const T* qkv, const float* lse,
                                            const float* delta, AttentionArguments a, T* dqkv) {
  extern __shared__ float memory[];
  const HeadLayout heads = a.heads;
  const int D = heads.head_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float* const k = memory + static_cast<int>(threadIdx.x) / kWarp * 4 * D;  // (D)
  float* const v = k + D;                                                   // (D)
  float* const dk = v + D;                                                  // (D)
  float* const dv = dk + D;                                                 // (D)
  Place at;
  if (!find_place(a, heads.n_kv_head, at)) return;
  const int group = heads.n_head / heads.n_kv_head;
  const int64_t stride = heads.qkv_dim();
  const int64_t column = heads.q_dim() + int64_t{at.head} * D;
  for (int d = lane; d < D; d += kWarp) {
    k[d] = widen<float>(qkv[at.row * stride + column + d]);
    v[d] = widen<float>(qkv[at.row * stride + column + heads.kv_dim() + d]);
    dk[d] = 0;
    dv[d] = 0;
  }
  __syncwarp();
  const KeyRange range = queries_of_keys(at.t, 1, at.run.length, a.window, 1);
  for (int head = at.head * group; head < (at.head + 1) * group; ++head) {
    const T* const q = qkv + int64_t{at.run.row_begin} * stride + int64_t{head} * D;
    const T* const gradient = dout + int64_t{at.run.row_begin} * heads.q_dim() + int64_t{head} * D;
    for (int i0 = range.begin; i0 < range.end; i0 += kWarp) {
      const int i = i0 + lane;
      float p = 0, ds = 0;
      if (i < range.end) {
        const int64_t number = (int64_t{at.run.row_begin} + i) * heads.n_head + head;
        p = expf(a.scale * inner_product(k, q + int64_t{i} * stride, D) - lse[number]);
        ds = p * (inner_product(v, gradient + int64_t{i} * heads.q_dim(), D) - delta[number]);
      }
      const int n = min(kWarp, range.end - i0);
      for (int d0 = 0; d0 < D; d0 += kWarp) {
        const int d = d0 + lane;
        float k_part = d < D ? dk[d] : 0.0F, v_part = d < D ? dv[d] : 0.0F;
        for (int m = 0; m < n; ++m) {
          const float p_m = __shfl_sync(0xffffffffU, p, m);
          const float ds_m = __shfl_sync(0xffffffffU, ds, m);
          if (d < D) {
            k_part += ds_m * widen<float>(q[int64_t{i0 + m} * stride + d]);
            v_part += p_m * widen<float>(gradient[int64_t{i0 + m} * heads.q_dim() + d]);
          }
        }
        if (d < D) {
          dk[d] = k_part;
          dv[d] = v_part;
        }
      }
    }
  }
  T* const to = dqkv + at.row * stride + column;
  for (int d = lane; d < D; d += kWarp) {
    to[d] = round_to<T>(a.scale * dk[d]);
    to[heads.kv_dim() + d] = round_to<T>(dv[d]);
  }
}

template <typename T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    delta_kernel(const T* dout, const T* out, HeadLayout heads, int64_t items, float* delta) {
  const int64_t item = int64_t{blockIdx.x} * kMostWarps + threadIdx.x / kWarp;
  if (item >= items) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int D = heads.head_dim;
  const int64_t begin = item * D;  // [N, H, D], so items lie one behind the other
  float sum = 0;
  for (int d = lane; d < D; d += kWarp) {
    sum += widen<float>(dout[begin + d]) * widen<float>(out[begin + d]);
  }
  sum = warp_sum(sum);
  if (lane == 0) delta[item] = sum;
}

unsigned blocks_for(int64_t items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace

void launch_attention_delta(cudaStream_t stream, DType act, const void* dout, const void* out,
                            HeadLayout heads, int64_t N, float* delta) {
  const int64_t items = N * heads.n_head;
  if (items <= 0) return;
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    delta_kernel<<<blocks_for(items, kMostWarps), kMostWarps * kWarp, 0, stream>>>(
        static_cast<const T*>(dout), static_cast<const T*>(out), heads, items, delta);
  });
}

void launch_simple_forward(cudaStream_t stream, DType act, const void* qkv,
                           const AttentionArguments& a, void* out, float* lse) {
  if (a.N <= 0) return;
  const int floats = 2 * a.heads.head_dim;
  const int warps = warps_for(floats);
  const size_t bytes = static_cast<size_t>(warps * floats) * sizeof(float);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    simple_forward_kernel<T>
        <<<blocks_for(a.N * a.heads.n_head, warps), warps * kWarp, bytes, stream>>>(
            static_cast<const T*>(qkv), a, static_cast<T*>(out), lse);
  });
}

void launch_simple_backward(cudaStream_t stream, DType act, const void* dout, const void* qkv,
                            const void* out, const float* lse, const AttentionArguments& a,
                            float* delta, void* dqkv) {
  if (a.N <= 0) return;
  launch_attention_delta(stream, act, dout, out, a.heads, a.N, delta);
  const int floats = 4 * a.heads.head_dim;
  const int warps = warps_for(floats);
  const size_t bytes = static_cast<size_t>(warps * floats) * sizeof(float);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto* gradient = static_cast<const T*>(dout);
    const auto* from = static_cast<const T*>(qkv);
    auto* to = static_cast<T*>(dqkv);
    simple_backward_queries_kernel<T>
        <<<blocks_for(a.N * a.heads.n_head, warps), warps * kWarp, bytes, stream>>>(
            gradient, from, lse, delta, a, to);
    simple_backward_keys_kernel<T>
        <<<blocks_for(a.N * a.heads.n_kv_head, warps), warps * kWarp, bytes, stream>>>(
            gradient, from, lse, delta, a, to);
  });
}

}  // namespace nanochat::cuda
