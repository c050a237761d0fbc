/// Which backends this machine has, and the one that a user names.
#pragma once

#include <string>
#include <string_view>

#include "ops/backend.h"
#include "ops/cuda/module.h"

namespace nanochat {

/// The NVIDIA GPUs that this program can use; loads the CUDA module with the first call. Without
/// it, without a driver or without a GPU: none, and `problem` says why. Thread-safe.
[[nodiscard]] const CudaInventory& cuda_inventory();

/// The backend of GPU `index`, one per process. Throws DeviceError.
[[nodiscard]] Backend& cuda_backend(int index = 0);

/// "auto" (the first GPU if there is one, else the CPU), "cpu", "cuda", "cuda:1". Throws UsageError
/// for another name and DeviceError when there is no such device.
[[nodiscard]] Backend& backend_named(std::string_view device);

/// Throws UsageError unless backend_named knows the name; looks for no device.
void check_device_name(std::string_view device);

}  // namespace nanochat
