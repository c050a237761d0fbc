/// What nanochat_cuda.so exports (module.h).
#include "ops/cuda/module.h"

#include <memory>
#include <mutex>
#include <vector>

#include "ops/cuda/cuda_backend.h"

#ifdef __clang__  // The types are C++'s: both sides are of one build.
#pragma clang diagnostic ignored "-Wreturn-type-c-linkage"
#endif

namespace {

using nanochat::cuda::CudaBackend;

const nanochat::CudaInventory& inventory() {
  static const nanochat::CudaInventory found = nanochat::cuda::make_inventory();
  return found;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) int nanochat_cuda_interface() {
  return nanochat::kCudaModuleInterface;
}

__attribute__((visibility("default"))) nanochat::CudaInventory nanochat_cuda_inventory() {
  return inventory();
}

__attribute__((visibility("default"))) nanochat::Backend& nanochat_cuda_backend(int index) {
  static std::mutex mutex;
  // Left behind on purpose: destructors at exit would meet a driver that is gone already.
  static auto& backends =
      *std::make_unique<std::vector<std::unique_ptr<CudaBackend>>>(inventory().devices.size())
           .release();
  const std::lock_guard lock(mutex);
  auto& backend = backends.at(static_cast<size_t>(index));
  if (!backend) {
    backend = std::make_unique<CudaBackend>(index, inventory().devices[static_cast<size_t>(index)]);
  }
  return *backend;
}

}  // extern "C"
