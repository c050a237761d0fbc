#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

void CpuBackend::matmul(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                        Tensor& c, float alpha, float beta, Epilogue epilogue) {
  if (c.numel() == 0) return;
  const int64_t K = a.dim(transpose_a ? -2 : -1);
  if (K == 0) return finish_without_terms(c, beta, epilogue);
  gemm_->run({.batch = c.rank() == 3 ? c.dim(0) : 1,
              .M = c.dim(-2),
              .N = c.dim(-1),
              .K = K,
              .transpose_a = transpose_a,
              .transpose_b = transpose_b,
              .in = a.dtype(),
              .out = c.dtype(),
              .alpha = alpha,
              .beta = beta,
              .relu_squared = epilogue == Epilogue::kReluSquared},
             a.raw(), b.raw(), c.raw());
}

void CpuBackend::finish_without_terms(Tensor& c, float beta, Epilogue epilogue) {
  if (beta == 0) {
    zero(c);
  } else {
    const auto kernel = kernels_.elementwise.scale[type_of(c)];
    for_elements(c.numel(), [&](int64_t begin, int64_t n) { kernel(at(c, begin), beta, n); });
  }
  if (epilogue == Epilogue::kReluSquared) relu_squared(c, c);
}

}  // namespace nanochat::cpu
