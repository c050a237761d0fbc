/// How kernels read and write numbers: f32 (f64 beside f64) between the read and the one rounding
/// at the write, in pieces of 16 bytes where addresses allow.
#pragma once

#include <cstdint>
#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "core/dtype_enum.h"

namespace nanochat::cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;

/// What a kernel computes in: double when any operand is, else float.
template <typename... Ts>
using Compute = std::conditional_t<(std::is_same_v<Ts, double> || ...), double, float>;

template <typename C, typename T>
__device__ __forceinline__ C widen(T x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return static_cast<C>(__bfloat162float(x));
  } else if constexpr (std::is_same_v<T, f16>) {
    return static_cast<C>(__half2float(x));
  } else {
    return static_cast<C>(x);
  }
}

/// To nearest, ties to even, in one rounding.
template <typename T, typename C>
__device__ __forceinline__ T round_to(C x) {
  if constexpr (std::is_same_v<T, bf16>) {
    if constexpr (std::is_same_v<C, double>) {
      return __double2bfloat16(x);
    } else {
      return __float2bfloat16_rn(x);
    }
  } else if constexpr (std::is_same_v<T, f16>) {
    if constexpr (std::is_same_v<C, double>) {
      return __double2half(x);
    } else {
      return __float2half_rn(x);
    }
  } else {
    return static_cast<T>(x);
  }
}

/// N elements that are read and written as one, where the address is a multiple of their size.
template <typename T, int N>
struct alignas(sizeof(T) * N) Vector {
  T at[N];
};

/// Elements of the widest type among Ts that fill 16 bytes.
template <typename... Ts>
inline constexpr int kLanes = [] {
  size_t widest = 1;
  ((widest = sizeof(Ts) > widest ? sizeof(Ts) : widest), ...);
  return static_cast<int>(16 / widest);
}();

template <int N, typename T>
[[nodiscard]] bool is_aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % (sizeof(T) * N) == 0;
}

template <int N, typename T>
__device__ __forceinline__ Vector<T, N> load(const T* p) {
  return *reinterpret_cast<const Vector<T, N>*>(p);
}
template <int N, typename T>
__device__ __forceinline__ void store(T* p, const Vector<T, N>& v) {
  *reinterpret_cast<Vector<T, N>*>(p) = v;
}

/// f(TypeTag<device type>{}) for a floating dtype that activations may have.
template <typename F>
void dispatch_act(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kBf16:
      return f(TypeTag<bf16>{});
    case DType::kF16:
      return f(TypeTag<f16>{});
    default:
      return f(TypeTag<float>{});
  }
}
/// The same with f64 among them.
template <typename F>
void dispatch_any(DType dtype, F&& f) {
  if (dtype == DType::kF64) return f(TypeTag<double>{});
  dispatch_act(dtype, std::forward<F>(f));
}

inline constexpr int kWarp = 32;

template <typename C>
__device__ __forceinline__ C warp_sum(C x) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    x += __shfl_xor_sync(0xffffffffU, x, offset);
  }
  return x;
}

/// The sum over a block of whole warps, in every thread; in one order whatever the card. `scratch`
/// holds one C per warp. Ends with a barrier passed, so that scratch may be used again after the
/// next one.
template <typename C>
__device__ C block_sum(C x, C* scratch) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int n_warps = static_cast<int>(blockDim.x) / kWarp;
  x = warp_sum(x);
  __syncthreads();  // of whoever read scratch before
  if (threadIdx.x % kWarp == 0) scratch[warp] = x;
  __syncthreads();
  C sum = 0;
  for (int w = 0; w < n_warps; ++w) sum += scratch[w];
  return sum;
}

/// Blocks of a grid in which each thread takes several items in turn: enough for any card, and a
/// function of n alone, since sums are cut by it.
[[nodiscard]] inline int grid_for(int64_t n, int64_t per_block, int64_t most = 4096) {
  const int64_t blocks = (n + per_block - 1) / per_block;
  return static_cast<int>(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

}  // namespace nanochat::cuda
