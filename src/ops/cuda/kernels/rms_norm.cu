/// RMSNorm, one warp to a row. A row is read twice; the second time it comes out of L1.
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kWarps = 4;

template <int kVec, typename T>
__global__ void __launch_bounds__(kWarps* kWarp)
    rms_norm_kernel(const T* x, T* y, float* rstd, int64_t N, int64_t C, float eps) {
  const int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (n >= N) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const T* in = x + n * C;  // (C)
  T* out = y + n * C;       // (C)
  float sum = 0;
  for (int64_t c = lane * kVec; c < C; c += kWarp * kVec) {
    const Vector<T, kVec> v = load<kVec>(in + c);
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      const float value = widen<float>(v.at[k]);
      sum += value * value;
    }
  }
  sum = warp_sum(sum);
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(C) + eps);
  for (int64_t c = lane * kVec; c < C; c += kWarp * kVec) {
    Vector<T, kVec> v = load<kVec>(in + c);
#pragma unroll
    for (int k = 0; k < kVec; ++k) v.at[k] = round_to<T>(widen<float>(v.at[k]) * scale);
    store<kVec>(out + c, v);
  }
  if (lane == 0) rstd[n] = scale;
}

/// dx may be dy or residual: a lane writes what it alone has read.
template <int kVec, bool kResidual, typename T>
__global__ void __launch_bounds__(kWarps* kWarp)
    rms_norm_backward_kernel(const T* dy, const T* y, const float* rstd, const T* residual, T* dx,
                             int64_t N, int64_t C) {
  const int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (n >= N) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float sum = 0;
  for (int64_t c = lane * kVec; c < C; c += kWarp * kVec) {
    const Vector<T, kVec> g = load<kVec>(dy + n * C + c);
    const Vector<T, kVec> o = load<kVec>(y + n * C + c);
#pragma unroll
    for (int k = 0; k < kVec; ++k) sum += widen<float>(g.at[k]) * widen<float>(o.at[k]);
  }
  const float mean = warp_sum(sum) / static_cast<float>(C);
  const float scale = rstd[n];
  for (int64_t c = lane * kVec; c < C; c += kWarp * kVec) {
    const Vector<T, kVec> g = load<kVec>(dy + n * C + c);
    const Vector<T, kVec> o = load<kVec>(y + n * C + c);
    Vector<T, kVec> beside;
    if constexpr (kResidual) beside = load<kVec>(residual + n * C + c);
    Vector<T, kVec> out;
#pragma unroll
    for (int k = 0; k < kVec; ++k) {
      float value = scale * (widen<float>(g.at[k]) - widen<float>(o.at[k]) * mean);
      if constexpr (kResidual) value += widen<float>(beside.at[k]);
      out.at[k] = round_to<T>(value);
    }
    store<kVec>(dx + n * C + c, out);
  }
}

int blocks_for(int64_t N) { return static_cast<int>((N + kWarps - 1) / kWarps); }

template <int kVec, typename T>
void rms_norm_backward(cudaStream_t stream, const T* dy, const T* y, const float* rstd,
                       const T* residual, T* dx, int64_t N, int64_t C) {
  if (residual != nullptr) {
    rms_norm_backward_kernel<kVec, true>
        <<<blocks_for(N), kWarps * kWarp, 0, stream>>>(dy, y, rstd, residual, dx, N, C);
  } else {
    rms_norm_backward_kernel<kVec, false>
        <<<blocks_for(N), kWarps * kWarp, 0, stream>>>(dy, y, rstd, residual, dx, N, C);
  }
}

}  // namespace

void launch_rms_norm(cudaStream_t stream, DType act, const void* x, void* y, float* rstd, int64_t N,
                     int64_t C, float eps) {
  if (N <= 0) return;
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kVec = kLanes<T>;
    const auto* in = static_cast<const T*>(x);
    auto* out = static_cast<T*>(y);
    if (C % kVec == 0 && is_aligned<kVec>(in) && is_aligned<kVec>(out)) {
      rms_norm_kernel<kVec><<<blocks_for(N), kWarps * kWarp, 0, stream>>>(in, out, rstd, N, C, eps);
    } else {
      rms_norm_kernel<1><<<blocks_for(N), kWarps * kWarp, 0, stream>>>(in, out, rstd, N, C, eps);
    }
  });
}

void launch_rms_norm_backward(cudaStream_t stream, DType act, const void* dy, const void* y,
                              const float* rstd, const void* residual, void* dx, int64_t N,
                              int64_t C) {
  if (N <= 0) return;
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kVec = kLanes<T>;
    const auto* g = static_cast<const T*>(dy);
    const auto* o = static_cast<const T*>(y);
    const auto* beside = static_cast<const T*>(residual);
    auto* out = static_cast<T*>(dx);
    const bool aligned = C % kVec == 0 && is_aligned<kVec>(g) && is_aligned<kVec>(o) &&
                         is_aligned<kVec>(beside) && is_aligned<kVec>(out);
    if (aligned) {
      rms_norm_backward<kVec>(stream, g, o, rstd, beside, out, N, C);
    } else {
      rms_norm_backward<1>(stream, g, o, rstd, beside, out, N, C);
    }
  });
}

}  // namespace nanochat::cuda
