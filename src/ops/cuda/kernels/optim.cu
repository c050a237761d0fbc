/// What the optimizers do to each element: bound by memory, 16 bytes per thread and tensor.
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 256;

struct AdamWState {
  float p, m, v;
};
__device__ __forceinline__ AdamWState adamw_step(AdamWState s, float g, const AdamWArguments& a) {
  s.m += (1.0F - a.beta1) * (g - s.m);
  s.v = a.beta2 * s.v + (1.0F - a.beta2) * g * g;
  s.p = s.p * a.one_minus_lr_decay - a.step_size * s.m / (sqrtf(s.v) * a.inv_correction2 + a.eps);
  return s;
}

template <int kVec>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(float* p, const float* g, float* m, float* v, const float* scale, AdamWArguments a,
                 int64_t n) {
  const float factor = scale != nullptr ? *scale : 1.0F;
  const int64_t stride = int64_t{gridDim.x} * kThreads * kVec;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kVec; i < n; i += stride) {
    if (kVec > 1 && i + kVec <= n) {
      Vector<float, kVec> vp = load<kVec>(p + i), vm = load<kVec>(m + i), vv = load<kVec>(v + i);
      const Vector<float, kVec> vg = load<kVec>(g + i);
#pragma unroll
      for (int k = 0; k < kVec; ++k) {
        const AdamWState s = adamw_step({vp.at[k], vm.at[k], vv.at[k]}, factor * vg.at[k], a);
        vp.at[k] = s.p;
        vm.at[k] = s.m;
        vv.at[k] = s.v;
      }
      store<kVec>(p + i, vp);
      store<kVec>(m + i, vm);
      store<kVec>(v + i, vv);
    } else {
      for (int64_t j = i; j < n && j < i + kVec; ++j) {
        const AdamWState s = adamw_step({p[j], m[j], v[j]}, factor * g[j], a);
        p[j] = s.p;
        m[j] = s.m;
        v[j] = s.v;
      }
    }
  }
}

template <int kVec, typename U>
__global__ void __launch_bounds__(kThreads)
    nesterov_kernel(const float* g, float* m, const float* scale, float mu, U* u, int64_t n) {
  const float factor = scale != nullptr ? *scale : 1.0F;
  const auto step = [&](float gradient, float& momentum) {
    gradient *= factor;
    momentum += (1.0F - mu) * (gradient - momentum);
    return round_to<U>((1.0F - mu) * gradient + mu * momentum);
  };
  const int64_t stride = int64_t{gridDim.x} * kThreads * kVec;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kVec; i < n; i += stride) {
    if (kVec > 1 && i + kVec <= n) {
      const Vector<float, kVec> vg = load<kVec>(g + i);
      Vector<float, kVec> vm = load<kVec>(m + i);
      Vector<U, kVec> vu;
#pragma unroll
      for (int k = 0; k < kVec; ++k) vu.at[k] = step(vg.at[k], vm.at[k]);
      store<kVec>(m + i, vm);
      store<kVec>(u + i, vu);
    } else {
      for (int64_t j = i; j < n && j < i + kVec; ++j) u[j] = step(g[j], m[j]);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    normalize_kernel(T* x, const double* norm_squared, float eps, int64_t matrix_numel) {
  const auto factor = 1.0 / (sqrt(norm_squared[blockIdx.y]) + static_cast<double>(eps));
  T* const matrix = x + int64_t{blockIdx.y} * matrix_numel;
  using C = Compute<T>;
  const C scale = static_cast<C>(factor);
  const int64_t stride = int64_t{gridDim.x} * kThreads;
#pragma unroll 4
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < matrix_numel; i += stride) {
    matrix[i] = round_to<T>(widen<C>(matrix[i]) * scale);
  }
}

}  // namespace

void launch_adamw(cudaStream_t stream, float* p, const float* g, float* m, float* v,
                  const float* scale, const AdamWArguments& a, int64_t n) {
  if (n <= 0) return;
  constexpr int kVec = kLanes<float>;
  if (is_aligned<kVec>(p) && is_aligned<kVec>(g) && is_aligned<kVec>(m) && is_aligned<kVec>(v)) {
    adamw_kernel<kVec>
        <<<grid_for(n, kThreads * kVec), kThreads, 0, stream>>>(p, g, m, v, scale, a, n);
  } else {
    adamw_kernel<1><<<grid_for(n, kThreads), kThreads, 0, stream>>>(p, g, m, v, scale, a, n);
  }
}

void launch_nesterov(cudaStream_t stream, const float* g, float* m, const float* scale, float mu,
                     Out u, int64_t n) {
  if (n <= 0) return;
  constexpr int kVec = kLanes<float>;
  dispatch_act(u.dtype, [&](auto tag) {
    using U = typename decltype(tag)::type;
    auto* to = static_cast<U*>(u.data);
    if (is_aligned<kVec>(g) && is_aligned<kVec>(m) && is_aligned<kVec>(to)) {
      nesterov_kernel<kVec>
          <<<grid_for(n, kThreads * kVec), kThreads, 0, stream>>>(g, m, scale, mu, to, n);
    } else {
      nesterov_kernel<1><<<grid_for(n, kThreads), kThreads, 0, stream>>>(g, m, scale, mu, to, n);
    }
  });
}

void launch_normalize_matrices(cudaStream_t stream, Out x, const double* norm_squared, float eps,
                               int64_t batch, int64_t matrix_numel) {
  if (batch <= 0 || matrix_numel <= 0) return;
  constexpr int64_t kMostBatch = 32768;  // of grid.y
  dispatch_any(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t begin = 0; begin < batch; begin += kMostBatch) {
      const int64_t n = batch - begin < kMostBatch ? batch - begin : kMostBatch;
      const dim3 grid(static_cast<unsigned>(grid_for(matrix_numel, kThreads * 4, 1024)),
                      static_cast<unsigned>(n));
      normalize_kernel<<<grid, kThreads, 0, stream>>>(
          static_cast<T*>(x.data) + begin * matrix_numel, norm_squared + begin, eps, matrix_numel);
    }
  });
}

}  // namespace nanochat::cuda
