/// A GPU's memory: blocks for what lives long, ranges of addresses for arenas, and the page-locked
/// buffers by which a host's numbers get there without anyone waiting.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include <cuda_runtime_api.h>

#include "core/address_range.h"
#include "core/storage.h"

namespace nanochat::cuda {

/// Blocks by cudaMalloc, 256-byte aligned. Thread-safe. Giving one back waits for the device.
class DeviceAllocator final : public Allocator {
 public:
  explicit DeviceAllocator(int device) : device_(device) {}
  [[nodiscard]] StoragePtr allocate(int64_t size_bytes) override;

 private:
  int device_;
};

/// All of a device's addresses, with memory mapped behind them as an arena's mark passes (the
/// driver's virtual memory functions). Where the driver has none, one block of most of the memory
/// that is free. Throws OutOfMemoryError.
[[nodiscard]] std::unique_ptr<AddressRange> reserve_device_addresses(int device);

/// Memory that all operations of one stream use in turn; grows as needed and never shrinks.
class Workspace {
 public:
  explicit Workspace(int device) : device_(device) {}
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Valid until the next call. Throws OutOfMemoryError.
  [[nodiscard]] void* get(int64_t size_bytes);
  [[nodiscard]] int64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  int device_;
  void* data_ = nullptr;
  int64_t size_bytes_ = 0;
};

/// Copies from the host by way of page-locked memory: the caller's bytes may change as soon as
/// upload() returns, and unless kBuffers copies are under way it returns at once.
class Uploader {
 public:
  explicit Uploader(cudaStream_t stream);
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  void upload(const void* host, void* device, int64_t size_bytes);

 private:
  static constexpr int kBuffers = 4;
  static constexpr int64_t kBufferBytes = 4 << 20;  // the ids of a million tokens
  struct Buffer {
    void* data = nullptr;
    cudaEvent_t done = nullptr;
  };
  cudaStream_t stream_;
  std::array<Buffer, kBuffers> buffers_;
  int next_ = 0;
};

}  // namespace nanochat::cuda
