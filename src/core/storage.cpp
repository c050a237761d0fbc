#include "core/storage.h"

#include <cstdlib>
#include <memory>

#include <sys/mman.h>

#include "core/error.h"

namespace nanochat {
namespace {

constexpr int64_t kAlignment = 64;            // one cache line, one 512-bit vector
constexpr int64_t kHugePage = 2 << 20;        // x86-64 and aarch64 (4 KiB granule)
constexpr int64_t kHugeFrom = 2 * kHugePage;  // below this the rounding would waste too much

class HostStorage final : public Storage {
 public:
  explicit HostStorage(int64_t size_bytes) {
    const int64_t alignment = size_bytes >= kHugeFrom ? kHugePage : kAlignment;
    const int64_t padded = (std::max<int64_t>(size_bytes, 1) + alignment - 1) & -alignment;
    data_ = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(padded));
    size_bytes_ = size_bytes;
    if (!data_) {
      throw OutOfMemoryError(
          "cannot allocate {} bytes of host memory: use a smaller model or --device-batch-size",
          size_bytes);
    }
#ifdef MADV_HUGEPAGE
    if (size_bytes >= kHugeFrom) madvise(data_, static_cast<size_t>(padded), MADV_HUGEPAGE);
#endif
  }
  ~HostStorage() override { std::free(data_); }

 private:
  void release() noexcept override { delete this; }
};

class WrappedStorage final : public Storage {
 public:
  WrappedStorage(void* data, int64_t size_bytes, std::function<void()> keep_alive)
      : keep_alive_(std::move(keep_alive)) {
    data_ = data;
    size_bytes_ = size_bytes;
  }

 private:
  void release() noexcept override { delete this; }
  std::function<void()> keep_alive_;
};

class HostAllocator final : public Allocator {
 public:
  StoragePtr allocate(int64_t size_bytes) override {
    return StoragePtr(std::make_unique<HostStorage>(size_bytes).release());
  }
};

}  // namespace

Allocator& host_allocator() noexcept {
  static HostAllocator allocator;
  return allocator;
}

StoragePtr wrap_memory(void* data, int64_t size_bytes, std::function<void()> keep_alive) {
  return StoragePtr(
      std::make_unique<WrappedStorage>(data, size_bytes, std::move(keep_alive)).release());
}

}  // namespace nanochat
