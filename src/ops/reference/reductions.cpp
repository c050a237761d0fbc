/// Sums over whole tensors, and the clip factor that comes from one.
#include <algorithm>
#include <cmath>

#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) {
  dispatch_floats(a.dtype(), b.dtype(), [&](auto a_tag, auto b_tag) {
    using A = typename decltype(a_tag)::type;
    using B = typename decltype(b_tag)::type;
    double sum = 0;
    for (int64_t i = 0; i < a.numel(); ++i) sum += widen(a.data<A>()[i]) * widen(b.data<B>()[i]);
    double& result = *out.data<double>();
    result = beta == 0 ? sum : beta * result + sum;  // beta == 0: what out held may be a NaN
  });
}

void ReferenceBackend::clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) {
  const double norm = std::sqrt(*norm_squared.data<double>());
  // A factor of 0 takes no step on a broken gradient; the trainer sees the norm and stops the run.
  *scale.data<float>() =
      std::isfinite(norm) ? static_cast<float>(std::min(1.0, double{max_norm} / (norm + 1e-6))) : 0;
}

void ReferenceBackend::squared_norms(const Tensor& x, Tensor& out) {
  const int64_t matrix_numel = x.dim(1) * x.dim(2);
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t m = 0; m < x.dim(0); ++m) {
      const T* matrix = x.data<T>() + m * matrix_numel;  // (R, C)
      double sum = 0;
      for (int64_t i = 0; i < matrix_numel; ++i) sum += widen(matrix[i]) * widen(matrix[i]);
      out.data<double>()[m] = sum;
    }
  });
}

}  // namespace nanochat::reference
