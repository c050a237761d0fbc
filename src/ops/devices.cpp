#include "ops/devices.h"

#include <charconv>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "core/error.h"
#include "core/loaded_module.h"

namespace nanochat {
namespace {

constexpr const char* kModuleName = "nanochat_cuda.so";
#ifdef NANOCHAT_CUDA_MODULE
constexpr const char* kBuiltAt = NANOCHAT_CUDA_MODULE;
#else
constexpr const char* kBuiltAt = nullptr;
#endif

struct CudaModule {
  CudaBackendFunction* backend = nullptr;
  CudaInventory inventory{};
};

CudaModule load() {
  CudaModule loaded;
  try {
    void* const module = open_module(kModuleName, kBuiltAt, "CUDA support");
    if (module == nullptr) {
      loaded.inventory.problem = "not in this build (build the preset cuda)";
      return loaded;
    }
    auto* const interface = find_function<CudaInterfaceFunction>(module, kCudaInterfaceSymbol);
    auto* const inventory = find_function<CudaInventoryFunction>(module, kCudaInventorySymbol);
    loaded.backend = find_function<CudaBackendFunction>(module, kCudaBackendSymbol);
    if (interface == nullptr || interface() != kCudaModuleInterface || inventory == nullptr ||
        loaded.backend == nullptr) {
      throw_module_of_another_build(kModuleName);
    }
    loaded.inventory = inventory();
  } catch (const UsageError& e) {  // a library that the module needs is not there
    loaded.inventory.problem = e.what();
  }
  return loaded;
}

const CudaModule& cuda_module() {
  static const CudaModule module = load();
  return module;
}

/// Without one of these files no program can use an NVIDIA GPU (the last is WSL's). Looking is
/// cheaper than loading the module, which every command with --device auto would do.
bool may_have_gpu() {
  std::error_code ignored;
  for (const char* file : {"/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"}) {
    if (std::filesystem::exists(file, ignored)) return true;
  }
  return false;
}

/// The i of "cuda:i", 0 of "cuda".
std::optional<int> cuda_index(std::string_view device) {
  constexpr std::string_view kCuda = "cuda";
  if (device == kCuda) return 0;
  if (!device.starts_with("cuda:")) return std::nullopt;
  device.remove_prefix(kCuda.size() + 1);
  int index = -1;
  const auto [end, error] = std::from_chars(device.data(), device.data() + device.size(), index);
  if (error != std::errc() || end != device.data() + device.size() || index < 0)
    return std::nullopt;
  return index;
}

}  // namespace

const CudaInventory& cuda_inventory() { return cuda_module().inventory; }

Backend& cuda_backend(int index) {
  const CudaInventory& inventory = cuda_inventory();
  if (inventory.devices.empty()) {
    throw DeviceError("no GPU can be used: {}: use --device cpu", inventory.problem);
  }
  if (index < 0 || index >= static_cast<int>(inventory.devices.size())) {
    throw DeviceError("there is no cuda:{}: this machine has cuda:0 to cuda:{}", index,
                      inventory.devices.size() - 1);
  }
  return cuda_module().backend(index);
}

void check_device_name(std::string_view device) {
  if (device == "auto" || device == "cpu" || cuda_index(device)) return;
  throw UsageError("device '{}': expected auto, cpu, cuda or cuda:N", device);
}

Backend& backend_named(std::string_view device) {
  check_device_name(device);
  if (device == "cpu") return cpu_backend();
  if (device == "auto") {
    return may_have_gpu() && !cuda_inventory().devices.empty() ? cuda_backend(0) : cpu_backend();
  }
  return cuda_backend(*cuda_index(device));
}

}  // namespace nanochat
