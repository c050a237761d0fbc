/// Element-wise operations. The few that take f64 (a reference tensor brought here) leave it to the
/// reference: no training step does that.
#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/ranges.h"

namespace nanochat::cpu {

void CpuBackend::cast(const Tensor& x, Tensor& y) {
  if (x.dtype() == y.dtype()) return copy(x, y);
  if (!has_kernels(x) || !has_kernels(y)) return reference_backend().cast(x, y);
  const auto kernel = kernels_.elementwise.cast[type_of(x)][type_of(y)];
  for_elements(y.numel(), [&](int64_t begin, int64_t n) { kernel(at(x, begin), at(y, begin), n); });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  const auto kernel = kernels_.elementwise.add[type_of(y)];
  for_elements(y.numel(), [&](int64_t begin, int64_t n) {
    kernel(at(a, begin), at(b, begin), at(y, begin), n);
  });
}

void CpuBackend::axpby(float a, const Tensor& x, float b, Tensor& y) {
  if (!has_kernels(x) || !has_kernels(y)) return reference_backend().axpby(a, x, b, y);
  const auto kernel = kernels_.elementwise.axpby[type_of(x)][type_of(y)];
  for_elements(y.numel(),
               [&](int64_t begin, int64_t n) { kernel(a, at(x, begin), b, at(y, begin), n); });
}

void CpuBackend::sign(const Tensor& x, Tensor& y) {
  const auto kernel = kernels_.elementwise.sign[type_of(y)];
  for_elements(y.numel(), [&](int64_t begin, int64_t n) { kernel(at(x, begin), at(y, begin), n); });
}

void CpuBackend::relu_squared(const Tensor& x, Tensor& y) {
  const auto kernel = kernels_.elementwise.relu_squared[type_of(y)];
  for_elements(y.numel(), [&](int64_t begin, int64_t n) { kernel(at(x, begin), at(y, begin), n); });
}

void CpuBackend::relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  const auto kernel = kernels_.elementwise.relu_squared_backward[type_of(dx)];
  for_elements(dx.numel(), [&](int64_t begin, int64_t n) {
    kernel(at(dy, begin), at(y, begin), at(dx, begin), n);
  });
}

void CpuBackend::softcap(const Tensor& x, float cap, Tensor& y) {
  const auto kernel = kernels_.elementwise.softcap[type_of(x)][type_of(y)];
  for_elements(y.numel(),
               [&](int64_t begin, int64_t n) { kernel(at(x, begin), cap, at(y, begin), n); });
}

}  // namespace nanochat::cpu
