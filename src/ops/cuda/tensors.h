/// Tensors as the launchers take them.
#pragma once

#include <cuda_runtime_api.h>

#include "core/tensor.h"
#include "ops/cuda/kernels/launch.h"
#include "ops/cuda/status.h"

namespace nanochat::cuda {

[[nodiscard]] inline bool is_on_gpu(const Tensor& x) {
  return x.device().kind == DeviceKind::kCuda;
}
[[nodiscard]] inline In in(const Tensor& x) { return {.data = x.raw(), .dtype = x.dtype()}; }
[[nodiscard]] inline Out out(Tensor& y) { return {.data = y.raw(), .dtype = y.dtype()}; }

/// Throws DeviceError when a kernel could not be launched.
inline void check_launch(const char* operation) { check(cudaGetLastError(), operation); }

}  // namespace nanochat::cuda
