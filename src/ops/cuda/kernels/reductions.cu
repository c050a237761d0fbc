/// Sums over whole tensors, in double: parts of a size that depends on the tensor's alone, then one
/// block that adds them in order.
#include <cmath>

#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/kernels/numbers.cuh"

namespace nanochat::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPerBlock = 4096;  // elements; the grid has kMostParts blocks at most
constexpr int64_t kMostParts = 1024;

int parts_of(int64_t n) { return grid_for(n, kPerBlock, kMostParts); }

/// Block (part, batch): the sum of a[i] b[i] over its share of one matrix.
template <typename A, typename B>
__global__ void __launch_bounds__(kThreads)
    dot_parts_kernel(const A* a, const B* b, int64_t n, double* parts) {
  __shared__ double scratch[kThreads / kWarp];
  const int64_t begin = int64_t{blockIdx.y} * n;
  double sum = 0;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
#pragma unroll 4
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    sum += widen<double>(a[begin + i]) * widen<double>(b[begin + i]);
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) parts[int64_t{blockIdx.y} * gridDim.x + blockIdx.x] = sum;
}

/// out[batch] = beta out[batch] + its parts.
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(const double* parts, int n_parts, double beta, double* out) {
  __shared__ double scratch[kThreads / kWarp];
  const double* const mine = parts + int64_t{blockIdx.x} * n_parts;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n_parts; i += kThreads) sum += mine[i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) {
    double& to = out[blockIdx.x];
    to = beta == 0 ? sum : beta * to + sum;
  }
}

__global__ void clip_scale_kernel(const double* norm_squared, float max_norm, float* scale) {
  const double norm = sqrt(*norm_squared);
  const double factor = static_cast<double>(max_norm) / (norm + 1e-6);
  *scale = isfinite(norm) ? static_cast<float>(factor < 1 ? factor : 1.0) : 0.0F;
}

}  // namespace

int64_t dot_scratch_doubles(int64_t n) { return parts_of(n); }

void launch_dot(cudaStream_t stream, In a, In b, double beta, double* out, int64_t n,
                double* scratch) {
  const int parts = parts_of(n);
  dispatch_any(a.dtype, [&](auto a_tag) {
    dispatch_any(b.dtype, [&](auto b_tag) {
      using A = typename decltype(a_tag)::type;
      using B = typename decltype(b_tag)::type;
      dot_parts_kernel<<<parts, kThreads, 0, stream>>>(static_cast<const A*>(a.data),
                                                       static_cast<const B*>(b.data), n, scratch);
    });
  });
  add_parts_kernel<<<1, kThreads, 0, stream>>>(scratch, parts, beta, out);
}

void launch_squared_norms(cudaStream_t stream, In x, int64_t batch, int64_t matrix_numel,
                          double* out, double* scratch) {
  if (batch <= 0) return;
  const int parts = parts_of(matrix_numel);
  constexpr int64_t kMostBatch = 32768;  // of grid.y
  for (int64_t begin = 0; begin < batch; begin += kMostBatch) {
    const int64_t n = batch - begin < kMostBatch ? batch - begin : kMostBatch;
    const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(n));
    dispatch_any(x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto* matrices = static_cast<const T*>(x.data) + begin * matrix_numel;
      dot_parts_kernel<<<grid, kThreads, 0, stream>>>(matrices, matrices, matrix_numel, scratch);
    });
    add_parts_kernel<<<static_cast<unsigned>(n), kThreads, 0, stream>>>(scratch, parts, 0.0,
                                                                        out + begin);
  }
}

void launch_clip_scale(cudaStream_t stream, const double* norm_squared, float max_norm,
                       float* scale) {
  clip_scale_kernel<<<1, 1, 0, stream>>>(norm_squared, max_norm, scale);
}

}  // namespace nanochat::cuda
