/// RMSNorm: every row is scaled to mean square 1.
///
/// Backward, for one row of C elements, all sums over it. With s = rstd = (mean x^2 + eps)^(-1/2):
///   y_i = x_i s,     ds/dx_j = -1/2 s^3 (2 x_j / C) = -s^3 x_j / C = -s^2 y_j / C
///   dL/dx_j = sum_i dy_i dy_i/dx_j = dy_j s + sum_i dy_i x_i (-s^2 y_j / C)
///           = s (dy_j - y_j mean_i(dy_i y_i))                        since x_i s = y_i
/// In words: take from the gradient its part along y, because moving x along itself does not move y
/// (but for eps), and scale as forward did. Only y and s are in the result, so x need not be kept.
#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {

void ReferenceBackend::rms_norm(const Tensor& x, Tensor& y, Tensor& rstd, float eps) {
  const int64_t N = x.dim(0);
  const int64_t C = x.dim(1);
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t n = 0; n < N; ++n) {
      const T* in = x.data<T>() + n * C;  // (C)
      T* out = y.data<T>() + n * C;       // (C)
      double sum = 0;
      for (int64_t c = 0; c < C; ++c) sum += widen(in[c]) * widen(in[c]);
      const double scale = 1 / std::sqrt(sum / static_cast<double>(C) + double{eps});
      for (int64_t c = 0; c < C; ++c) out[c] = round_to<T>(widen(in[c]) * scale);
      rstd.data<Stat<T>>()[n] = static_cast<Stat<T>>(scale);
    }
  });
}

void ReferenceBackend::rms_norm_backward(const Tensor& dy, const Tensor& y, const Tensor& rstd,
                                         const Tensor& residual, Tensor& dx) {
  const int64_t N = y.dim(0);
  const int64_t C = y.dim(1);
  dispatch_float(y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t n = 0; n < N; ++n) {
      const T* gradient = dy.data<T>() + n * C;  // (C)
      const T* normed = y.data<T>() + n * C;     // (C)
      // x goes on beside its norm too (x + f(norm(x))); what comes back that way is added here.
      const T* beside = residual ? residual.data<T>() + n * C : nullptr;  // (C)
      T* out = dx.data<T>() + n * C;                                      // (C)
      double sum = 0;
      for (int64_t c = 0; c < C; ++c) sum += widen(gradient[c]) * widen(normed[c]);
      const double mean = sum / static_cast<double>(C);
      const double scale = double{rstd.data<Stat<T>>()[n]};
      for (int64_t c = 0; c < C; ++c) {
        const double through_norm = scale * (widen(gradient[c]) - widen(normed[c]) * mean);
        out[c] = round_to<T>((beside ? widen(beside[c]) : 0) + through_norm);
      }
    }
  });
}

}  // namespace nanochat::reference
