/// Optimizer updates: one pass over memory each.
#include "ops/cpu/kernels/tables.h"

namespace nanochat::cpu::NC_ISA {
namespace {

void adamw(float* p, const float* g, float* m, float* v, const AdamWStep& step, int64_t n) {
  const F32 grad_scale = set1(step.grad_scale), decay = set1(step.decay);
  const F32 one_minus_beta1 = set1(step.one_minus_beta1);
  const F32 beta2 = set1(step.beta2), one_minus_beta2 = set1(step.one_minus_beta2);
  const F32 step_size = set1(step.step_size), eps = set1(step.eps);
  const F32 inv_sqrt_correction2 = set1(step.inv_sqrt_correction2);
  for_vectors(n, [&](int64_t i, auto part) {
    const F32 grad = grad_scale * load_at(g + i, part);
    const F32 old_m = load_at(m + i, part);
    const F32 new_m = fma(one_minus_beta1, grad - old_m, old_m);
    const F32 new_v = fma(beta2, load_at(v + i, part), one_minus_beta2 * grad * grad);
    store_at(m + i, new_m, part);
    store_at(v + i, new_v, part);
    const F32 denominator = fma(sqrt(new_v), inv_sqrt_correction2, eps);
    store_at(p + i, fma(decay, load_at(p + i, part), -(step_size * new_m / denominator)), part);
  });
}

template <typename U>
void nesterov(const float* g, float* m, float grad_scale, float mu, void* u_bytes, int64_t n) {
  U* u = static_cast<U*>(u_bytes);
  const F32 scale = set1(grad_scale), momentum = set1(mu), rest = set1(1 - mu);
  for_vectors(n, [&](int64_t i, auto part) {
    const F32 grad = scale * load_at(g + i, part);
    const F32 old_m = load_at(m + i, part);
    const F32 new_m = fma(rest, grad - old_m, old_m);
    store_at(m + i, new_m, part);
    store_at(u + i, fma(rest, grad, momentum * new_m), part);
  });
}

}  // namespace

constinit const OptimKernels kOptimKernels = {
    .adamw = adamw,
    .nesterov = {nesterov<float>, nesterov<bf16>},
};

}  // namespace nanochat::cpu::NC_ISA
