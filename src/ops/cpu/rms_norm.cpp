#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

void CpuBackend::rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) {
  const int64_t C = x.dim(-1);
  const auto kernel = kernels_.norm.rms_norm[type_of(x)];
  for_rows(x.dim(0), C, [&](int64_t row, int64_t n_rows) {
    kernel(at(x, row * C), at(y, row * C), rstd.data<float>() + row, n_rows, C, eps);
  });
}

void CpuBackend::rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                                   const Tensor& residual, Tensor& dx) {
  const int64_t C = y.dim(-1);
  const auto kernel = kernels_.norm.rms_norm_backward[type_of(y)];
  for_rows(y.dim(0), C, [&](int64_t row, int64_t n_rows) {
    kernel(at(dy, row * C), at(y, row * C), rstd.data<float>() + row,
           residual ? at(residual, row * C) : nullptr, at(dx, row * C), n_rows, C);
  });
}

}  // namespace nanochat::cpu
