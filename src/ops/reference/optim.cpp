/// What the optimizers do to each element.
///
/// Both keep a running mean of gradients, m += (1 - b)(g - m), which is b m + (1 - b) g with one
/// rounding error less where g is close to m.
#include <cmath>

#include "ops/reference/numbers.h"
#include "ops/reference/reference_backend.h"

namespace nanochat::reference {
namespace {

double clip_factor(const Tensor& scale) { return scale ? double{*scale.data<float>()} : 1; }

}  // namespace

// m and v start at 0 and are too small at first: after t steps they hold a share 1 - b^t of the
// mean that they estimate (sum of the weights of a geometric series), hence the two corrections.
void ReferenceBackend::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
                             const AdamWParams& params) {
  const double factor = clip_factor(scale);
  const double lr = double{params.lr};
  const double beta1 = double{params.beta1};
  const double beta2 = double{params.beta2};
  const auto t = static_cast<double>(params.step);
  const double step_size = lr / (1 - std::pow(beta1, t));
  const double correction2 = std::sqrt(1 - std::pow(beta2, t));
  dispatch_float(p.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < p.numel(); ++i) {
      const double gradient = factor * widen(g.data<T>()[i]);
      const double old_m = widen(m.data<T>()[i]);
      const double new_m = old_m + (1 - beta1) * (gradient - old_m);
      const double new_v = beta2 * widen(v.data<T>()[i]) + (1 - beta2) * gradient * gradient;
      const double decayed = widen(p.data<T>()[i]) * (1 - lr * double{params.weight_decay});
      const double step = step_size * new_m / (std::sqrt(new_v) / correction2 + double{params.eps});
      p.data<T>()[i] = round_to<T>(decayed - step);
      m.data<T>()[i] = round_to<T>(new_m);
      v.data<T>()[i] = round_to<T>(new_v);
    }
  });
}

void ReferenceBackend::nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu,
                                Tensor& u) {
  const double factor = clip_factor(scale);
  const double keep = double{mu};
  dispatch_floats(g.dtype(), u.dtype(), [&](auto g_tag, auto u_tag) {
    using G = typename decltype(g_tag)::type;
    using U = typename decltype(u_tag)::type;
    for (int64_t i = 0; i < g.numel(); ++i) {
      const double gradient = factor * widen(g.data<G>()[i]);
      const double old_m = widen(m.data<G>()[i]);
      const double new_m = old_m + (1 - keep) * (gradient - old_m);
      m.data<G>()[i] = round_to<G>(new_m);
      u.data<U>()[i] = round_to<U>((1 - keep) * gradient + keep * new_m);
    }
  });
}

void ReferenceBackend::normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) {
  const int64_t matrix_numel = x.dim(1) * x.dim(2);
  dispatch_float(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t m = 0; m < x.dim(0); ++m) {
      T* matrix = x.data<T>() + m * matrix_numel;  // (R, C)
      const double factor = 1 / (std::sqrt(norm_squared.data<double>()[m]) + double{eps});
      for (int64_t i = 0; i < matrix_numel; ++i) {
        matrix[i] = round_to<T>(widen(matrix[i]) * factor);
      }
    }
  });
}

}  // namespace nanochat::reference
