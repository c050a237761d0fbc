/// What CUDA and cuBLAS report, as errors of ours.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "core/error.h"

namespace nanochat::cuda {

/// Throws DeviceError that names the place. An error of the device itself (an illegal address)
/// shows up in whatever call comes next, and stays.
inline void check(cudaError_t status, const char* where) {
  if (status == cudaSuccess) [[likely]]
    return;
  throw DeviceError("CUDA: {} in {}: {}", cudaGetErrorName(status), where,
                    cudaGetErrorString(status));
}
inline void check(cublasStatus_t status, const char* where) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw DeviceError("cuBLAS: {} in {}", cublasLtGetStatusName(status), where);
}

}  // namespace nanochat::cuda
