#include <cmath>

#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {
namespace {

float value_or_one(const Tensor& scale) { return scale ? *scale.data<float>() : 1; }

}  // namespace

void CpuBackend::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
                       const AdamWParams& params) {
  const auto t = static_cast<double>(params.step);
  const double lr = params.lr, beta1 = params.beta1, beta2 = params.beta2;
  const AdamWStep step = {
      .grad_scale = value_or_one(scale),
      .decay = static_cast<float>(1 - lr * double{params.weight_decay}),
      .one_minus_beta1 = static_cast<float>(1 - beta1),
      .beta2 = params.beta2,
      .one_minus_beta2 = static_cast<float>(1 - beta2),
      .step_size = static_cast<float>(lr / (1 - std::pow(beta1, t))),
      .inv_sqrt_correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t))),
      .eps = params.eps,
  };
  for_elements(p.numel(), [&](int64_t begin, int64_t n) {
    kernels_.optim.adamw(p.data<float>() + begin, g.data<float>() + begin, m.data<float>() + begin,
                         v.data<float>() + begin, step, n);
  });
}

void CpuBackend::nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) {
  const auto kernel = kernels_.optim.nesterov[type_of(u)];
  const float factor = value_or_one(scale);
  for_elements(g.numel(), [&](int64_t begin, int64_t n) {
    kernel(g.data<float>() + begin, m.data<float>() + begin, factor, mu, at(u, begin), n);
  });
}

void CpuBackend::normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) {
  const auto kernel = kernels_.elementwise.scale[type_of(x)];
  const int64_t n = x.dim(1) * x.dim(2);
  for (int64_t matrix = 0; matrix < x.dim(0); ++matrix) {
    const double norm = std::sqrt(norm_squared.data<double>()[matrix]);
    const auto factor = static_cast<float>(1 / (norm + double{eps}));
    for_elements(
        n, [&](int64_t begin, int64_t count) { kernel(at(x, matrix * n + begin), factor, count); });
  }
}

}  // namespace nanochat::cpu
