/// Reductions and what the optimizers do.
#include <cmath>

#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {
namespace {

const float* factor_of(const Tensor& scale) { return scale ? scale.data<float>() : nullptr; }

}  // namespace

void CudaBackend::dot(const Tensor& a, const Tensor& b, double beta, Tensor& out) {
  const cudaStream_t s = stream();
  const int64_t n = a.numel();
  void* const scratch = workspace_.get(dot_scratch_doubles(n) * int64_t{sizeof(double)});
  launch_dot(s, in(a), in(b), beta, out.data<double>(), n, static_cast<double*>(scratch));
  check_launch("dot");
}

void CudaBackend::squared_norms(const Tensor& x, Tensor& out) {
  const cudaStream_t s = stream();
  const int64_t batch = x.dim(0), numel = x.dim(1) * x.dim(2);
  void* const scratch =
      workspace_.get(batch * dot_scratch_doubles(numel) * int64_t{sizeof(double)});
  launch_squared_norms(s, in(x), batch, numel, out.data<double>(), static_cast<double*>(scratch));
  check_launch("squared_norms");
}

void CudaBackend::clip_scale(const Tensor& norm_squared, float max_norm, Tensor& scale) {
  launch_clip_scale(stream(), norm_squared.data<double>(), max_norm, scale.data<float>());
  check_launch("clip_scale");
}

void CudaBackend::adamw(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const Tensor& scale,
                        const AdamWParams& params) {
  const double lr = double{params.lr};
  const auto t = static_cast<double>(params.step);
  const double correction1 = 1 - std::pow(double{params.beta1}, t);
  const double correction2 = std::sqrt(1 - std::pow(double{params.beta2}, t));
  const AdamWArguments a{
      .step_size = static_cast<float>(lr / correction1),
      .inv_correction2 = static_cast<float>(1 / correction2),
      .one_minus_lr_decay = static_cast<float>(1 - lr * double{params.weight_decay}),
      .beta1 = params.beta1,
      .beta2 = params.beta2,
      .eps = params.eps};
  launch_adamw(stream(), p.data<float>(), g.data<float>(), m.data<float>(), v.data<float>(),
               factor_of(scale), a, p.numel());
  check_launch("adamw");
}

void CudaBackend::nesterov(const Tensor& g, Tensor& m, const Tensor& scale, float mu, Tensor& u) {
  launch_nesterov(stream(), g.data<float>(), m.data<float>(), factor_of(scale), mu, out(u),
                  g.numel());
  check_launch("nesterov");
}

void CudaBackend::normalize_matrices(Tensor& x, const Tensor& norm_squared, float eps) {
  launch_normalize_matrices(stream(), out(x), norm_squared.data<double>(), eps, x.dim(0),
                            x.dim(1) * x.dim(2));
  check_launch("normalize_matrices");
}

}  // namespace nanochat::cuda
