/// Sums over whole tensors: blocks of fixed size, each summed in one order, then added up in order.
/// Neither scheduling nor the number of threads changes a bit.
#include <cmath>

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kBlocksPerThread = kElementGrain / kBlock;

}  // namespace

void CpuBackend::dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) {
  if (!has_kernels(a) || !has_kernels(b)) return reference_backend().dot(a, b, beta, out);
  const auto kernel = kernels_.reductions.dot[type_of(a)][type_of(b)];
  const int64_t n = a.numel(), n_blocks = (n + kBlock - 1) / kBlock;
  auto* sums = static_cast<double*>(workspace_.reserve(n_blocks * size_of(DType::kF64)));
  parallel_for(n_blocks, kBlocksPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sums[i] = kernel(at(a, i * kBlock), at(b, i * kBlock), std::min(kBlock, n - i * kBlock));
    }
  });
  double sum = 0;
  for (int64_t i = 0; i < n_blocks; ++i) sum += sums[i];
  double& result = *out.data<double>();
  result = beta == 0 ? sum : beta * result + sum;
}

void CpuBackend::squared_norms(const Tensor& x, Tensor& out) {
  const auto kernel = kernels_.reductions.dot[type_of(x)][type_of(x)];
  const int64_t n_matrices = x.dim(0), n = x.dim(1) * x.dim(2);
  const int64_t n_blocks = (n + kBlock - 1) / kBlock;
  auto* sums =
      static_cast<double*>(workspace_.reserve(n_matrices * n_blocks * size_of(DType::kF64)));
  parallel_for(n_matrices * n_blocks, kBlocksPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t offset = i % n_blocks * kBlock;
      const void* block = at(x, i / n_blocks * n + offset);
      sums[i] = kernel(block, block, std::min(kBlock, n - offset));
    }
  });
  for (int64_t matrix = 0; matrix < n_matrices; ++matrix) {
    double sum = 0;
    for (int64_t i = 0; i < n_blocks; ++i) sum += sums[matrix * n_blocks + i];
    out.data<double>()[matrix] = sum;
  }
}

void CpuBackend::clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) {
  const double norm = std::sqrt(*norm_squared.data<double>());
  const double factor = std::min(1.0, double{max_norm} / (norm + 1e-6));
  *scale.data<float>() = std::isfinite(norm) ? static_cast<float>(factor) : 0;
}

}  // namespace nanochat::cpu
