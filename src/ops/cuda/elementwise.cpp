#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/tensors.h"

namespace nanochat::cuda {

void CudaBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  launch_add(stream(), y.dtype(), a.raw(), b.raw(), y.raw(), y.numel());
  check_launch("add");
}

void CudaBackend::axpby(float a, const Tensor& x, float b, Tensor& y) {
  launch_axpby(stream(), a, in(x), b, out(y), y.numel());
  check_launch("axpby");
}

void CudaBackend::sign(const Tensor& x, Tensor& y) {
  launch_sign(stream(), in(x), out(y), y.numel());
  check_launch("sign");
}

void CudaBackend::relu_squared(const Tensor& x, Tensor& y) {
  launch_relu_squared(stream(), in(x), out(y), y.numel());
  check_launch("relu_squared");
}

void CudaBackend::relu_squared_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  launch_relu_squared_backward(stream(), dy.dtype(), dy.raw(), y.raw(), dx.raw(), dx.numel());
  check_launch("relu_squared_backward");
}

void CudaBackend::softcap(const Tensor& x, float cap, Tensor& y) {
  launch_softcap(stream(), in(x), cap, out(y), y.numel());
  check_launch("softcap");
}

}  // namespace nanochat::cuda
