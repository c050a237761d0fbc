/// Memory that tensors share: a counted block and where it came from.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace nanochat {

enum class DeviceKind : uint8_t { kCpu, kCuda };
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int8_t index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// One block of memory with an intrusive count, so that copying a Tensor costs one increment and
/// never allocates. When the count falls to zero, release() gives the block back to its source.
/// The count is thread-safe; the bytes are not.
class Storage {
 public:
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] int64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] Device device() const noexcept { return device_; }

 protected:
  Storage() = default;
  virtual ~Storage() = default;
  /// The last reference is gone. Called once per filling of the block.
  virtual void release() noexcept = 0;

  void* data_ = nullptr;
  int64_t size_bytes_ = 0;
  Device device_;

 private:
  friend class StoragePtr;
  std::atomic<int32_t> references_{0};
};

/// A counted reference to a Storage.
class StoragePtr {
 public:
  StoragePtr() = default;
  explicit StoragePtr(Storage* s) noexcept : s_(s) { acquire(); }
  StoragePtr(const StoragePtr& o) noexcept : s_(o.s_) { acquire(); }
  StoragePtr(StoragePtr&& o) noexcept : s_(std::exchange(o.s_, nullptr)) {}
  StoragePtr& operator=(StoragePtr o) noexcept {
    std::swap(s_, o.s_);
    return *this;
  }
  ~StoragePtr() {
    if (s_ && s_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) s_->release();
  }

  [[nodiscard]] Storage* get() const noexcept { return s_; }
  Storage* operator->() const noexcept { return s_; }
  explicit operator bool() const noexcept { return s_ != nullptr; }
  /// True when this is the only reference: the holder may overwrite the bytes.
  [[nodiscard]] bool unique() const noexcept {
    return s_ && s_->references_.load(std::memory_order_acquire) == 1;
  }

 private:
  void acquire() noexcept {
    if (s_) s_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  Storage* s_ = nullptr;
};

/// Where tensors get their memory. allocate() throws OutOfMemoryError; contents are undefined.
class Allocator {
 public:
  virtual ~Allocator() = default;
  [[nodiscard]] virtual StoragePtr allocate(int64_t size_bytes) = 0;
};

/// Host memory, 64-byte aligned; blocks of 4 MiB and more ask for 2 MiB pages (31.5 against 27 GB/s
/// of one core's reads on Zen 4). Thread-safe.
[[nodiscard]] Allocator& host_allocator() noexcept;

/// Memory that something else owns (a mapped file, a caller's buffer); `keep_alive` is destroyed
/// with the last tensor that looks at it.
[[nodiscard]] StoragePtr wrap_memory(void* data, int64_t size_bytes,
                                     std::function<void()> keep_alive = {});

}  // namespace nanochat
