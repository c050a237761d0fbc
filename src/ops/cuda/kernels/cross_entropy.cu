/// Softcap cross-entropy, one block to a row. Two passes over the logits, the second out of L2:
/// a running maximum and sum, then the gradient in place.
#include <cmath>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;

/// tanh(x) for results that are rounded to 16 bits: 1 - 2 / (1 + exp(2x)), whose error of some 1e-7
/// is too large beside a small x; there the series. f32 gets the accurate one.
template <typename T>
__device__ __forceinline__ float tanh_for(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return tanhf(x);
  } else {
    const float bounded = x > 40.0F ? 40.0F : x;  // not fminf, which loses a NaN
    const float far = 1.0F - __fdividef(2.0F, 1.0F + __expf(2.0F * bounded));
    const float x2 = x * x;
    const float series =
        x - x * x2 * (1.0F / 3 - x2 * (2.0F / 15 - x2 * (17.0F / 315 - x2 * (62.0F / 2835))));
    return x2 < 0.09F ? series : far;
  }
}
template <typename T>
__device__ __forceinline__ float exp_for(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return expf(x);
  } else {
    return __expf(x);
  }
}

/// The sum of exp(z - largest), with the largest z so far.
struct Running {
  float largest, sum;
};
__device__ __forceinline__ Running join(Running a, Running b) {
  // A NaN must win; else the larger.
  const float m =
      a.largest != a.largest ? a.largest : (b.largest <= a.largest ? a.largest : b.largest);
  if (m == -INFINITY) return {m, 0.0F};
  return {m, a.sum * expf(a.largest - m) + b.sum * expf(b.largest - m)};
}

template <int kVec, typename T>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(T* logits, const int32_t* targets, const float* weight, float cap,
                         bool with_gradient, float* loss, int64_t V) {
  __shared__ Running warps[kWarps];
  const int64_t n = blockIdx.x;
  T* const x = logits + n * V;  // (V)
  const int32_t target = targets[n];
  const float w = weight[n];
  const int thread = static_cast<int>(threadIdx.x);
  if (target < 0) {
    if (thread == 0) loss[n] = 0;
    if (with_gradient) {
      for (int64_t v = thread; v < V; v += kThreads) x[v] = round_to<T>(0.0F);
    }
    return;
  }

  const float inverse_cap = 1.0F / cap;
  Running mine{-INFINITY, 0};
  float target_z = 0;
  bool has_target = false;
  for (int64_t v = int64_t{thread} * kVec; v < V; v += kThreads * kVec) {
    const Vector<T, kVec> in = load<kVec>(x + v);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float z = cap * tanh_for<T>(widen<float>(in.at[k]) * inverse_cap);
      if (v + k == target) {
        target_z = z;
        has_target = true;
      }
      if (z <= mine.largest) {
        mine.sum += exp_for<T>(z - mine.largest);
      } else {  // larger, or a NaN
        mine.sum = mine.sum * exp_for<T>(mine.largest - z) + 1.0F;
        mine.largest = z;
      }
    }
  }
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Running other{__shfl_down_sync(0xffffffffU, mine.largest, offset),
                        __shfl_down_sync(0xffffffffU, mine.sum, offset)};
    mine = join(mine, other);
  }
  if (thread % kWarp == 0) warps[thread / kWarp] = mine;
  __syncthreads();
  Running all = warps[0];
  for (int i = 1; i < kWarps; ++i) all = join(all, warps[i]);
  const float log_sum = all.largest + logf(all.sum);
  if (has_target) loss[n] = log_sum - target_z;

  if (!with_gradient) return;
  // The thread that reads an element is the one that writes it.
  for (int64_t v = int64_t{thread} * kVec; v < V; v += kThreads * kVec) {
    Vector<T, kVec> both = load<kVec>(x + v);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float tanh_x = tanh_for<T>(widen<float>(both.at[k]) * inverse_cap);
      const float dz = exp_for<T>(cap * tanh_x - log_sum) - (v + k == target ? 1.0F : 0.0F);
      const float dx = w == 0 ? 0.0F : w * dz * (1.0F - tanh_x * tanh_x);
      both.at[k] = round_to<T>(dx);
    }
    store<kVec>(x + v, both);
  }
}

}  // namespace

void launch_softcap_cross_entropy(cudaStream_t stream, DType act, void* logits,
                                  const int32_t* targets, const float* weight, float cap,
                                  bool with_gradient, float* loss, int64_t N, int64_t V) {
  if (N <= 0) return;
  const auto blocks = static_cast<unsigned>(N);
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kVec = kLanes<T>;
    auto* x = static_cast<T*>(logits);
    if (V % kVec == 0 && is_aligned<kVec>(x)) {
      cross_entropy_kernel<kVec>
          <<<blocks, kThreads, 0, stream>>>(x, targets, weight, cap, with_gradient, loss, V);
    } else {
      cross_entropy_kernel<1>
          <<<blocks, kThreads, 0, stream>>>(x, targets, weight, cap, with_gradient, loss, V);
    }
  });
}

}  // namespace nanochat::cuda
