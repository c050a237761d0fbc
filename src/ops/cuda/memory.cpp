#include "ops/cuda/memory.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <cuda.h>

#include "core/error.h"
#include "ops/cuda/status.h"

namespace nanochat::cuda {
namespace {

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

Device device_of(int index) {
  return {.kind = DeviceKind::kCuda, .index = static_cast<int8_t>(index)};
}

OutOfMemoryError out_of_memory(int64_t size_bytes) {
  size_t free = 0, total = 0;
  static_cast<void>(cudaMemGetInfo(&free, &total));
  static_cast<void>(cudaGetLastError());  // else the next launch would report it
  return OutOfMemoryError(
      "cannot allocate {} bytes of GPU memory ({} of {} are free): use a smaller model or "
      "--device-batch-size",
      size_bytes, free, total);
}

void* allocate_block(int device, int64_t size_bytes) {
  check(cudaSetDevice(device), "cudaSetDevice");
  void* data = nullptr;
  const cudaError_t status =
      cudaMalloc(&data, static_cast<size_t>(std::max<int64_t>(size_bytes, 1)));
  if (status == cudaErrorMemoryAllocation) throw out_of_memory(size_bytes);
  check(status, "cudaMalloc");
  return data;
}

/// Errors are not reported: memory dies in destructors, at the end also after the driver.
void free_block(int device, void* data) noexcept {
  if (data == nullptr) return;
  static_cast<void>(cudaSetDevice(device));
  static_cast<void>(cudaFree(data));
}

class DeviceStorage final : public Storage {
 public:
  DeviceStorage(int device, int64_t size_bytes) {
    data_ = allocate_block(device, size_bytes);
    size_bytes_ = size_bytes;
    device_ = device_of(device);
  }
  ~DeviceStorage() override { free_block(device_.index, data_); }

 private:
  void release() noexcept override { delete this; }
};

// ---- addresses ---------------------------------------------------------------------------------

/// The driver's functions, by name: the program must start where there is no libcuda to link with.
template <typename Function>
bool find_driver_function(const char* name, Function& function) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found{};
  constexpr unsigned kSince = 12000;  // all of these have had their form since long before
  if (cudaGetDriverEntryPointByVersion(name, &address, kSince, cudaEnableDefault, &found) !=
          cudaSuccess ||
      found != cudaDriverEntryPointSuccess) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  function = reinterpret_cast<Function>(address);
  return true;
}

struct Driver {
  decltype(&cuMemAddressReserve) reserve = nullptr;
  decltype(&cuMemAddressFree) free = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuDeviceGetAttribute) attribute = nullptr;

  [[nodiscard]] bool find() {
    return find_driver_function("cuMemAddressReserve", reserve) &&
           find_driver_function("cuMemAddressFree", free) &&
           find_driver_function("cuMemCreate", create) &&
           find_driver_function("cuMemRelease", release) && find_driver_function("cuMemMap", map) &&
           find_driver_function("cuMemUnmap", unmap) &&
           find_driver_function("cuMemSetAccess", set_access) &&
           find_driver_function("cuMemGetAllocationGranularity", granularity) &&
           find_driver_function("cuDeviceGetAttribute", attribute);
  }
};

class MappedRange final : public AddressRange {
 public:
  /// Null where the driver cannot do it.
  static std::unique_ptr<MappedRange> make(int device, int64_t total_bytes) {
    auto range = std::unique_ptr<MappedRange>(new MappedRange(device));
    return range->reserve(total_bytes) ? std::move(range) : nullptr;
  }
  ~MappedRange() override {
    static_cast<void>(cudaSetDevice(device_.index));
    static_cast<void>(cudaDeviceSynchronize());
    int64_t begin = 0;
    for (const Part& part : parts_) {
      driver_.unmap(address(begin), static_cast<size_t>(part.size_bytes));
      driver_.release(part.handle);
      begin += part.size_bytes;
    }
    if (base_ != nullptr) driver_.free(address(0), static_cast<size_t>(size_bytes_));
  }

  bool commit(int64_t begin, int64_t end) noexcept override {
    const int64_t bytes = end - begin;
    CUmemGenericAllocationHandle handle{};
    if (driver_.create(&handle, static_cast<size_t>(bytes), &properties_, 0) != CUDA_SUCCESS) {
      return false;
    }
    if (driver_.map(address(begin), static_cast<size_t>(bytes), 0, handle, 0) != CUDA_SUCCESS) {
      driver_.release(handle);
      return false;
    }
    CUmemAccessDesc access{};
    access.location = properties_.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (driver_.set_access(address(begin), static_cast<size_t>(bytes), &access, 1) !=
        CUDA_SUCCESS) {
      driver_.unmap(address(begin), static_cast<size_t>(bytes));
      driver_.release(handle);
      return false;
    }
    parts_.push_back({handle, bytes});
    return true;
  }

 private:
  struct Part {
    CUmemGenericAllocationHandle handle;
    int64_t size_bytes;
  };

  explicit MappedRange(int device) {
    device_ = device_of(device);
    properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties_.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties_.location.id = device;
    parts_.reserve(4096);
  }

  [[nodiscard]] bool reserve(int64_t total_bytes) {
    if (!driver_.find()) return false;
    int supported = 0;
    if (driver_.attribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                          device_.index) != CUDA_SUCCESS ||
        supported == 0) {
      return false;
    }
    size_t granularity = 0;
    if (driver_.granularity(&granularity, &properties_, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) !=
        CUDA_SUCCESS) {
      return false;
    }
    constexpr int64_t kStep = 64 << 20;  // a training step needs some hundred of these
    step_bytes_ = round_up(kStep, static_cast<int64_t>(granularity));
    const int64_t bytes = round_up(total_bytes, step_bytes_);
    CUdeviceptr base = 0;
    if (driver_.reserve(&base, static_cast<size_t>(bytes), 0, 0, 0) != CUDA_SUCCESS) return false;
    base_ = reinterpret_cast<char*>(base);
    size_bytes_ = bytes;
    return true;
  }
  [[nodiscard]] CUdeviceptr address(int64_t offset) const noexcept {
    return reinterpret_cast<CUdeviceptr>(base_) + static_cast<CUdeviceptr>(offset);
  }

  Driver driver_;
  CUmemAllocationProp properties_{};
  std::vector<Part> parts_;
};

class BlockRange final : public AddressRange {
 public:
  BlockRange(int device, int64_t size_bytes) {
    device_ = device_of(device);
    step_bytes_ = size_bytes_ = size_bytes;
    base_ = static_cast<char*>(allocate_block(device, size_bytes));
  }
  ~BlockRange() override { free_block(device_.index, base_); }
  bool commit(int64_t /*begin*/, int64_t /*end*/) noexcept override { return true; }
};

}  // namespace

StoragePtr DeviceAllocator::allocate(int64_t size_bytes) {
  return StoragePtr(std::make_unique<DeviceStorage>(device_, size_bytes).release());
}

std::unique_ptr<AddressRange> reserve_device_addresses(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  if (auto range = MappedRange::make(device, static_cast<int64_t>(total))) return range;
  constexpr int64_t kStep = 2 << 20;
  const int64_t most = static_cast<int64_t>(free) / 4 * 3;  // the rest for what comes later
  return std::make_unique<BlockRange>(device, most / kStep * kStep);
}

Workspace::~Workspace() { free_block(device_, data_); }

void* Workspace::get(int64_t size_bytes) {
  if (size_bytes > size_bytes_) {
    free_block(device_, std::exchange(data_, nullptr));  // waits for those who use it
    size_bytes_ = 0;
    const int64_t rounded = round_up(size_bytes, 1 << 20);
    data_ = allocate_block(device_, rounded);
    size_bytes_ = rounded;
  }
  return data_;
}

Uploader::Uploader(cudaStream_t stream) : stream_(stream) {
  for (Buffer& b : buffers_) {
    check(cudaHostAlloc(&b.data, kBufferBytes, cudaHostAllocDefault), "cudaHostAlloc");
    check(cudaEventCreateWithFlags(&b.done, cudaEventDisableTiming), "cudaEventCreate");
  }
}

Uploader::~Uploader() {
  for (Buffer& b : buffers_) {
    if (b.done != nullptr) static_cast<void>(cudaEventDestroy(b.done));
    if (b.data != nullptr) static_cast<void>(cudaFreeHost(b.data));
  }
}

void Uploader::upload(const void* host, void* device, int64_t size_bytes) {
  for (int64_t begin = 0; begin < size_bytes; begin += kBufferBytes) {
    const auto n = static_cast<size_t>(std::min(kBufferBytes, size_bytes - begin));
    Buffer& b = buffers_[static_cast<size_t>(next_)];
    next_ = (next_ + 1) % kBuffers;
    check(cudaEventSynchronize(b.done), "an earlier operation");
    std::memcpy(b.data, static_cast<const char*>(host) + begin, n);
    check(cudaMemcpyAsync(static_cast<char*>(device) + begin, b.data, n, cudaMemcpyHostToDevice,
                          stream_),
          "cudaMemcpyAsync");
    check(cudaEventRecord(b.done, stream_), "cudaEventRecord");
  }
}

}  // namespace nanochat::cuda
