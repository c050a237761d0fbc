/// What happens to one element at a time. All of it is bound by memory: 16 bytes per thread and
/// access where all addresses allow it.
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 256;

/// y[i] = op(x[i], y[i]) or, without kReadsY, op(x[i]), kVec at a time and what is left one by one.
/// y may be x.
template <int kVec, bool kReadsY, typename X, typename Y, typename Op>
__global__ void __launch_bounds__(kThreads) map_kernel(const X* x, Y* y, int64_t n, Op op) {
  const int64_t stride = int64_t{gridDim.x} * kThreads * kVec;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kVec; i < n; i += stride) {
    if (kVec > 1 && i + kVec <= n) {
      const Vector<X, kVec> in = load<kVec>(x + i);
      Vector<Y, kVec> out;
      if constexpr (kReadsY) out = load<kVec>(y + i);
#pragma unroll
      for (int k = 0; k < kVec; ++k) {
        if constexpr (kReadsY) {
          out.at[k] = op(in.at[k], out.at[k]);
        } else {
          out.at[k] = op(in.at[k]);
        }
      }
      store<kVec>(y + i, out);
    } else {
      for (int64_t j = i; j < n && j < i + kVec; ++j) {
        if constexpr (kReadsY) {
          y[j] = op(x[j], y[j]);
        } else {
          y[j] = op(x[j]);
        }
      }
    }
  }
}

/// y[i] = op(a[i], b[i]); y may be either.
template <int kVec, typename A, typename B, typename Y, typename Op>
__global__ void __launch_bounds__(kThreads)
    zip_kernel(const A* a, const B* b, Y* y, int64_t n, Op op) {
  const int64_t stride = int64_t{gridDim.x} * kThreads * kVec;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kVec; i < n; i += stride) {
    if (kVec > 1 && i + kVec <= n) {
      const Vector<A, kVec> va = load<kVec>(a + i);
      const Vector<B, kVec> vb = load<kVec>(b + i);
      Vector<Y, kVec> out;
#pragma unroll
      for (int k = 0; k < kVec; ++k) out.at[k] = op(va.at[k], vb.at[k]);
      store<kVec>(y + i, out);
    } else {
      for (int64_t j = i; j < n && j < i + kVec; ++j) y[j] = op(a[j], b[j]);
    }
  }
}

template <bool kReadsY, typename X, typename Y, typename Op>
void map(cudaStream_t stream, const void* x, void* y, int64_t n, Op op) {
  if (n <= 0) return;
  constexpr int kVec = kLanes<X, Y>;
  const auto* in = static_cast<const X*>(x);
  auto* out = static_cast<Y*>(y);
  if (is_aligned<kVec>(in) && is_aligned<kVec>(out)) {
    map_kernel<kVec, kReadsY>
        <<<grid_for(n, kThreads * kVec), kThreads, 0, stream>>>(in, out, n, op);
  } else {
    map_kernel<1, kReadsY><<<grid_for(n, kThreads), kThreads, 0, stream>>>(in, out, n, op);
  }
}

template <typename A, typename B, typename Y, typename Op>
void zip(cudaStream_t stream, const void* a, const void* b, void* y, int64_t n, Op op) {
  if (n <= 0) return;
  constexpr int kVec = kLanes<A, B, Y>;
  const auto* pa = static_cast<const A*>(a);
  const auto* pb = static_cast<const B*>(b);
  auto* out = static_cast<Y*>(y);
  if (is_aligned<kVec>(pa) && is_aligned<kVec>(pb) && is_aligned<kVec>(out)) {
    zip_kernel<kVec><<<grid_for(n, kThreads * kVec), kThreads, 0, stream>>>(pa, pb, out, n, op);
  } else {
    zip_kernel<1><<<grid_for(n, kThreads), kThreads, 0, stream>>>(pa, pb, out, n, op);
  }
}

/// As round_to, but a NaN keeps its sign and upper bits, as the reference's does.
template <typename To, typename From>
struct Cast {
  __device__ To operator()(From x) const {
    using C = Compute<From>;
    const C value = widen<C>(x);
    if constexpr (std::is_same_v<To, bf16>) {
      if (value != value) {
        const uint32_t bits = __float_as_uint(static_cast<float>(value));
        return __ushort_as_bfloat16(static_cast<unsigned short>((bits >> 16) | 0x40U));
      }
    }
    return round_to<To>(value);
  }
};

template <typename T>
struct Add {
  __device__ T operator()(T a, T b) const { return round_to<T>(widen<float>(a) + widen<float>(b)); }
};

template <typename X, typename Y>
struct Axpby {
  float a, b;
  __device__ Y operator()(X x, Y y) const {
    using C = Compute<X, Y>;
    return round_to<Y>(static_cast<C>(a) * widen<C>(x) + static_cast<C>(b) * widen<C>(y));
  }
  __device__ Y operator()(X x) const {  // b == 0: what y held may be a NaN
    using C = Compute<X, Y>;
    return round_to<Y>(static_cast<C>(a) * widen<C>(x));
  }
};

template <typename T>
struct Sign {
  __device__ T operator()(T x) const {
    using C = Compute<T>;
    const C value = widen<C>(x);
    return round_to<T>(value > 0 ? C{1} : value < 0 ? C{-1} : C{0});
  }
};

template <typename X, typename Y>
struct ReluSquared {
  __device__ Y operator()(X x) const {
    using C = Compute<X, Y>;
    const C value = widen<C>(x);
    const C positive = value < 0 ? C{0} : value;  // keeps a NaN
    return round_to<Y>(positive * positive);
  }
};

template <typename T>
struct ReluSquaredBackward {
  __device__ T operator()(T dy, T y) const {
    return round_to<T>(widen<float>(dy) * 2.0F * sqrtf(widen<float>(y)));
  }
};

template <typename X, typename Y>
struct Softcap {
  float cap;
  __device__ Y operator()(X x) const { return round_to<Y>(cap * tanhf(widen<float>(x) / cap)); }
};

/// f(tag of x, tag of y) for all floating dtypes.
template <typename F>
void dispatch_two(DType x, DType y, F&& f) {
  dispatch_any(x, [&](auto x_tag) { dispatch_any(y, [&](auto y_tag) { f(x_tag, y_tag); }); });
}

}  // namespace

void launch_cast(cudaStream_t stream, In x, Out y, int64_t n) {
  dispatch_two(x.dtype, y.dtype, [&](auto x_tag, auto y_tag) {
    using X = typename decltype(x_tag)::type;
    using Y = typename decltype(y_tag)::type;
    map<false, X, Y>(stream, x.data, y.data, n, Cast<Y, X>{});
  });
}

void launch_add(cudaStream_t stream, DType act, const void* a, const void* b, void* y, int64_t n) {
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    zip<T, T, T>(stream, a, b, y, n, Add<T>{});
  });
}

void launch_axpby(cudaStream_t stream, float a, In x, float b, Out y, int64_t n) {
  dispatch_two(x.dtype, y.dtype, [&](auto x_tag, auto y_tag) {
    using X = typename decltype(x_tag)::type;
    using Y = typename decltype(y_tag)::type;
    if (b == 0) {
      map<false, X, Y>(stream, x.data, y.data, n, Axpby<X, Y>{a, b});
    } else {
      map<true, X, Y>(stream, x.data, y.data, n, Axpby<X, Y>{a, b});
    }
  });
}

void launch_sign(cudaStream_t stream, In x, Out y, int64_t n) {
  dispatch_any(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map<false, T, T>(stream, x.data, y.data, n, Sign<T>{});
  });
}

void launch_relu_squared(cudaStream_t stream, In x, Out y, int64_t n) {
  dispatch_act(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map<false, T, T>(stream, x.data, y.data, n, ReluSquared<T, T>{});
  });
}

void launch_relu_squared_backward(cudaStream_t stream, DType act, const void* dy, const void* y,
                                  void* dx, int64_t n) {
  dispatch_act(act, [&](auto tag) {
    using T = typename decltype(tag)::type;
    zip<T, T, T>(stream, dy, y, dx, n, ReluSquaredBackward<T>{});
  });
}

void launch_softcap(cudaStream_t stream, In x, float cap, Out y, int64_t n) {
  dispatch_act(x.dtype, [&](auto x_tag) {
    using X = typename decltype(x_tag)::type;
    if (y.dtype == x.dtype) {
      map<false, X, X>(stream, x.data, y.data, n, Softcap<X, X>{cap});
    } else {
      map<false, X, float>(stream, x.data, y.data, n, Softcap<X, float>{cap});
    }
  });
}

}  // namespace nanochat::cuda
