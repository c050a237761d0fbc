/// Rotary positions and the norm of query and key heads, in place, one warp to a head. A lane owns
/// the pairs (i, i + D/2) that it reads, so that nothing is overwritten that another lane wants.
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kWarps = 4;

/// Where a warp works: one of the heads that are normed, of one row.
struct Place {
  int64_t row, head;
  int64_t position;
};
__device__ __forceinline__ bool find_place(int64_t n_items, int64_t n_normed, const DeviceRun* runs,
                                           const int32_t* run_of_row, Place& place) {
  const int64_t item = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (item >= n_items) return false;
  place.row = item / n_normed;
  place.head = item % n_normed;
  const DeviceRun run = runs[run_of_row[place.row]];
  place.position = int64_t{run.position} + (place.row - run.row_begin);
  return true;
}

/// Pairs come kVec at a time: kVec divides D/2, and the heads are aligned to that.
template <int kVec, typename T>
__global__ void __launch_bounds__(kWarps* kWarp)
    rope_qk_norm_kernel(T* qkv, const DeviceRun* runs, const int32_t* run_of_row, HeadLayout heads,
                        const float* cos, const float* sin, float gain, float eps, float* rstd,
                        int64_t n_items) {
  const int n_normed = heads.n_head + heads.n_kv_head;
  Place at;
  if (!find_place(n_items, n_normed, runs, run_of_row, at)) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int D = heads.head_dim, half = D / 2;
  T* x = qkv + at.row * heads.qkv_dim() + at.head * D;  // (D)
  const float* c = cos + at.position * half;            // (D/2)
  const float* s = sin + at.position * half;            // (D/2)
  float sum = 0;
  for (int i = lane * kVec; i < half; i += kWarp * kVec) {
    const Vector<T, kVec> first = load<kVec>(x + i), second = load<kVec>(x + i + half);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float a = widen<float>(first.at[k]), b = widen<float>(second.at[k]);
      const float z0 = a * c[i + k] + b * s[i + k];
      const float z1 = b * c[i + k] - a * s[i + k];
      sum += z0 * z0 + z1 * z1;
    }
  }
  sum = warp_sum(sum);
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(D) + eps);
  const float factor = gain * scale;
  for (int i = lane * kVec; i < half; i += kWarp * kVec) {
    Vector<T, kVec> first = load<kVec>(x + i), second = load<kVec>(x + i + half);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float a = widen<float>(first.at[k]), b = widen<float>(second.at[k]);
      first.at[k] = round_to<T>((a * c[i + k] + b * s[i + k]) * factor);
      second.at[k] = round_to<T>((b * c[i + k] - a * s[i + k]) * factor);
    }
    store<kVec>(x + i, first);
    store<kVec>(x + i + half, second);
  }
  if (lane == 0) rstd[at.row * n_normed + at.head] = scale;
}

template <int kVec, typename T>
__global__ void __launch_bounds__(kWarps* kWarp)
    rope_qk_norm_backward_kernel(T* dqkv, const T* qkv, const DeviceRun* runs,
                                 const int32_t* run_of_row, HeadLayout heads, const float* cos,
                                 const float* sin, float gain, const float* rstd, int64_t n_items) {
  const int n_normed = heads.n_head + heads.n_kv_head;
  Place at;
  if (!find_place(n_items, n_normed, runs, run_of_row, at)) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int D = heads.head_dim, half = D / 2;
  const int64_t begin = at.row * heads.qkv_dim() + at.head * D;
  const T* o = qkv + begin;                   // (D) what forward left
  T* gradient = dqkv + begin;                 // (D) do, becomes dx
  const float* c = cos + at.position * half;  // (D/2)
  const float* s = sin + at.position * half;  // (D/2)
  float sum = 0;
  for (int i = lane * kVec; i < D; i += kWarp * kVec) {
    const Vector<T, kVec> g = load<kVec>(gradient + i), y = load<kVec>(o + i);
#pragma unroll
    for (int k = 0; k < kVec; ++k) sum += widen<float>(g.at[k]) * widen<float>(y.at[k]);
  }
  const float mean = warp_sum(sum) / static_cast<float>(D);
  const float scale = rstd[at.row * n_normed + at.head];
  const float back = mean / gain;
  for (int i = lane * kVec; i < half; i += kWarp * kVec) {
    Vector<T, kVec> g0 = load<kVec>(gradient + i), g1 = load<kVec>(gradient + i + half);
    const Vector<T, kVec> y0 = load<kVec>(o + i), y1 = load<kVec>(o + i + half);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float z0 = scale * (gain * widen<float>(g0.at[k]) - widen<float>(y0.at[k]) * back);
      const float z1 = scale * (gain * widen<float>(g1.at[k]) - widen<float>(y1.at[k]) * back);
      g0.at[k] = round_to<T>(z0 * c[i + k] - z1 * s[i + k]);
      g1.at[k] = round_to<T>(z0 * s[i + k] + z1 * c[i + k]);
    }
    store<kVec>(gradient + i, g0);
    store<kVec>(gradient + i + half, g1);
  }
}

__global__ void run_of_row_kernel(const DeviceRun* runs, int64_t n_runs, int32_t* run_of_row) {
  for (int64_t r = blockIdx.x; r < n_runs; r += gridDim.x) {
    const DeviceRun run = runs[r];
    for (int32_t t = static_cast<int32_t>(threadIdx.x); t < run.length; t += blockDim.x) {
      run_of_row[run.row_begin + t] = static_cast<int32_t>(r);
    }
  }
}

/// 4 bytes of the activations at a time: 32 lanes then cover a head of 128, and no lane idles.
template <typename T>
inline constexpr int kPairs = 4 / sizeof(T) > 1 ? 4 / sizeof(T) : 1;

/// The second half of the backward kernel's first loop crosses the middle of a head only when kVec
/// divides D/2, which is what is asked for here.
template <typename T>
bool takes_pairs(HeadLayout heads, const T* qkv) {
  return heads.head_dim / 2 % kPairs<T> == 0 && is_aligned<kPairs<T>>(qkv);
}

}  // namespace

void launch_run_of_row(cudaStream_t stream, const DeviceRun* runs, int64_t n_runs,
                       int32_t* run_of_row) {
  if (n_runs <= 0) return;
  run_of_row_kernel<<<grid_for(n_runs, 1), 256, 0, stream>>>(runs, n_runs, run_of_row);
}

void launch_rope_qk_norm(cudaStream_t stream, DType act, void* qkv, const DeviceRun* runs,
                         const int32_t* run_of_row, HeadLayout heads, const float* cos,
                         const float* sin, float gain, float eps, float* rstd, int64_t N) {
  const int64_t items = N * (heads.n_head + heads.n_kv_head);
  if (items <= 0) return;
  const auto blocks = static_cast<unsigned>((items + kWarps - 1) / kWarps);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* x = static_cast<T*>(qkv);
    if (takes_pairs(heads, x)) {
      rope_qk_norm_kernel<kPairs<T>><<<blocks, kWarps * kWarp, 0, stream>>>(
          x, runs, run_of_row, heads, cos, sin, gain, eps, rstd, items);
    } else {
      rope_qk_norm_kernel<1><<<blocks, kWarps * kWarp, 0, stream>>>(x, runs, run_of_row, heads, cos,
                                                                    sin, gain, eps, rstd, items);
    }
  });
}

void launch_rope_qk_norm_backward(cudaStream_t stream, DType act, void* dqkv, const void* qkv,
                                  const DeviceRun* runs, const int32_t* run_of_row,
                                  HeadLayout heads, const float* cos, const float* sin, float gain,
                                  const float* rstd, int64_t N) {
  const int64_t items = N * (heads.n_head + heads.n_kv_head);
  if (items <= 0) return;
  const auto blocks = static_cast<unsigned>((items + kWarps - 1) / kWarps);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* g = static_cast<T*>(dqkv);
    const auto* x = static_cast<const T*>(qkv);
    if (takes_pairs(heads, x) && is_aligned<kPairs<T>>(g)) {
      rope_qk_norm_backward_kernel<kPairs<T>><<<blocks, kWarps * kWarp, 0, stream>>>(
          g, x, runs, run_of_row, heads, cos, sin, gain, rstd, items);
    } else {
      rope_qk_norm_backward_kernel<1><<<blocks, kWarps * kWarp, 0, stream>>>(
          g, x, runs, run_of_row, heads, cos, sin, gain, rstd, items);
    }
  });
}

}  // namespace nanochat::cuda
