/// The CUDA backend lives in a module of its own, nanochat_cuda.so, that is loaded when a GPU is
/// asked for: the same program runs where there is no CUDA, and cuBLAS takes longer to load than
/// the rest of the program to start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace nanochat {

struct CudaDevice {
  std::string name;          ///< "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t memory_bytes_per_second = 0;  ///< by clock and bus width; 0: not known
};

struct CudaInventory {
  std::string problem{};  ///< why there is no device: "the driver is not loaded"; empty: there is
  int driver_version = 0, runtime_version = 0;  ///< 13000: 13.0
  std::vector<CudaDevice> devices{};
};

/// Module and program are built together and must be of one build; this number is the guard. It
/// grows with every change of Backend, of what it is made of, or of what is in this file.
inline constexpr int kCudaModuleInterface = 1;

/// What the module exports.
inline constexpr const char* kCudaInterfaceSymbol = "nanochat_cuda_interface";
using CudaInterfaceFunction = int();
inline constexpr const char* kCudaInventorySymbol = "nanochat_cuda_inventory";
using CudaInventoryFunction = CudaInventory();
inline constexpr const char* kCudaBackendSymbol = "nanochat_cuda_backend";
/// The backend of device `index` < devices.size(); made with the first call, and never destroyed:
/// at exit the driver may be gone before it. Throws DeviceError.
using CudaBackendFunction = Backend&(int index);

}  // namespace nanochat
