/// Matrix products that cuBLAS does not take, and those with packed weights. Neither uses tensor
/// cores: the first is for odd shapes and mixtures of dtypes, the second is bound by reading the
/// weights.
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kTile = 32;  // of c, and of k
constexpr int kRowsPerThread = 4;
constexpr int kThreads = kTile * kTile / kRowsPerThread;

__device__ __forceinline__ float squared_relu(float x) {
  const float positive = x < 0 ? 0.0F : x;  // keeps a NaN
  return positive * positive;
}

template <typename T, typename C>
__global__ void __launch_bounds__(kThreads)
    simple_matmul_kernel(const T* a, const T* b, C* c, MatmulArguments m) {
  __shared__ float a_tile[kTile][kTile + 1];  // [m][k]
  __shared__ float b_tile[kTile][kTile + 1];  // [k][n]
  const int column = static_cast<int>(threadIdx.x) % kTile;
  const int row = static_cast<int>(threadIdx.x) / kTile;  // and those kThreads / kTile further
  constexpr int kStep = kThreads / kTile;
  const int64_t n_tiles = (m.N + kTile - 1) / kTile;
  const int64_t m0 = int64_t{blockIdx.x} / n_tiles * kTile;
  const int64_t n0 = int64_t{blockIdx.x} % n_tiles * kTile;
  for (int64_t batch = blockIdx.y; batch < m.batch; batch += gridDim.y) {
    const T* const a_matrix = a + batch * m.M * m.K;
    const T* const b_matrix = b + batch * m.K * m.N;
    float sums[kRowsPerThread] = {};
    for (int64_t k0 = 0; k0 < m.K; k0 += kTile) {
#pragma unroll
      for (int i = 0; i < kRowsPerThread; ++i) {
        const int r = row + i * kStep;
        // Neighbouring threads read neighbouring addresses, whatever is transposed.
        {
          const int64_t mm = m0 + (m.transpose_a ? column : r);
          const int64_t kk = k0 + (m.transpose_a ? r : column);
          const bool inside = mm < m.M && kk < m.K;
          const int64_t at = m.transpose_a ? kk * m.M + mm : mm * m.K + kk;
          a_tile[mm - m0][kk - k0] = inside ? widen<float>(a_matrix[at]) : 0.0F;
        }
        {
          const int64_t nn = n0 + (m.transpose_b ? r : column);
          const int64_t kk = k0 + (m.transpose_b ? column : r);
          const bool inside = nn < m.N && kk < m.K;
          const int64_t at = m.transpose_b ? nn * m.K + kk : kk * m.N + nn;
          b_tile[kk - k0][nn - n0] = inside ? widen<float>(b_matrix[at]) : 0.0F;
        }
      }
      __syncthreads();
#pragma unroll 8
      for (int k = 0; k < kTile; ++k) {
#pragma unroll
        for (int i = 0; i < kRowsPerThread; ++i) {
          sums[i] += a_tile[row + i * kStep][k] * b_tile[k][column];
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kRowsPerThread; ++i) {
      const int64_t mm = m0 + row + i * kStep, nn = n0 + column;
      if (mm >= m.M || nn >= m.N) continue;
      C& out = c[batch * m.M * m.N + mm * m.N + nn];
      float y = m.alpha * sums[i];
      if (m.beta != 0) y += m.beta * widen<float>(out);
      if (m.relu_squared) y = squared_relu(y);
      out = round_to<C>(y);
    }
  }
}

// ---- packed weights ----------------------------------------------------------------------------

/// A block takes one panel of 16 outputs. Thread (r, s) multiplies weights of output r at the pairs
/// of columns s, s + 16, ...; the 16 sums of an output are added in that order at the end. Rows of
/// x come kPackedRows at a time, so the weights pass through L2 again for each such group; the sum
/// of a row is cut alike in all of them.
constexpr int kPanel = 16;
constexpr int kSlices = 16;
constexpr int kPackedThreads = kPanel * kSlices;
constexpr int kPackedRows = 4;

/// Weights of output r at columns 2 pair and 2 pair + 1 of a panel.
template <PackedFormat kFormat>
__device__ __forceinline__ float2 weights_at(const void* panel, int64_t pair, int r) {
  if constexpr (kFormat == PackedFormat::kBf16) {
    const auto* words = static_cast<const uint32_t*>(panel);
    const uint32_t two = words[pair * kPanel + r];
    return {__uint_as_float(two << 16), __uint_as_float(two & 0xffff0000U)};
  } else if constexpr (kFormat == PackedFormat::kF32) {
    const auto* w = static_cast<const float*>(panel);
    return {w[2 * pair * kPanel + r], w[(2 * pair + 1) * kPanel + r]};
  } else {
    const auto* w = static_cast<const int8_t*>(panel);
    return {static_cast<float>(w[2 * pair * kPanel + r]),
            static_cast<float>(w[(2 * pair + 1) * kPanel + r])};
  }
}

template <PackedFormat kFormat, typename X, typename Y>
__global__ void __launch_bounds__(kPackedThreads)
    packed_matmul_kernel(const X* x, const char* data, const float* scales, Y* y, int64_t N,
                         int64_t in, int64_t out, int64_t panel_bytes, bool relu_squared) {
  __shared__ float parts[kSlices][kPackedRows][kPanel + 1];
  const int r = static_cast<int>(threadIdx.x) % kPanel;
  const int slice = static_cast<int>(threadIdx.x) / kPanel;
  const int64_t panel = blockIdx.x;
  const void* const weights = data + panel * panel_bytes;
  const int64_t pairs = in / 2;  // an odd last column comes after
  for (int64_t n0 = int64_t{blockIdx.y} * kPackedRows; n0 < N;
       n0 += int64_t{gridDim.y} * kPackedRows) {
    const int rows = static_cast<int>(N - n0 < kPackedRows ? N - n0 : kPackedRows);
    const X* row[kPackedRows];
#pragma unroll
    for (int i = 0; i < kPackedRows; ++i) row[i] = x + (n0 + (i < rows ? i : 0)) * in;
    float sums[kPackedRows] = {};
#pragma unroll 4
    for (int64_t pair = slice; pair < pairs; pair += kSlices) {
      const float2 w = weights_at<kFormat>(weights, pair, r);
#pragma unroll
      for (int i = 0; i < kPackedRows; ++i) {
        sums[i] += w.x * widen<float>(row[i][2 * pair]);
        sums[i] += w.y * widen<float>(row[i][2 * pair + 1]);
      }
    }
    if (in % 2 != 0 && slice == pairs % kSlices) {
      const float2 w = weights_at<kFormat>(weights, pairs, r);
#pragma unroll
      for (int i = 0; i < kPackedRows; ++i) sums[i] += w.x * widen<float>(row[i][in - 1]);
    }
#pragma unroll
    for (int i = 0; i < kPackedRows; ++i) parts[slice][i][r] = sums[i];
    __syncthreads();
    const int64_t o = panel * kPanel + r;
    if (slice < rows && o < out) {  // thread (r, i) finishes row i
      float sum = 0;
#pragma unroll
      for (int s = 0; s < kSlices; ++s) sum += parts[s][slice][r];
      if constexpr (kFormat == PackedFormat::kInt8) sum *= scales[o];
      if (relu_squared) sum = squared_relu(sum);
      y[(n0 + slice) * out + o] = round_to<Y>(sum);
    }
    __syncthreads();
  }
}

template <typename X, typename Y>
void launch_packed(cudaStream_t stream, const void* x, PackedFormat format, const void* data,
                   const float* scales, void* y, int64_t N, int64_t in, int64_t out,
                   bool relu_squared) {
  const int64_t panels = (out + kPanel - 1) / kPanel;
  const int64_t weight_bytes = format == PackedFormat::kF32    ? 4
                               : format == PackedFormat::kBf16 ? 2
                                                               : 1;
  const int64_t panel_bytes = (in + 1) / 2 * 2 * kPanel * weight_bytes;
  const dim3 grid(static_cast<unsigned>(panels),
                  static_cast<unsigned>(grid_for(N, kPackedRows, 64)));
  const auto* rows = static_cast<const X*>(x);
  const auto* bytes = static_cast<const char*>(data);
  auto* to = static_cast<Y*>(y);
  const auto launch = [&](auto kernel) {
    kernel<<<grid, kPackedThreads, 0, stream>>>(rows, bytes, scales, to, N, in, out, panel_bytes,
                                                relu_squared);
  };
  switch (format) {
    case PackedFormat::kF32:
      return launch(packed_matmul_kernel<PackedFormat::kF32, X, Y>);
    case PackedFormat::kBf16:
      return launch(packed_matmul_kernel<PackedFormat::kBf16, X, Y>);
    case PackedFormat::kInt8:
      return launch(packed_matmul_kernel<PackedFormat::kInt8, X, Y>);
  }
}

}  // namespace

void launch_simple_matmul(cudaStream_t stream, In a, In b, Out c, const MatmulArguments& m) {
  if (m.batch <= 0 || m.M <= 0 || m.N <= 0) return;
  const int64_t tiles = ((m.M + kTile - 1) / kTile) * ((m.N + kTile - 1) / kTile);
  const dim3 grid(static_cast<unsigned>(tiles),
                  static_cast<unsigned>(m.batch < 65535 ? m.batch : 65535));
  dispatch_act(a.dtype, [&](auto tag) {
    dispatch_act(c.dtype, [&](auto c_tag) {
      using T = typename decltype(tag)::type;
      using C = typename decltype(c_tag)::type;
      simple_matmul_kernel<<<grid, kThreads, 0, stream>>>(
          static_cast<const T*>(a.data), static_cast<const T*>(b.data), static_cast<C*>(c.data), m);
    });
  });
}

void launch_packed_matmul(cudaStream_t stream, In x, PackedFormat format, const void* data,
                          const float* scales, Out y, int64_t N, int64_t in, int64_t out,
                          bool relu_squared) {
  if (N <= 0 || out <= 0) return;
  dispatch_act(x.dtype, [&](auto tag) {
    using X = typename decltype(tag)::type;
    if (y.dtype == x.dtype) {
      launch_packed<X, X>(stream, x.data, format, data, scales, y.data, N, in, out, relu_squared);
    } else {
      launch_packed<X, float>(stream, x.data, format, data, scales, y.data, N, in, out,
                              relu_squared);
    }
  });
}

}  // namespace nanochat::cuda
